package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// A node whose packs are lost serves everything from its mirror, and says so; verification names what is where.
func TestNodeWithAMirror(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.Data, cfg.Mirror, cfg.HTTP = t.TempDir(), "file://"+t.TempDir()+"?no_tmp_dir=true", "127.0.0.1:0"
		n, stop := run(t, cfg)
		several(t, n, 0, 4)
		if err := n.Stores.Packs.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Stores.Packs.Shipped(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := contents(t, n)
		if r := check(t, n); r.Mirrored != 1 {
			t.Errorf("%+v", r)
		}
		line := func(n *Node) status.Line {
			t.Helper()
			r, err := n.Status.Report(t.Context(), admin.Caller{Actor: "test", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range r.Lines {
				if l.Part == "second" {
					return l
				}
			}
			t.Fatal("the mirror has no line")
			return status.Line{}
		}
		if l := line(n); l.State != status.Well || !strings.Contains(l.Says, "1 pack is there") {
			t.Errorf("%+v", l)
		}
		_, b := ask(t, n, "/metrics", "")
		for _, m := range []string{"vitrine_mirror_behind_packs 0", `vitrine_packs{place="mirror"} 1`, "vitrine_mirror_reads_total 0"} {
			if !bytes.Contains(b, []byte(m)) {
				t.Errorf("the metrics lack %s", m)
			}
		}
		stop()

		packs, err := filepath.Glob(filepath.Join(cfg.Data, "packs", "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Bucket != "" {
			dir, _, _ := strings.Cut(strings.TrimPrefix(cfg.Bucket, "file://"), "?")
			more, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
			if err != nil {
				t.Fatal(err)
			}
			packs = append(packs, more...)
		}
		if len(packs) == 0 {
			t.Fatal("there is no pack to lose")
		}
		for _, p := range packs {
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
		}
		m, end := run(t, cfg)
		defer end()
		sameContents(t, contents(t, m), want)
		if d := verified(t, m); len(d) != 1 || d[0].Why != "it is in the mirror alone" {
			t.Errorf("verified: %+v", d)
		}
		if l := line(m); l.State != status.Bad || !strings.Contains(l.Do, "--mirror") {
			t.Errorf("%+v", l)
		}
		several(t, m, 4, 5)
	})
}

func TestMirrorIsElsewhere(t *testing.T) {
	at := "file://" + t.TempDir() + "?no_tmp_dir=true"
	if _, err := New(t.Context(), Config{Data: t.TempDir(), Demo: true, Bucket: at, Mirror: at, DICOM: "127.0.0.1:0"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("the bucket is its own mirror: %v", err)
	}
	if _, err := New(t.Context(), Config{Data: t.TempDir(), Demo: true, Mirror: "nothing://x", DICOM: "127.0.0.1:0"}); err == nil {
		t.Error("a mirror of no kind is opened")
	}
}
