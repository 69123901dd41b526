package dimse

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
)

// Every refusal leaves a code; a flood of them does not leave a line each.
func TestRefusalsAreLogged(t *testing.T) {
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var r refusals
	limit := &network.Rejection{Result: network.RejectTransient, Source: network.RejectByPresentation, Reason: network.RejectLimit}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&network.Rejection{Result: network.RejectPermanent, Source: network.RejectByUser, Reason: network.RejectCalledAE}, "level=INFO msg=\"association refused\" reason=unknown-called-ae-title"},
		{limit, "level=INFO msg=\"association refused\" reason=too-many-associations unsaid=0"},
		{limit, ""},
		{network.ErrTooManyPending, "reason=too-many-connections unsaid=0"},
		{fmt.Errorf("reading: %w", network.ErrPeerClosed), "level=DEBUG msg=\"association refused\" reason=peer-gone"},
		{&network.AbortError{Why: "reading the A-ASSOCIATE-RQ", Err: errors.New("Winterbourne^Ada")}, "reason=not-an-association-request"},
	} {
		log.Reset()
		r.log(l, c.err)
		got := log.String()
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) || strings.Contains(got, "Winterbourne") {
			t.Errorf("%v: %q", c.err, got)
		}
	}
	if more, ok := r.say("too-many-associations", time.Now().Add(2*pause)); !ok || more != 1 {
		t.Errorf("later: %d %v", more, ok)
	}
}
