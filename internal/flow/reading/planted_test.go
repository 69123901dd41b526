package reading_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Planted identities given to a node, which reads pixels too: nothing of them is in what it gives to a steward by WADO-RS, and what it holds is given to nobody.
func TestPlantedIdentitiesAtANode(t *testing.T) {
	options := plant.Options{Seed: 20, Subjects: 4, Thin: 4, Encoders: plant.Installed()}
	if testdata.Soak() {
		options.Subjects, options.Thin = 20, 1
	}
	set, err := plant.Generate(options)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := &rig{t: t, cfg: node.Config{Data: t.TempDir(), Demo: true, HTTP: "127.0.0.1:0", Decoder: []string{exe, "codec-worker", t.TempDir()}, ReadPixels: true}}
	n.start()
	t.Cleanup(func() { n.stop() })
	secret, err := identity.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := n.Stores.Identity.CreateToken(tx, secret, identity.Token{Name: "steward", Role: policy.Steward, Collection: "default"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := make([]catalogue.SOPUID, len(set.Files)) // the UID that a file has at the node; empty: it was not taken
	var last catalogue.InstanceID
	dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "token-of-ward-7")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range set.Files {
		if _, err := dep.Receive(t.Context(), custody.Incoming{Data: custody.FromReader(bytes.NewReader(f.Bytes))}); err != nil {
			continue
		}
		if err := n.Custody.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := n.Stores.Catalogue.All(t.Context(), last, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range rows {
			if last = max(last, l.ID); l.Ordinal > 0 {
				kept[i] = l.SOP
			}
		}
	}
	dep.End()
	// What stands of each, once nothing waits to be read or admitted. A painted image is a row of its own.
	now := map[catalogue.SOPUID]catalogue.Located{}
	late := time.After(10 * time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for waits := true; waits; {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("something waits to be read or admitted after ten minutes")
		}
		// What is unread first: what is read after that is seen as it became.
		unread, err := n.Stores.Catalogue.UnreadSeries(t.Context(), time.Now().Add(time.Hour), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		waits = len(unread) > 0
		clear(now)
		all, err := n.Stores.Catalogue.All(t.Context(), 0, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			waits = waits || l.State == policy.Received
			if had, ok := now[l.SOP]; !ok || had.State != policy.Admitted && (l.State == policy.Admitted || l.ID > had.ID) {
				now[l.SOP] = l
			}
		}
	}
	o := &plant.Output{Dir: t.TempDir(), Fates: make([]plant.Fate, len(set.Files))}
	for i := range set.Files {
		fate := &o.Fates[i]
		l, ok := now[kept[i]]
		switch {
		case !ok:
			fate.Outcome, fate.Why = plant.Held, []string{"it was not taken"}
			continue
		case l.State != policy.Admitted:
			fate.Outcome, fate.Pixels = plant.Held, len(l.Reasons) > 0
			for _, r := range l.Reasons {
				fate.Why = append(fate.Why, r.Code)
				fate.Pixels = fate.Pixels && slices.Contains(plant.PixelCodes, r.Code)
			}
			continue
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s/collections/default/dicomweb/studies/%s/series/%s/instances/%s", n.HTTPAddr(), l.Study, l.Series, l.SOP), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+secret.Reveal())
		r.Header.Set("Accept", "application/dicom; transfer-syntax=*")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(a.Body)
		a.Body.Close()
		if err != nil || a.StatusCode != 200 || a.Header.Get("Content-Type") == "" {
			t.Fatalf("%d %v", a.StatusCode, err)
		}
		fate.Outcome, fate.Path = plant.Cleaned, fmt.Sprintf("%06d.dcm", i+1)
		if err := os.WriteFile(filepath.Join(o.Dir, fate.Path), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := set.Score(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	for _, short := range r.Short(true) {
		t.Error(short)
	}
}
