package dimse

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
)

// pause is how long a refusal for want of places is not logged again: whoever floods the door does not flood the log.
const pause = 10 * time.Second

// refusals logs connections that did not become associations, by a code of the reason alone: titles and whatever else the sender wrote may say anything.
type refusals struct {
	mu     sync.Mutex
	last   map[string]time.Time
	unsaid map[string]int
}

func (r *refusals) log(l *slog.Logger, err error) {
	reason, level := reasonOf(err)
	args := []any{"reason", reason}
	if reason == "too-many-associations" || reason == "too-many-connections" {
		more, say := r.say(reason, time.Now())
		if !say {
			return
		}
		args = append(args, "unsaid", more)
	}
	l.Log(context.Background(), level, "association refused", args...)
}

// say reports whether it is time to log a reason again, and how often it was not since.
func (r *refusals) say(reason string, now time.Time) (more int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last, r.unsaid = map[string]time.Time{}, map[string]int{}
	}
	if at, before := r.last[reason]; before && now.Sub(at) < pause {
		r.unsaid[reason]++
		return 0, false
	}
	more = r.unsaid[reason]
	r.last[reason], r.unsaid[reason] = now, 0
	return more, true
}

// reasonOf is a refusal's code. What is no refusal, as the connection that a load balancer opens and closes, is for those who look closely.
func reasonOf(err error) (string, slog.Level) {
	if r, ok := errors.AsType[*network.Rejection](err); ok {
		switch *r {
		case network.Rejection{Result: network.RejectPermanent, Source: network.RejectByUser, Reason: network.RejectCalledAE}:
			return "unknown-called-ae-title", slog.LevelInfo
		case network.Rejection{Result: network.RejectPermanent, Source: network.RejectByUser, Reason: network.RejectCallingAE}:
			return "no-calling-ae-title", slog.LevelInfo
		case network.Rejection{Result: network.RejectPermanent, Source: network.RejectByUser, Reason: network.RejectApplicationContext}:
			return "application-context", slog.LevelInfo
		case network.Rejection{Result: network.RejectPermanent, Source: network.RejectByACSE, Reason: network.RejectProtocolVersion}:
			return "protocol-version", slog.LevelInfo
		case network.Rejection{Result: network.RejectTransient, Source: network.RejectByPresentation, Reason: network.RejectLimit}:
			return "too-many-associations", slog.LevelInfo
		case network.Rejection{Result: network.RejectTransient, Source: network.RejectByPresentation, Reason: network.RejectCongestion}:
			return "undecided", slog.LevelInfo
		}
		return "rejected", slog.LevelInfo
	}
	abort, aborted := errors.AsType[*network.AbortError](err)
	switch {
	case errors.Is(err, network.ErrTooManyPending):
		return "too-many-connections", slog.LevelInfo
	case errors.Is(err, network.ErrPeerClosed), aborted && abort.ByPeer:
		return "peer-gone", slog.LevelDebug
	case errors.Is(err, network.ErrServerClosed), errors.Is(err, network.ErrStopped):
		return "stopping", slog.LevelDebug
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, network.ErrTooSlow):
		return "no-request-in-time", slog.LevelInfo
	case aborted && abort.Why == "TLS handshake":
		return "tls", slog.LevelInfo
	}
	return "not-an-association-request", slog.LevelInfo
}
