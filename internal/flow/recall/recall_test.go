package recall

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/base/mail/mailtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	accessflow "github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// world is a desk with two projects that are permitted a dataset, and a release of three people.
type world struct {
	*Desk
	t    *testing.T
	at   time.Time
	by   map[string]admin.Caller
	log  bytes.Buffer
	post *mailtest.Server
	x    release.Release
	of   map[string]access.Entitlement // by whose it is
}

// start is a Wednesday.
var start = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		w := &world{t: t, at: start, by: map[string]admin.Caller{}, post: mailtest.Start(t, nil), of: map[string]access.Entitlement{}}
		clock := func() time.Time { return w.at }
		log := slog.New(slog.NewTextHandler(&w.log, nil))
		p := Parts{DB: d, Now: clock, Log: log}
		var err error
		check := func() {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		p.Audit, err = audit.Open(ctx, d)
		check()
		p.Jobs, err = jobs.Open(ctx, d)
		check()
		collections, err2 := collection.OpenRecord(ctx, d)
		err = err2
		check()
		p.Identity, err = identity.OpenRecord(ctx, d)
		check()
		entries, err2 := directory.OpenRecord(ctx, d)
		err = err2
		check()
		rows, err2 := access.OpenRecord(ctx, d)
		err = err2
		check()
		p.Releases, err = release.OpenRecord(ctx, d)
		check()
		_, err = subject.OpenRecord(ctx, d) // who withdrew is asked of it
		check()
		p.Recalls, err = recall.OpenRecord(ctx, d)
		check()
		master, err2 := keys.CreateMaster(filepath.Join(t.TempDir(), "master.key"))
		err = err2
		check()
		ring, err2 := keys.OpenRing(ctx, d, master)
		err = err2
		check()
		p.Root = ring.Root()
		p.Signer, err = audit.NewSigner(keys.Key{7})
		check()
		sender, err2 := mail.New(mail.Config{Host: w.post.Host, Port: w.post.Port, Security: mail.None, From: "images@example.org"})
		err = err2
		check()
		p.Mail, err = mailing.New(mailing.Parts{DB: d, Jobs: p.Jobs, Root: p.Root, Sender: sender, Log: log, Base: "https://images.example.org"})
		check()
		p.Access, err = accessflow.New(accessflow.Parts{DB: d, Ring: ring, Audit: p.Audit, Jobs: p.Jobs, Collections: collections, Identity: p.Identity, Entries: entries, Access: rows, Mail: p.Mail, Log: log, Now: clock})
		check()
		w.Desk, err = New(p)
		check()
		p.Access.Overdue = w.Overdue
		e := directorytest.Minimal()
		e.Holding, e.Collection, e.Access.Condition, e.Title = directory.Here, "breast", "open-to-applicants", "Images"
		e.DataUse = directory.DataUse{Alternatives: []directory.Use{{Permission: "DS", Diseases: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50"}}}}}
		err = d.Write(ctx, func(tx *db.Tx) error {
			if err := collections.Create(tx, collection.Collection{ID: "breast", Title: "Breast", Profile: "research"}); err != nil {
				return err
			}
			n, err := entries.Save(tx, "breast", e, 0, "someone", "")
			if err != nil {
				return err
			}
			return entries.Publish(tx, "breast", n, "someone")
		})
		check()
		for name, grants := range map[string][]policy.Grant{"north": {}, "south": {}, "custodian": {{Role: policy.Custodian, Collection: "breast"}}, "steward": {{Role: policy.Steward, Collection: "breast"}},
			"elsewhere": {{Role: policy.Custodian, Collection: "lung"}}, "researcher": {{Role: policy.Researcher, Collection: "breast"}}} {
			var a identity.Account
			err = d.Write(ctx, func(tx *db.Tx) (err error) {
				a, err = p.Identity.CreateAccount(tx, identity.Account{Name: name, Grants: grants})
				return err
			})
			check()
			w.by[name] = admin.Caller{Actor: a.ID, Grants: grants}
			if name != "researcher" {
				err = p.Access.Remind(ctx, w.by[name], name+"@example.org")
				check()
			}
		}
		w.by["token"] = admin.Caller{Actor: "token-1", Grants: []policy.Grant{{Role: policy.Custodian, Collection: "breast"}}}
		w.by["nobody"] = admin.Caller{}
		w.permit("north")
		w.permit("south")
		w.x = w.release("1.0.0")
		w.mails()
		test(t, w)
		for _, text := range []string{w.log.String(), w.audit()} {
			if strings.Contains(text, "PSEUDONYM") || strings.Contains(text, "MARKER") {
				t.Errorf("something that is nobody's to know is in the log or the audit log: %s", text)
			}
		}
	}, db.Durable, db.SecureDelete)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// permit is somebody's way from the form to the entitlement.
func (w *world) permit(name string) {
	w.t.Helper()
	ctx, until := w.t.Context(), w.at.Add(300*day)
	v, err := w.Access.Draft(ctx, w.by[name], accessflow.NewRequest{For: []accessflow.Wanted{{Collection: "breast"}}, Submit: true, Form: accessflow.Form{Title: "Density in the " + name, Summary: "We look at it.", Aims: "To know", Benefit: "Screening",
		Organisation: accessflow.Organisation{Name: "University", Kind: "academic"}, Purpose: map[string]string{"for": "disease", "disease": "C50", "country": "GB", "months": "12", "download": "yes"}, Place: "Leeds"}})
	w.must(err)
	id, err := access.ParseID("request", v.ID)
	w.must(err)
	a, err := w.Access.AddAgreement(ctx, w.by[name], id, accessflow.Paper{Organisation: "University", Parties: []string{"One", "Two"}, Effective: w.at.Add(-day), Expires: w.at.Add(400 * day)}, []byte("%PDF-1.7\n%%EOF\n"))
	w.must(err)
	paper, err := access.ParseID("agreement", a.ID)
	w.must(err)
	_, err = w.Access.ActOnAgreement(ctx, w.by["custodian"], paper, accessflow.AgreementAct{Do: "execute", Parties: true, Dates: true})
	w.must(err)
	_, err = w.Access.Act(ctx, w.by["custodian"], id, accessflow.Act{Do: "approve", Terms: &accessflow.Terms{Capability: "download", Until: &until}})
	w.must(err)
	all, err := w.Access.Access.EntitlementsBy(ctx, id)
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%d entitlements, %v", len(all), err)
	}
	w.of[name] = all[0]
}

// release is a version with two objects of each of three people.
func (w *world) release(version string) release.Release {
	w.t.Helper()
	ctx := w.t.Context()
	f, err := w.Releases.Freeze()
	w.must(err)
	for person := 1; person <= 3; person++ {
		for n := 1; n <= 2; n++ {
			k := fmt.Sprintf("%d%d", person, n)
			w.must(f.Add(ctx, release.Entry{Subject: subject.ID(person), Instance: 1, Entry: describe.Entry{DRS: strings.Repeat("0", 30) + k, Subject: fmt.Sprintf("PSEUDONYM%d", person), Study: "1.2." + k, Series: "1.3." + k, Instance: "1.4." + k,
				SOPClass: "1.2.840.10008.5.1.4.1.1.2", TransferSyntax: "1.2.840.10008.1.2.1", Modality: "CT", Format: "application/dicom", Path: "p/" + k + ".dcm", Size: 10, SHA256: strings.Repeat("ab", 32)}}))
		}
	}
	w.must(f.Flush(ctx))
	x := release.Release{Dataset: "density", Version: version, Collection: "breast", Facts: []byte("{}")}
	w.must(w.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.End(tx, &x); err != nil {
			return err
		}
		return w.Releases.Publish(tx, &x)
	}))
	return x
}

// give notes in the ledger that somebody was given all of a person in the release.
func (w *world) give(name string, people ...subject.ID) {
	w.t.Helper()
	for _, p := range people {
		w.must(w.DB.Write(w.t.Context(), func(tx *db.Tx) error {
			return w.Releases.Give(tx, release.Receipt{Entitlement: int64(w.of[name].ID), Release: w.x.ID, Subject: p, Account: w.by[name].Actor, Objects: 2, Bytes: 20})
		}))
	}
}

// leave withdraws a person.
func (w *world) leave(p subject.ID) {
	w.t.Helper()
	w.must(w.DB.Write(w.t.Context(), func(tx *db.Tx) error {
		if _, err := w.Releases.Withdraw(tx, p); err != nil {
			return err
		}
		return w.Withdrawn(tx, subject.Subject{ID: p, Collection: "breast"})
	}))
}

func (w *world) mine(name string) []View {
	w.t.Helper()
	all, err := w.Mine(w.t.Context(), w.by[name])
	w.must(err)
	return all
}

// mails sends what is queued, and tells whom a mail has gone to since it was last asked.
func (w *world) mails() (to []string) {
	w.t.Helper()
	ctx, before := w.t.Context(), len(w.post.Mails())
	for {
		var kind, key string
		var payload []byte
		if w.DB.QueryRow(ctx, `SELECT kind, key, payload FROM job WHERE kind = 'send mail'`).Scan(&kind, &key, &payload) != nil {
			break
		}
		w.must(w.Mail.Handlers()[kind](ctx, key, payload))
		w.must(w.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`DELETE FROM job WHERE kind = ? AND key = ?`, kind, key)
			return err
		}))
	}
	for _, m := range w.post.Mails()[before:] {
		to = append(to, strings.TrimSuffix(strings.Trim(m.To, "<>"), "@example.org"))
		if strings.Contains(m.Text, "PSEUDONYM") || strings.Contains(m.Text, "0000000000") || strings.Contains(m.Text, "ensity") || strings.Contains(m.Text, "withdr") || !strings.Contains(m.Text, "images.example.org/re") {
			w.t.Errorf("a mail says more than that something waits, and where: %s", m.Text)
		}
	}
	slices.Sort(to)
	return to
}

// look lets time pass, and compares whom mails go to.
func (w *world) look(at time.Time, want ...string) {
	w.t.Helper()
	w.at = at
	w.must(w.Look(w.t.Context()))
	w.must(w.Look(w.t.Context())) // once more: nothing happens twice
	if got := w.mails(); !slices.Equal(got, want) {
		w.t.Errorf("%v: mails to %v, want %v", at, got, want)
	}
}

func (w *world) audit() string {
	w.t.Helper()
	rows, err := w.DB.Query(w.t.Context(), `SELECT actor, action, object, collection, outcome FROM audit`)
	w.must(err)
	defer rows.Close()
	names, _ := rows.Columns()
	var all strings.Builder
	for rows.Next() {
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		w.must(rows.Scan(values...))
		for _, v := range values {
			fmt.Fprintf(&all, "%s ", *v.(*any))
		}
	}
	return all.String()
}

func number(t *testing.T, v View) recall.ID {
	t.Helper()
	id, err := recall.ParseID(v.ID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var monday = time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)

// Two people who withdraw in a week are one notice, on the Monday after; who was given nothing of them is not told, and nobody learns on which day.
func TestWithdrawalsOfAWeekAreOneNotice(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.give("north", 1, 2)
		w.give("south", 3)
		w.leave(1)
		w.at = w.at.Add(3 * day) // Saturday
		w.leave(2)
		w.look(monday.Add(-time.Second))
		if len(w.mine("north")) != 0 {
			t.Error("told before the week is over")
		}
		w.look(monday, "north")
		all := w.mine("north")
		if len(all) != 1 || all[0].Objects != 4 || all[0].State != "told" || !all[0].Due.Equal(monday.Add(30*day)) || all[0].Mail != "sent" || !slices.Equal(all[0].Releases, []string{"density@1.0.0"}) || all[0].Project != "Density in the north" {
			t.Fatalf("%+v", all)
		}
		if n := len(w.mine("south")); n != 0 {
			t.Errorf("who was given nothing of them is told %d times", n)
		}
		objects, err := w.Objects(ctx, w.by["north"], number(t, all[0]))
		if err != nil || len(objects) != 4 || objects[0].DRS != strings.Repeat("0", 30)+"11" || len(objects[0].Leaf) != 64 || objects[0].Release != "density@1.0.0" {
			t.Errorf("%+v, %v", objects, err)
		}
		// The leaf is that of the manifest which the recipient has.
		for e, err := range w.Releases.Entries(ctx, w.x.ID) {
			w.must(err)
			if e.DRS == objects[0].DRS && e.Leaf != objects[0].Leaf {
				t.Errorf("leaf %s, the release has %s", objects[0].Leaf, e.Leaf)
			}
		}
		w.leave(3)
		w.look(monday.Add(day))
		w.look(monday.Add(7*day), "south")
		if len(w.mine("north")) != 1 || len(w.mine("south")) != 1 {
			t.Error("a later week is another notice, to who was given the copies")
		}
		s, err := w.Tombstones(ctx, w.by["north"])
		if err != nil || audit.CheckAttested(TombstonesFormat, []byte(s.Document), s.Signature, s.PublicKey) != nil || strings.Count(s.Document, `"drs"`) != 4 || strings.Contains(s.Document, "PSEUDONYM") {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// The calendar, each step once, whatever was missed; then use is suspended, and comes back when it is answered and the custodian agrees.
func TestFromTheNoticeToTheSuspension(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		request := w.of["north"].Request
		w.give("north", 1)
		w.leave(1)
		w.look(monday, "north")
		v := w.mine("north")[0]
		id, due := number(t, v), v.Due
		for _, step := range []struct {
			at    time.Time
			mails []string
			owed  bool
			state string
			use   string
		}{
			{due.Add(-7*day - time.Second), nil, false, "told", "active"},
			{due.Add(-7 * day), []string{"north"}, false, "told", "active"},
			{due.Add(-day - time.Second), nil, false, "told", "active"},
			{due.Add(-day), []string{"north"}, false, "told", "active"},
			{due.Add(-time.Second), nil, false, "told", "active"},
			{due, []string{"north"}, true, "overdue", "active"},
			{due.Add(30*day - time.Second), nil, true, "overdue", "active"},
			{due.Add(30 * day), []string{"custodian", "north"}, true, "overdue", "active"},
			{due.Add(90*day - time.Second), nil, true, "overdue", "active"},
			{due.Add(90 * day), []string{"custodian", "north"}, true, "overdue", "suspended"},
			{due.Add(100 * day), nil, true, "overdue", "suspended"},
		} {
			w.look(step.at, step.mails...)
			owed, err := w.Overdue(ctx, request)
			if err != nil || owed.IsZero() == step.owed || step.owed && !owed.Equal(due) {
				t.Errorf("%v: owed since %v, %v", step.at, owed, err)
			}
			e, err := w.Access.Access.Entitlement(ctx, w.of["north"].ID)
			if got := w.mine("north")[0].State; err != nil || got != step.state || e.At(w.at) != step.use {
				t.Errorf("%v: %s, use %s, %v; want %s, %s", step.at, got, e.At(w.at), err, step.state, step.use)
			}
		}
		if e, err := w.Access.Access.Entitlement(ctx, w.of["south"].ID); err != nil || e.At(w.at) != "active" {
			t.Errorf("another project is suspended too: %v", err)
		}
		if _, err := w.Act(ctx, w.by["custodian"], id, Act{Do: "resume"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("permitted again before it is answered: %v", err)
		}
		_, err := w.Act(ctx, w.by["north"], id, Act{Do: "attest", Answer: Deleted, Agree: true})
		w.must(err)
		if owed, err := w.Overdue(ctx, request); err != nil || !owed.IsZero() {
			t.Errorf("owed after the answer: %v, %v", owed, err)
		}
		if e, _ := w.Access.Access.Entitlement(ctx, w.of["north"].ID); e.At(w.at) != "suspended" {
			t.Error("an answer alone permits use again")
		}
		for _, name := range []string{"north", "steward", "token"} {
			if _, err := w.Act(ctx, w.by[name], id, Act{Do: "resume"}); !fault.Is(err, fault.Denied) {
				t.Errorf("%s permits use again: %v", name, err)
			}
		}
		v, err = w.Act(ctx, w.by["custodian"], id, Act{Do: "resume", Text: "MARKERRESUME"})
		if err != nil || v.Suspended {
			t.Errorf("%+v, %v", v, err)
		}
		if e, _ := w.Access.Access.Entitlement(ctx, w.of["north"].ID); e.At(w.at) != "active" {
			t.Error("use is not permitted again")
		}
		w.look(w.at.Add(day))
	})
}

// A node that was off for months tells once, and does all that the calendar asked for.
func TestWhatWasMissedIsToldOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.give("north", 1)
		w.leave(1)
		w.look(monday, "north")
		w.look(monday.Add(150*day), "custodian", "north")
		v, err := w.Recall(t.Context(), w.by["custodian"], number(t, w.mine("north")[0]))
		if err != nil || !v.Suspended || len(v.Events) != 6 {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// Two processes that look at once tell once; one that dies before its transaction ends leaves nothing half.
func TestLooksAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.give("north", 1, 2, 3)
		w.leave(1)
		w.leave(2)
		dead := errors.New("it died")
		w.at = monday
		items, err := w.Recalls.Waiting(ctx)
		w.must(err)
		b := recall.Batch{Account: w.by["north"].Actor, Collection: "breast", Code: recall.Withdrawal, Told: monday, Due: monday.Add(DueAfter)}
		err = w.DB.Write(ctx, func(tx *db.Tx) error {
			if err := w.Recalls.Gather(tx, &b, items); err != nil {
				return err
			}
			return dead
		})
		if !errors.Is(err, dead) || len(w.mine("north")) != 0 {
			t.Fatalf("%v, %d recalls", err, len(w.mine("north")))
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := w.Look(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(w.mine("north")); n != 1 {
			t.Errorf("%d recalls", n)
		}
		if got := w.mails(); !slices.Equal(got, []string{"north"}) {
			t.Errorf("mails to %v", got)
		}
	})
}

// Nobody but the recipient answers, and what they say is signed; the reasons are in no table in clear.
func TestOnlyTheRecipientAttests(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.give("north", 1)
		w.leave(1)
		w.look(monday, "north")
		id := number(t, w.mine("north")[0])
		good := Act{Do: "attest", Answer: Excluded, Agree: true, Models: []Model{{Name: "MARKERMODEL", Answer: Retrained}, {Name: "old", Answer: NotFeasible, Reason: "MARKERREASON"}}}
		for name, kind := range map[string]fault.Kind{"custodian": fault.Denied, "steward": fault.Denied, "token": fault.Denied, "south": fault.NotFound, "researcher": fault.NotFound, "elsewhere": fault.NotFound, "nobody": fault.NotFound} {
			for _, a := range []Act{good, {Do: "acknowledge"}} {
				if _, err := w.Act(ctx, w.by[name], id, a); !fault.Is(err, kind) {
					t.Errorf("%s: %s: %v, want %v", name, a.Do, err, kind)
				}
			}
		}
		for _, name := range []string{"custodian", "steward", "south"} {
			if _, err := w.Objects(ctx, w.by[name], id); err == nil {
				t.Errorf("%s sees the objects", name)
			}
		}
		for why, a := range map[string]Act{"no answer": {Do: "attest", Agree: true}, "words not agreed to": {Do: "attest", Answer: Deleted}, "no reason": {Do: "attest", Answer: NotFeasible, Agree: true},
			"a model without a name":   {Do: "attest", Answer: Deleted, Agree: true, Models: []Model{{Answer: Excluded}}},
			"a model without a reason": {Do: "attest", Answer: Deleted, Agree: true, Models: []Model{{Name: "x", Answer: NotFeasible}}},
			"an NHS number":            {Do: "attest", Answer: NotFeasible, Agree: true, Text: "943 476 5919"}, "nothing known": {Do: "forget"}} {
			if _, err := w.Act(ctx, w.by["north"], id, a); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", why, err)
			}
		}
		v, err := w.Act(ctx, w.by["north"], id, Act{Do: "acknowledge"})
		if err != nil || v.State != "acknowledged" {
			t.Fatalf("%+v, %v", v, err)
		}
		v, err = w.Act(ctx, w.by["north"], id, good)
		if err != nil || v.State != "attested" || v.Outcome != Excluded || v.Attestations != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		w.look(monday.Add(200 * day)) // nothing is owed any more
		for _, name := range []string{"north", "custodian"} {
			s, err := w.Attested(ctx, w.by[name], id)
			var a Attestation
			if err != nil || audit.CheckAttested(AttestationFormat, []byte(s.Document), s.Signature, s.PublicKey) != nil || json.Unmarshal([]byte(s.Document), &a) != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if a.By != "north" || a.Objects != 2 || a.Answer != Excluded || len(a.Models) != 2 || len(a.Words) != 3 || len(a.Fingerprint) != 64 || a.Recall != v.ID {
				t.Errorf("%+v", a)
			}
		}
		for _, table := range []string{"recall_event", "recall_batch", "recall_item", "recall_cause"} {
			var n int
			rows, err := w.DB.Query(ctx, `SELECT * FROM `+table)
			w.must(err)
			names, _ := rows.Columns()
			for rows.Next() {
				values := make([]any, len(names))
				for i := range values {
					values[i] = new(any)
				}
				w.must(rows.Scan(values...))
				for _, x := range values {
					if s := fmt.Sprintf("%s", *x.(*any)); strings.Contains(s, "MARKER") || strings.Contains(s, "PSEUDONYM") {
						t.Errorf("%s holds in clear what was written, or names somebody", table)
					}
				}
				n++
			}
			rows.Close()
			if n == 0 {
				t.Errorf("%s is empty", table)
			}
		}
		// Whoever could not at first may do it later: the latest counts.
		if v, err = w.Act(ctx, w.by["north"], id, Act{Do: "attest", Answer: Deleted, Agree: true}); err != nil || v.Outcome != Deleted || v.Attestations != 2 {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// A release that is taken back as a whole is told of at once to everybody who has copies; an error in it to nobody.
func TestReleasesAreCalledBackAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.give("north", 1, 2)
		w.give("south", 3)
		buried := func(code string) {
			w.must(w.DB.Write(t.Context(), func(tx *db.Tx) error { return w.Buried(tx, w.x, code) }))
		}
		w.must(w.DB.Write(t.Context(), func(tx *db.Tx) error { return w.Releases.Bury(tx, w.x, []byte(`{}`)) }))
		buried("error")
		w.look(w.at)
		buried(recall.Defect)
		w.look(w.at, "north", "south")
		for name, objects := range map[string]int{"north": 4, "south": 2} {
			if all := w.mine(name); len(all) != 1 || all[0].Objects != objects || all[0].Code != recall.Defect {
				t.Errorf("%s: %+v", name, all)
			}
		}
		// What was being written into the ledger at that moment is found too.
		w.give("south", 1)
		w.look(w.at.Add(time.Hour), "south")
		if n := len(w.mine("south")); n != 2 {
			t.Errorf("%d recalls", n)
		}
	})
}

// Who answers for the collection sees how each recipient stands, and waives with a reason.
func TestWaiving(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.give("north", 1)
		w.give("south", 1)
		w.leave(1)
		copies := func(want recall.Copies) {
			t.Helper()
			if c, err := w.Copies(ctx, 1); err != nil || c != want {
				t.Errorf("%+v, %v, want %+v", c, err, want)
			}
		}
		copies(recall.Copies{Recipients: 2, Waiting: 2})
		w.look(monday, "north", "south")
		copies(recall.Copies{Recipients: 2, Told: 2})
		north, south := number(t, w.mine("north")[0]), number(t, w.mine("south")[0])
		for _, name := range []string{"custodian", "steward"} {
			if all, err := w.List(ctx, w.by[name], 10, 0); err != nil || len(all) != 2 || !w.Sees(ctx, w.by[name]) {
				t.Errorf("%s sees %d, %v", name, len(all), err)
			}
		}
		for _, name := range []string{"north", "elsewhere", "researcher", "nobody"} {
			if all, err := w.List(ctx, w.by[name], 10, 0); err != nil || len(all) != 0 {
				t.Errorf("%s sees %d, %v", name, len(all), err)
			}
		}
		for name, kind := range map[string]fault.Kind{"north": fault.Denied, "token": fault.Denied, "south": fault.NotFound} {
			if _, err := w.Act(ctx, w.by[name], north, Act{Do: "waive", Text: "x"}); !fault.Is(err, kind) {
				t.Errorf("%s waives: %v", name, err)
			}
		}
		if _, err := w.Act(ctx, w.by["custodian"], north, Act{Do: "waive"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("waived without a reason: %v", err)
		}
		if v, err := w.Act(ctx, w.by["custodian"], north, Act{Do: "waive", Text: "MARKERWAIVED"}); err != nil || v.State != "waived" {
			t.Errorf("%+v, %v", v, err)
		}
		if _, err := w.Act(ctx, w.by["north"], north, Act{Do: "attest", Answer: Deleted, Agree: true}); !fault.Is(err, fault.Conflict) {
			t.Errorf("answered after it was waived: %v", err)
		}
		w.at = monday.Add(31 * day)
		copies(recall.Copies{Recipients: 2, Waived: 1, Overdue: 1})
		_, err := w.Act(ctx, w.by["south"], south, Act{Do: "attest", Answer: NotFeasible, Text: "It is published.", Agree: true})
		w.must(err)
		copies(recall.Copies{Recipients: 2, Waived: 1, NotFeasible: 1})
		if c, err := w.Copies(ctx, 2); err != nil || c != (recall.Copies{}) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
