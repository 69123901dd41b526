package endtoend

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// relay passes connections on to a node that has another port each time it starts.
type relay struct {
	net.Listener
	to atomic.Value
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	r.to.Store(to)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer a.Close()
				b, err := net.Dial("tcp", r.to.Load().(string))
				if err != nil {
					return
				}
				defer b.Close()
				go func() { _, _ = io.Copy(b, a); b.Close(); a.Close() }()
				_, _ = io.Copy(a, b)
			}()
		}
	}()
	return r
}

// waiting is how a gateway says that it stands.
type waiting struct {
	Instances int64            `json:"waiting_instances"`
	Sent      map[string]int64 `json:"sent"`
}

func told(t *testing.T, g *served) (w waiting) {
	t.Helper()
	out := command(t, nil, "gateway", "status", "--server", "http://"+g.http, "--token", g.tokens["steward"], "--output", "json")
	if err := json.Unmarshal(out.out, &w); err != nil || out.code != 0 {
		t.Fatalf("%d %s %s: %v", out.code, out.out, out.err, err)
	}
	return w
}

// hospital is a node, a gateway to it, and the line between them.
func hospital(t *testing.T) (n, g *served, line *relay) {
	t.Helper()
	n = serve(t, setup{})
	line = newRelay(t, n.http)
	token := filepath.Join(t.TempDir(), "token")
	secret := n.admin("token", "create", "--name", "north", "--role", "gateway", "--collection", research)
	if err := os.WriteFile(token, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	return n, serve(t, setup{command: "gateway", args: []string{"--node", "http://" + line.Addr().String(), "--collection", research, "--token-file", token}}), line
}

// Ultrasound whose pixels say whose it is is painted over at the gateway; the node proves it, reads it once more, and admits it. Its record says who read it where.
func TestGatewayPaints(t *testing.T) {
	n, g, _ := hospital(t)
	images := named(t, 6)
	for _, st := range g.store("VITRINE", images) {
		if !st.Done() {
			t.Fatal(st, st.Comment)
		}
	}
	eventually(t, 3*time.Minute, func() error {
		if c := n.intake(research); c.Catalogued != len(images) {
			return fmt.Errorf("at the node: %+v, at the site: %+v", c, g.intake(research))
		}
		return nil
	})
	if held := n.heldIDs(); len(held) > 0 {
		t.Errorf("%d are held at the node", len(held))
	}
	g.stop()
	n.stop()
	met := 0
	n.stored(research, func(l catalogue.Located, _ string, data []byte) {
		met++
		d, err := dicom.Parse(data, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		px := d.Data.Value(d.Data.PixelData())
		for y := range 26 {
			for x := range 400 {
				if px[3*(y*640+x)] > 60 {
					t.Fatalf("item %s has something of the name", l.ID)
				}
			}
		}
		if d.Data.String(dicom.TagBurnedInAnnotation) != "NO" || !strings.HasPrefix(d.Data.String(dicom.TagDeidentificationMethod), "Vitrine research") {
			t.Errorf("item %s does not say what was done to it", l.ID)
		}
	})
	if met != len(images) {
		t.Errorf("%d images", met)
	}
}

// What a gateway has acknowledged is at the node once, whoever is killed in between.
func TestGatewayAndNodeKilled(t *testing.T) {
	n, g, line := hospital(t)
	set := sample.SmallSet(93)
	const rounds, each = 4, 12
	acked := 0
	for round := range rounds {
		var images []*image
		for i := range each {
			in, err := set.Instance(round*each + i)
			if err != nil {
				t.Fatal(err)
			}
			images = append(images, generated("", in))
		}
		for _, st := range g.store("VITRINE", images) {
			if !st.Done() {
				t.Fatalf("round %d: %v %s", round, st, st.Comment)
			}
			acked++
		}
		if round%2 == 0 {
			g.kill()
			g.start()
		} else {
			n.kill()
			n.start()
			line.to.Store(n.http)
		}
	}
	// All of it is clean, so that none of it stays at the site.
	if c := g.settled(research, acked); c.Held+c.Refused > 0 {
		t.Fatalf("at the site: %+v", c)
	}
	eventually(t, 3*time.Minute, func() error {
		if c := n.intake(research); c.Catalogued != acked {
			return fmt.Errorf("%d were acknowledged, and at the node there are %+v", acked, c)
		}
		return nil
	})
	if c := n.intake(research); c.Held+c.Refused > 0 || c.Received != acked {
		t.Errorf("at the node: %+v", c)
	}
	eventually(t, time.Minute, func() error { // the gateway has heard of it
		if c := told(t, g); c.Instances != 0 || c.Sent["kept"]+c.Sent["duplicate"] != int64(acked) {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	if out := command(t, nil, "gateway", "status", "--server", "http://"+g.http, "--token", g.tokens["steward"]); out.code != 0 || !strings.Contains(string(out.out), "with the node's secret") {
		t.Errorf("%d %s %s", out.code, out.out, out.err)
	}
	g.stop()
	n.stop()
	for _, x := range []*served{g, n} {
		if got := x.verify(); got != acked {
			t.Errorf("%d objects are verified, want %d", got, acked)
		}
	}
	// The folder of a gateway is no node's.
	if out := g.run("serve", "--http", "127.0.0.1:0", "--dicom", "off"); out.code == 0 || !strings.Contains(string(out.err), "gateway") {
		t.Errorf("%d %s", out.code, out.err)
	}
}
