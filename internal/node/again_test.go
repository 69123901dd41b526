package node

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// answered is what a door said of one instance: the code of its warning, 0 without one, and the words.
type answered struct {
	code int
	text string
}

func storeFor(t *testing.T, a *network.Association, in *network.Instance) answered {
	t.Helper()
	st, err := a.Store(t.Context(), in)
	if err != nil || !st.Done() {
		t.Fatal(st, st.Comment, err)
	}
	return answered{int(st.Code), st.Comment}
}

func stowFor(t *testing.T, n *Node, bearer string, in *network.Instance) answered {
	t.Helper()
	return stow(t, n, bearer, in, http.StatusOK, "00081199", "00081196")
}

// stow sends one instance by STOW-RS, and reads what is said of it: in which sequence, under which attribute.
func stow(t *testing.T, n *Node, bearer string, in *network.Instance, status int, sequences, attr string) answered {
	t.Helper()
	meta, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, TransferSyntaxUID: in.TransferSyntaxUID, ImplementationClassUID: "2.25.1"})
	if err != nil {
		t.Fatal(err)
	}
	file := append(append(append(make([]byte, 128), "DICM"...), meta.Bytes()...), in.Bytes...)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL()+"/dicomweb/studies", bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/dicom")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	type attribute struct{ Value []json.RawMessage }
	var said map[string]attribute
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || res.StatusCode != status {
		t.Fatal(res.StatusCode, err)
	}
	var item map[string]attribute
	for _, s := range strings.Fields(sequences) {
		if v := said[s].Value; len(v) > 0 {
			if err := json.Unmarshal(v[0], &item); err != nil {
				t.Fatal(err)
			}
		}
	}
	var a answered
	if v := item[attr].Value; len(v) > 0 {
		if err := json.Unmarshal(v[0], &a.code); err != nil {
			t.Fatal(err)
		}
	}
	if v := item["00000902"].Value; len(v) > 0 {
		if err := json.Unmarshal(v[0], &a.text); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// Who sends again what is held is told again that it is held, in the same words, whether it is in the catalogue by then or not.
func TestHeldIsToldAgain(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.HTTP = "127.0.0.1:0"
		n := start(t, cfg)
		burned := func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }
		kept := ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {})
		held := ct(t, "1.2.3", "1.2.3.1.2", burned)
		conflict := ct(t, "1.2.3", "1.2.3.1.1", burned)
		a, err := network.Dial(t.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "VITRINE",
			Contexts: []network.Proposal{{AbstractSyntax: ctClass, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndianUID}}}})
		if err != nil {
			t.Fatal(err)
		}
		depositor := token(t, n, policy.Depositor, "default")
		// The first makes the subject and is in the catalogue; then the catalogue is kept from going on (on SQLite, which has one writer).
		storeFor(t, a, kept)
		if err := n.Custody.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		cases := []struct {
			name       string
			in         *network.Instance
			code, stow int
			prefix     string
		}{{"kept", kept, 0, 0, ""}, {"held", held, 0xB000, 0xB010, "held: "}, {"conflict", conflict, 0xB000, 0xB011, "conflict: "}}
		first := map[string]answered{}
		waiting := func() {
			for _, c := range cases {
				first[c.name] = storeFor(t, a, c.in)
				if got := first[c.name]; got.code != c.code || !strings.HasPrefix(got.text, c.prefix) || len(got.text) == len(c.prefix) && c.code != 0 {
					t.Errorf("%s: the first answer is %04X %q", c.name, got.code, got.text)
				}
				if got := storeFor(t, a, c.in); got != first[c.name] {
					t.Errorf("%s: sent again while it waits for the catalogue, the answer is %v, was %v", c.name, got, first[c.name])
				}
			}
		}
		if cfg.Database == "" {
			err = n.Stores.DB.Write(t.Context(), func(*db.Tx) error { waiting(); return nil })
			if err != nil {
				t.Fatal(err)
			}
		} else {
			waiting()
		}
		if err := n.Custody.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if got := storeFor(t, a, c.in); got != first[c.name] {
				t.Errorf("%s: sent again, the answer is %v, was %v", c.name, got, first[c.name])
			}
			got := stowFor(t, n, depositor, c.in)
			if got.code != c.stow || (got.text == "") != (c.stow == 0) {
				t.Errorf("%s: by STOW-RS the answer is %04X %q", c.name, got.code, got.text)
			}
		}
		if err := a.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := states(t, n); s[policy.Held] != 1 || s[policy.Conflict] != 1 || len(s) > 3 {
			t.Errorf("%v", s)
		}
	})
}
