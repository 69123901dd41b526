package reidentify

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

const why = "The radiologist saw a nodule that nobody has told the doctor of MARKERREASON"

var who = reidentification.Identity{PatientID: "MARKER-4711", Issuer: "MARKERHOSPITAL", Name: "MARKERFAMILY^Given", BirthDate: "19511123"}

// world is a desk with people around it.
type world struct {
	*Desk
	t       *testing.T
	ring    *keys.Ring
	subject subject.Subject
	now     time.Time
	by      map[string]admin.Caller
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		w := &world{t: t, now: time.Now(), by: map[string]admin.Caller{}}
		w.Desk = &Desk{DB: d, Now: func() time.Time { return w.now }}
		var err error
		check := func() {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		w.Audit, err = audit.Open(ctx, d)
		check()
		w.Collections, err = collection.OpenRecord(ctx, d)
		check()
		w.Subjects, err = subject.OpenRecord(ctx, d)
		check()
		w.Identity, err = identity.OpenRecord(ctx, d)
		check()
		w.Requests, err = reidentification.OpenRequests(ctx, d)
		check()
		master, err2 := keys.CreateMaster(filepath.Join(t.TempDir(), "master.key"))
		err = err2
		check()
		w.ring, err = keys.OpenRing(ctx, d, master)
		check()
		w.Vault, err = reidentification.OpenVault(ctx, d, w.ring)
		check()
		err = d.Write(ctx, func(tx *db.Tx) error {
			for _, c := range []collection.Collection{{ID: "trial", Title: "The trial", Profile: "research"}, {ID: "other", Profile: "research"}, {ID: "unlinked", Profile: "research", NoReidentification: true}} {
				if err := w.Collections.Create(tx, c); err != nil {
					return err
				}
			}
			return nil
		})
		check()
		w.subject = w.add("trial", "P-1")
		for name, g := range map[string]policy.Grant{"asker": {Role: policy.Steward, Collection: "trial"}, "second": {Role: policy.Steward, Collection: "trial"}, "admin": {Role: policy.Admin, Collection: "trial"},
			"elsewhere": {Role: policy.Steward, Collection: "other"}, "researcher": {Role: policy.Researcher, Collection: "trial"}, "unlinked": {Role: policy.Steward, Collection: "unlinked"}} {
			var a identity.Account
			err = d.Write(ctx, func(tx *db.Tx) (err error) {
				a, err = w.Identity.CreateAccount(tx, identity.Account{Name: name, Grants: []policy.Grant{g}})
				return err
			})
			check()
			w.by[name] = admin.Caller{Actor: a.ID, Grants: []policy.Grant{g}}
		}
		w.by["token"] = admin.Caller{Actor: "token-1", Grants: []policy.Grant{{Role: policy.Steward, Collection: "trial"}}}
		w.by["operator"] = admin.Operator("root")
		w.by["nobody"] = admin.Caller{}
		test(t, w)
	}, db.Durable, db.SecureDelete)
}

func (w *world) add(c collection.ID, p subject.Pseudonym) (s subject.Subject) {
	w.t.Helper()
	id, _, err := w.ring.New(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.DB.Write(w.t.Context(), func(tx *db.Tx) (err error) {
		s, _, err = w.Subjects.Ensure(tx, c, subject.Link{1, byte(len(p))}, p, subject.KeyID(id))
		return err
	})
	if err == nil {
		err = w.Vault.Learn(w.t.Context(), c, s.ID, s.Key, who)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) ask(name string) Item {
	w.t.Helper()
	i, err := w.Ask(w.t.Context(), w.by[name], "trial", "P-1", why)
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

// entries are the audit log's, as action and outcome of an actor.
func (w *world) entries() (all []string) {
	w.t.Helper()
	page, err := w.Audit.Entries(w.t.Context(), audit.Filter{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	names := map[string]string{}
	for n, c := range w.by {
		names[c.Actor] = n
	}
	for _, e := range page {
		all = append(all, names[e.Actor]+": "+e.Action+": "+e.Outcome)
		if strings.Contains(e.Object+e.Outcome+string(e.Sealed), "MARKER") {
			w.t.Error("the audit log names somebody, or a reason")
		}
	}
	return all
}

// Two people, a reason, and the audit log: the whole way.
func TestTwoPeopleSeeOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		i := w.ask("asker")
		if i.Reason != why || !i.Own || i.MayDecide || i.MaySee || i.Pseudonym != "P-1" {
			t.Errorf("%+v", i)
		}
		if _, err := w.Ask(ctx, w.by["asker"], "trial", "P-1", why); !fault.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		for name, c := range w.by {
			decides := name == "second" || name == "admin"
			n, err := w.Waiting(ctx, c)
			waiting, _, lerr := w.List(ctx, c)
			if err != nil || lerr != nil || (n == 1) != decides || (len(waiting) == 1) != decides {
				t.Errorf("%s: %d, %d waiting: %v %v", name, n, len(waiting), err, lerr)
			}
			if _, all, err := w.See(ctx, c, i.ID); !fault.Is(err, fault.Denied) || all != nil {
				t.Errorf("%s sees without consent: %v", name, err)
			}
			if decides {
				continue
			}
			if err := w.Decide(ctx, c, i.ID, true); !fault.Is(err, fault.Denied) {
				t.Errorf("%s consents: %v", name, err)
			}
			if _, err := w.Request(ctx, c, i.ID); name != "asker" && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s reads the reason: %v", name, err)
			}
		}
		if err := w.Decide(ctx, w.by["second"], i.ID, true); err != nil {
			t.Fatal(err)
		}
		if err := w.Decide(ctx, w.by["admin"], i.ID, false); !fault.Is(err, fault.Conflict) {
			t.Errorf("decided twice: %v", err)
		}
		for name, c := range w.by {
			if name == "asker" {
				continue
			}
			if _, all, err := w.See(ctx, c, i.ID); !fault.Is(err, fault.Denied) || all != nil {
				t.Errorf("%s sees what another asked: %v", name, err)
			}
		}
		seen, all, err := w.See(ctx, w.by["asker"], i.ID)
		if err != nil || len(all) != 1 || all[0] != who || seen.State != reidentification.Seen || seen.MaySee {
			t.Fatalf("%+v %v %v", seen, len(all), err)
		}
		if _, all, err := w.See(ctx, w.by["asker"], i.ID); !fault.Is(err, fault.Denied) || all != nil {
			t.Errorf("again: %v", err)
		}
		log := strings.Join(w.entries(), "\n")
		for _, want := range []string{"asker: ask who a subject is: done", "second: decide on who asks: consented", "asker: see who a subject is: done", "token: decide on who asks: denied",
			"asker: decide on who asks: denied", "operator: see who a subject is: denied"} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %q:\n%s", want, log)
			}
		}
		if strings.Count(log, "see who a subject is: done") != 1 {
			t.Errorf("seen more than once:\n%s", log)
		}
		w.ask("asker") // another time, another consent
	})
}

func TestWhoMayAsk(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.add("unlinked", "P-22")
		for name, c := range w.by {
			_, err := w.Ask(ctx, c, "trial", "P-1", why)
			if want := name == "asker" || name == "second"; (err == nil) != want || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("%s asks: %v", name, err)
			}
			may, err := w.MayAsk(ctx, c, "trial")
			if want := name == "asker" || name == "second"; may != want || err != nil {
				t.Errorf("%s may ask: %v %v", name, may, err)
			}
		}
		if may, err := w.MayAsk(ctx, w.by["unlinked"], "unlinked"); may || err != nil {
			t.Errorf("in a collection without re-identification: %v %v", may, err)
		}
		if _, err := w.Ask(ctx, w.by["unlinked"], "unlinked", "P-22", why); !fault.Is(err, fault.Conflict) {
			t.Errorf("in a collection without re-identification: %v", err)
		}
		for reason, kind := range map[string]fault.Kind{"": fault.Invalid, "because I am curious about this one": fault.Invalid, strings.Repeat("word ", MaxText): fault.Invalid, strings.Repeat("a\xff ", 20): fault.Invalid} {
			if _, err := w.Ask(ctx, w.by["admin"], "trial", "P-1", reason); !fault.Is(err, fault.Denied) {
				t.Errorf("an administrator asks: %v", err)
			}
			if err := w.Decide(ctx, w.by["second"], 1, true); !fault.Is(err, fault.NotFound) {
				t.Errorf("a request that is not there: %v", err)
			}
			w.now = w.now.Add(10 * 24 * time.Hour)
			if _, err := w.Ask(ctx, w.by["asker"], "trial", "P-1", reason); !fault.Is(err, kind) {
				t.Errorf("for no good reason: %v", err)
			}
		}
		for _, p := range []string{"P-9", "", "DOE^JANE"} {
			if _, err := w.Ask(ctx, w.by["asker"], "trial", p, why); !fault.Is(err, fault.NotFound) {
				t.Errorf("%q: %v", p, err)
			}
		}
		// A person who has been shut out takes no part, whatever their session says.
		err := w.DB.Write(ctx, func(tx *db.Tx) error { return w.Identity.SetDisabled(tx, w.by["asker"].Actor, true) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Ask(ctx, w.by["asker"], "trial", "P-1", why); !fault.Is(err, fault.Denied) {
			t.Errorf("a disabled account: %v", err)
		}
	})
}

func TestRunsOutAndIsErased(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		i := w.ask("asker")
		w.now = w.now.Add(reidentification.AskedFor + time.Second)
		if err := w.Decide(ctx, w.by["second"], i.ID, true); !fault.Is(err, fault.Conflict) {
			t.Errorf("after seven days: %v", err)
		}
		i = w.ask("asker")
		if err := w.Decide(ctx, w.by["second"], i.ID, true); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(reidentification.ConsentedFor + time.Second)
		if _, all, err := w.See(ctx, w.by["asker"], i.ID); !fault.Is(err, fault.Conflict) || all != nil {
			t.Errorf("after a day: %v", err)
		}
		i = w.ask("asker")
		if err := w.Decide(ctx, w.by["second"], i.ID, false); err != nil {
			t.Fatal(err)
		}
		if _, all, err := w.See(ctx, w.by["asker"], i.ID); !fault.Is(err, fault.Denied) || all != nil {
			t.Errorf("declined: %v", err)
		}
		i = w.ask("asker")
		if err := w.Decide(ctx, w.by["admin"], i.ID, true); err != nil {
			t.Fatal(err)
		}
		// Neither the subject's key alone nor that of the collection's pseudonyms opens what is kept: another collection's name gives another key.
		if all, err := w.Vault.Of(ctx, "other", w.subject.ID, w.subject.Key); !fault.Is(err, fault.Corrupt) || all != nil {
			t.Errorf("by another collection's key: %v", err)
		}
		if err := w.ring.Destroy(ctx, keys.ID(w.subject.Key)); err != nil {
			t.Fatal(err)
		}
		if _, all, err := w.See(ctx, w.by["asker"], i.ID); !fault.Is(err, fault.NotFound) || all != nil {
			t.Errorf("after erasure: %v", err)
		}
		if got, err := w.Request(ctx, w.by["asker"], i.ID); err != nil || got.Reason != "" || got.MaySee {
			t.Errorf("after erasure: %+v %v", got, err)
		}
		if r, err := w.Requests.Get(ctx, i.ID); err != nil || r.State != reidentification.Consented {
			t.Errorf("what could not be read used the consent up: %v", err)
		}
	})
}

// Nothing of who somebody is, or of why it is asked, is in clear in what is stored.
func TestNothingInClear(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		i := w.ask("asker")
		if err := w.Decide(ctx, w.by["second"], i.ID, true); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.See(ctx, w.by["asker"], i.ID); err != nil {
			t.Fatal(err)
		}
		w.entries()
		for _, table := range []string{"reidentification", "reidentification_request", "audit"} {
			if s := w.dump(ctx, table); strings.Contains(s, "MARKER") || strings.Contains(s, who.BirthDate) || strings.Contains(s, "nodule") {
				t.Errorf("in clear in %s", table)
			}
		}
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !e.Type().IsRegular() {
				return nil
			}
			b, err := os.ReadFile(path)
			if err == nil && (bytes.Contains(b, []byte("MARKER")) || bytes.Contains(b, []byte(who.BirthDate))) {
				t.Error("in clear in the file ", filepath.Base(path))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func (w *world) dump(ctx context.Context, table string) string {
	w.t.Helper()
	rows, err := w.DB.Query(ctx, `SELECT * FROM `+table)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var all strings.Builder
	n := 0
	for rows.Next() {
		n++
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			w.t.Fatal(err)
		}
		for _, v := range values {
			switch x := (*v.(*any)).(type) {
			case []byte:
				all.Write(x)
			case string:
				all.WriteString(x)
			}
			all.WriteByte(' ')
		}
	}
	if n == 0 {
		w.t.Error("nothing is in " + table)
	}
	return all.String()
}

// Spellings add up to a bound, and what is known changes nothing.
func TestLearning(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		s := w.subject
		for i := range reidentification.MaxIdentities + 5 {
			for range 2 {
				one := who
				one.Name = "MARKERFAMILY^" + strconv.Itoa(i)
				if err := w.Vault.Learn(ctx, "trial", s.ID, s.Key, one); err != nil {
					t.Fatal(err)
				}
			}
		}
		all, err := w.Vault.Of(ctx, "trial", s.ID, s.Key)
		if err != nil || len(all) != reidentification.MaxIdentities || all[0] != who || all[1].Name != "MARKERFAMILY^0" {
			t.Errorf("%d identities: %v", len(all), err)
		}
	})
}
