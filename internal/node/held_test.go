package node

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

func token(t *testing.T, n *Node, role policy.Role, where string) string {
	t.Helper()
	secret, err := identity.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := n.Stores.Identity.CreateToken(tx, secret, identity.Token{Name: "test", Role: role, Collection: where})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

func ask(t *testing.T, n *Node, path, bearer string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b
}

// A conflict shares its UID with another instance: who reviews it gets it by its number, byte for byte, and nobody else does.
func TestHeldIsGivenToItsReviewer(t *testing.T) {
	n := start(t, Config{HTTP: "127.0.0.1:0"})
	first := ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {})
	other := ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") })
	for _, in := range []*network.Instance{first, other} {
		storeOne(t, n, in)
	}
	steward := token(t, n, policy.Steward, "default")
	code, b := ask(t, n, "/api/held?collection=default", steward)
	var items []struct{ ID string }
	if err := json.Unmarshal(b, &items); err != nil || code != 200 || len(items) != 1 {
		t.Fatal(code, string(b), err)
	}
	path := "/api/held/" + items[0].ID
	code, b = ask(t, n, path, steward)
	if code != 200 || !bytes.HasSuffix(b, other.Bytes) {
		t.Errorf("the reviewer got %d and %d bytes", code, len(b))
	}
	for name, bearer := range map[string]string{"nobody": "", "researcher": token(t, n, policy.Researcher, "*"), "physicist": token(t, n, policy.Physicist, "*"),
		"depositor": token(t, n, policy.Depositor, "default"), "admin": token(t, n, policy.Admin, "*"), "steward of another collection": token(t, n, policy.Steward, "other")} {
		if code, b := ask(t, n, path, bearer); code != 404 && code != 401 || bytes.Contains(b, []byte("Winterbourne")) {
			t.Errorf("%s got %d", name, code)
		}
	}
	// What is not held has no place here.
	all, err := n.Stores.Catalogue.All(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.State != policy.Held && l.State != policy.Conflict {
			if code, _ := ask(t, n, "/api/held/"+l.ID.String(), steward); code != 404 {
				t.Errorf("an instance that is %s was given as held: %d", l.State, code)
			}
		}
	}
}

// What was given up is to be seen in the metrics.
func TestJobsAreCounted(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.HTTP = "127.0.0.1:0"
		n := start(t, cfg)
		err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
			if err := n.queue.Add(tx, "nobody does this", "1", nil, time.Now()); err != nil {
				return err
			}
			if err := n.queue.Add(tx, "given up", "1", nil, time.Now()); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE job SET failed = 1 WHERE kind = 'given up'`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		code, b := ask(t, n, "/metrics", "")
		for _, want := range []string{`vitrine_jobs{kind="nobody does this",state="waiting"} 1`, `vitrine_jobs{kind="given up",state="failed"} 1`} {
			if code != 200 || !bytes.Contains(b, []byte(want)) {
				t.Errorf("%d, without %s", code, want)
			}
		}
	})
}

// What is held is listed, accepted and refused over the API, by its stewards and nobody else.
func TestDecidedOverTheAPI(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.HTTP = "127.0.0.1:0"
		n := start(t, cfg)
		burned := func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }
		for _, sop := range []string{"1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"} {
			storeOne(t, n, ct(t, "1.2.3", sop, burned))
		}
		steward := token(t, n, policy.Steward, "default")
		const at = "/api/collections/default/held"
		type item struct {
			ID, State, Outcome, Kind string
			Acceptable               bool
			Reasons                  []struct{ Code, Where string }
		}
		code, b := ask(t, n, at+"?reason=burned-in-declared", steward)
		var items []item
		if err := json.Unmarshal(b, &items); err != nil || code != 200 || len(items) != 3 || !items[0].Acceptable || items[0].State != "held" || items[0].Reasons[0].Where != "(0028,0301)" {
			t.Fatal(code, string(b), err)
		}
		if code, b := ask(t, n, at+"?reason=document", steward); code != 200 || string(bytes.TrimSpace(b)) != "[]" {
			t.Errorf("another reason: %d %s", code, b)
		}
		post := func(path, bearer, body string) (int, []byte) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL()+path, bytes.NewReader([]byte(body)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+bearer)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, b
		}
		one := func(k int, note string) string { return `{"items": ["` + items[k].ID + `"], "note": "` + note + `"}` }
		for name, bearer := range map[string]string{"researcher": token(t, n, policy.Researcher, "*"), "depositor": token(t, n, policy.Depositor, "default"), "admin": token(t, n, policy.Admin, "*"),
			"steward of another collection": token(t, n, policy.Steward, "other")} {
			for _, verb := range []string{"/accept", "/refuse"} {
				if code, _ := post(at+verb, bearer, one(0, "")); code != 403 && code != 404 {
					t.Errorf("%s %s: %d", name, verb, code)
				}
			}
			if code, _ := ask(t, n, at, bearer); code != 403 && code != 404 {
				t.Errorf("%s lists: %d", name, code)
			}
		}
		for _, bad := range []string{`{}`, `{"items": []}`, `{"items": ["x"]}`, `{"items": [7]}`, `{"items": ["7"], "all": true}`, one(0, "Winterbourne"), `[`} {
			if code, b := post(at+"/accept", steward, bad); code != 400 || bytes.Contains(b, []byte("Winterbourne")) {
				t.Errorf("%s: %d", bad, code)
			}
		}
		if code, b := post(at+"/refuse", steward, one(2, "taken twice")); code != 201 || !bytes.Contains(b, []byte(`"outcome":"refused"`)) {
			t.Errorf("%d %s", code, b)
		}
		code, b = post(at+"/accept", steward, `{"items": ["`+items[0].ID+`", "`+items[2].ID+`", "`+items[0].ID+`"]}`)
		var out []item
		if err := json.Unmarshal(b, &out); err != nil || code != 201 || len(out) != 3 || out[0].Outcome != "accepted" || out[0].Kind == "" || out[1].Outcome != "gone" || out[2].Outcome != "gone" {
			t.Errorf("%d %s %v", code, b, err)
		}
		eventually(t, "it is admitted", func() bool { s := states(t, n); return s[policy.Admitted] == 1 && s[policy.Held] == 1 })
		// The reason stays with the deposit, where its sender reads it.
		refused := 0
		all, err := n.Stores.Catalogue.Deposits(t.Context(), "default", "", 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			_, b := ask(t, n, "/api/deposits/"+d.ID.String(), steward)
			if bytes.Contains(b, []byte(`"code":"refused-by-steward"`)) && bytes.Contains(b, []byte("a steward refused it: taken twice")) {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("%d deposits say that something of theirs was refused", refused)
		}
		got := stow(t, n, token(t, n, policy.Depositor, "default"), ct(t, "1.2.3", "1.2.3.1.3", burned), http.StatusConflict, "00081198", "00081197")
		if got.code != 0x0124 || got.text != "a steward refused it: taken twice" {
			t.Errorf("sent again by STOW-RS: %04X %q", got.code, got.text)
		}
	})
}
