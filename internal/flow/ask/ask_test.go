package ask_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/ask"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
)

// people are who asks and answers in the tests.
type people struct{ steward, other, admin, researcher, depositor, anonymous admin.Caller }

func each(t *testing.T, test func(t *testing.T, n *node.Node, d *ask.Desk, p people)) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		cfg := node.Config{Data: t.TempDir(), Demo: true}
		if strings.HasPrefix(address, "postgres") {
			cfg.Database = address
		}
		n, err := node.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		d, err := n.Stores.Questions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		operator := admin.Operator("test")
		for _, id := range []collection.ID{"lung", "quiet"} {
			if _, err := n.Stores.Desk().CreateCollection(t.Context(), operator, collection.Collection{ID: id, Profile: "research"}); err != nil {
				t.Fatal(err)
			}
		}
		account := func(name string, grants ...policy.Grant) admin.Caller {
			var a identity.Account
			err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) (err error) {
				a, err = n.Stores.Identity.CreateAccount(tx, identity.Account{Name: name, Grants: grants})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return admin.Caller{Actor: a.ID, Grants: a.Grants}
		}
		test(t, n, d, people{
			steward:    account("Ada", policy.Grant{Role: policy.Steward, Collection: "default"}),
			other:      account("Ben", policy.Grant{Role: policy.Steward, Collection: "lung"}),
			admin:      account("Cleo", policy.Grant{Role: policy.Admin, Collection: policy.AllCollections}),
			researcher: account("Dee", policy.Grant{Role: policy.Researcher, Collection: "default"}),
			depositor:  account("Eve", policy.Grant{Role: policy.Depositor, Collection: "default"}),
		})
	})
}

const page = "/collections/default"

func (p people) all() map[string]admin.Caller {
	return map[string]admin.Caller{"steward": p.steward, "other": p.other, "admin": p.admin, "researcher": p.researcher, "depositor": p.depositor, "anonymous": p.anonymous}
}

// Who asked and who answers for the page see a thread, and nobody else learns that there is one.
func TestWhoSees(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *ask.Desk, p people) {
		ctx := t.Context()
		for _, c := range []struct {
			about string
			see   []string // beside the researcher, who asks
			ward  collection.ID
		}{
			{page, []string{"steward"}, "default"},
			{page + "/studies/2.25.1", []string{"steward"}, "default"},
			{"/collections/lung", []string{"other"}, "lung"},
			{"/held?collection=default", []string{"steward"}, "default"},
			{"/collections/quiet", []string{"admin"}, "quiet"}, // nobody is its steward
			{"/collections/nosuch", []string{"admin"}, ""},
			{"/directory/nosuch", []string{"admin"}, ""},
			{"/deposits/77", []string{"admin"}, ""},
			{"/help", []string{"admin"}, ""},
			{"https://elsewhere.example/collections/default", []string{"admin"}, ""},
			{"", []string{"admin"}, ""},
		} {
			a, err := d.Ask(ctx, p.researcher, "192.0.2.1", ask.Draft{About: c.about, Subject: " Follow-up  scans ", Text: "Are there any?\r\nThank you."})
			if err != nil || a.Ward.Collection != c.ward || a.Link != "" {
				t.Fatalf("%s: %+v, %v", c.about, a, err)
			}
			for name, who := range p.all() {
				may := name == "researcher"
				for _, s := range c.see {
					may = may || s == name
				}
				th, err := d.Thread(ctx, who, a.ID)
				if (err == nil) != may || err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("%s: %s: %v, may %v", c.about, name, err, may)
				}
				if may && (th.Subject != "Follow-up scans" || th.Messages[0].Text != "Are there any?\nThank you." || th.From != "Dee" || th.Own != (name == "researcher")) {
					t.Errorf("%s: %s: %+v", c.about, name, th)
				}
				if name == "researcher" {
					continue
				}
				if err := d.Reply(ctx, who, "", a.ID, "Yes."); (err == nil) != may {
					t.Errorf("%s: %s replies: %v", c.about, name, err)
				}
				if err := d.Close(ctx, who, a.ID, true); (err == nil) != may {
					t.Errorf("%s: %s closes: %v", c.about, name, err)
				}
				if !may && d.Erase(ctx, who, a.ID) == nil {
					t.Errorf("%s: %s erases", c.about, name)
				}
			}
			if err := d.Erase(ctx, p.researcher, a.ID); !fault.Is(err, fault.Denied) {
				t.Errorf("who asked erases what others answered: %v", err)
			}
			if err := d.EndLink(ctx, p.researcher, a.ID); !fault.Is(err, fault.Denied) {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestTurns(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *ask.Desk, p people) {
		ctx := t.Context()
		waits := func(who admin.Caller, want int64) {
			t.Helper()
			if got, err := d.Waiting(ctx, who); err != nil || got != want {
				t.Errorf("%d, %v; want %d", got, err, want)
			}
		}
		a, err := d.Ask(ctx, p.researcher, "", ask.Draft{About: page, Subject: "One", Text: "Question"})
		if err != nil {
			t.Fatal(err)
		}
		waits(p.steward, 1)
		waits(p.other, 0)
		waits(p.researcher, 0)
		if all, err := d.ToAnswer(ctx, p.steward, 10, 0); err != nil || len(all) != 1 || all[0].Subject != "One" || all[0].From != "Dee" {
			t.Errorf("%+v, %v", all, err)
		}
		if err := d.Reply(ctx, p.steward, "", a.ID, "Answer"); err != nil {
			t.Fatal(err)
		}
		waits(p.steward, 0)
		waits(p.researcher, 1)
		th, err := d.Thread(ctx, p.researcher, a.ID)
		if err != nil || len(th.Messages) != 2 || !th.Messages[1].Answer || th.Messages[1].By != "Ada" || th.Messages[1].Mine || !th.Messages[0].Mine {
			t.Errorf("%+v, %v", th, err)
		}
		waits(p.researcher, 0) // seen
		if err := d.Close(ctx, p.researcher, a.ID, true); err != nil {
			t.Fatal(err)
		}
		if err := d.Reply(ctx, p.researcher, "", a.ID, "One more thing"); err != nil {
			t.Fatal(err)
		}
		waits(p.steward, 1)
		if all, err := d.Mine(ctx, p.researcher, 10, 0); err != nil || len(all) != 1 || all[0].Turn != question.ToAnswer {
			t.Errorf("%+v, %v", all, err)
		}
		if err := d.Erase(ctx, p.steward, a.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Thread(ctx, p.researcher, a.ID); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		waits(p.steward, 0)
	})
}

// A visitor's link is the thread's only key: it opens that thread alone, until it is ended.
func TestVisitor(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *ask.Desk, p people) {
		ctx := t.Context()
		one, err := d.Ask(ctx, p.anonymous, "192.0.2.1", ask.Draft{About: page, Subject: "One", Text: "Q", Contact: "imogen@example.org"})
		if err != nil || len(one.Link) != 43 {
			t.Fatal(one, err)
		}
		two, err := d.Ask(ctx, p.anonymous, "192.0.2.2", ask.Draft{About: page, Subject: "Two", Text: "Q"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Thread(ctx, p.anonymous, one.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("without the link: %v", err)
		}
		if all, err := d.Mine(ctx, p.anonymous, 10, 0); err != nil || len(all) != 0 {
			t.Errorf("visitors see each other's: %v, %v", all, err)
		}
		th, err := d.Thread(ctx, p.steward, one.ID)
		if err != nil || th.Contact != "imogen@example.org" || th.From != "" || th.LinkEnds.IsZero() {
			t.Errorf("%+v, %v", th, err)
		}
		if err := d.Reply(ctx, p.steward, "", one.ID, "A"); err != nil {
			t.Fatal(err)
		}
		th, err = d.ByLink(ctx, one.Link)
		if err != nil || th.ID != one.ID || th.Contact != "" || len(th.Messages) != 2 || th.Messages[1].By != "" || !th.Messages[0].Mine || th.Messages[1].Mine || th.Answers {
			t.Errorf("%+v, %v", th, err)
		}
		if err := d.ReplyByLink(ctx, one.Link, "192.0.2.1", "Thanks"); err != nil {
			t.Fatal(err)
		}
		if err := d.CloseByLink(ctx, one.Link, true); err != nil {
			t.Fatal(err)
		}
		if err := d.EndLink(ctx, p.steward, one.ID); err != nil {
			t.Fatal(err)
		}
		if err := d.EndByLink(ctx, two.Link); err != nil {
			t.Fatal(err)
		}
		for _, link := range []string{one.Link, two.Link, "", strings.Repeat("A", 43)} {
			if _, err := d.ByLink(ctx, link); !fault.Is(err, fault.NotFound) {
				t.Errorf("an ended link opens: %v", err)
			}
			if err := d.ReplyByLink(ctx, link, "", "more"); !fault.Is(err, fault.NotFound) {
				t.Errorf("an ended link writes: %v", err)
			}
			if d.CloseByLink(ctx, link, false) == nil || d.EndByLink(ctx, link) == nil {
				t.Error("an ended link changes")
			}
		}
	})
}

// What somebody wrote is in no table, log or audit entry in clear.
func TestNothingInClear(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *ask.Desk, p people) {
		ctx := t.Context()
		const secret, about = "Winterbottom", "/collections/default/subjects/Winterbottom"
		a, err := d.Ask(ctx, p.anonymous, "192.0.2.1", ask.Draft{About: about, Subject: secret, Text: secret, Contact: secret + "@example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Reply(ctx, p.steward, "", a.ID, secret); err != nil {
			t.Fatal(err)
		}
		var found int64
		for _, q := range []string{`SELECT head FROM question`, `SELECT contact FROM question`, `SELECT body FROM question_message`} {
			rows, err := n.Stores.DB.Query(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var b []byte
				if err := rows.Scan(&b); err != nil {
					t.Fatal(err)
				}
				found++
				if bytes.Contains(b, []byte(secret)) {
					t.Errorf("%s: in clear", q)
				}
			}
			rows.Close()
		}
		if found < 4 {
			t.Errorf("only %d parts", found)
		}
		all, err := n.Stores.Audit.Entries(ctx, audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprintf("%+v", all); strings.Contains(s, secret) || strings.Contains(s, "192.0.2.1") || strings.Contains(s, a.Link) || !strings.Contains(s, "a visitor") || !strings.Contains(s, "answer a question") {
			t.Errorf("the audit log: %s", s)
		}
		// A part that is moved to another place does not open, and is not shown.
		if err := n.Stores.DB.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE question SET contact = head`); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Thread(ctx, p.steward, a.ID); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a moved part: %v", err)
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *ask.Desk, p people) {
		ctx := t.Context()
		deposit(t, n)
		long := strings.Repeat("a", ask.MaxText+1)
		for _, c := range []struct {
			name, subject, text, contact string
			who                          admin.Caller
			want                         string // of the reason; empty: it is taken
		}{
			{"plain", "S", "Text of 3 lines\n\nof 2026-11-20 at 12:30, 12.5 mm, item 12 of deposit 1234567", "", p.depositor, ""},
			{"no subject", "  ", "Text", "", p.researcher, "empty"},
			{"no text", "S", " \n ", "", p.researcher, "empty"},
			{"too long", "S", long, "", p.researcher, "longer"},
			{"long subject", long[:ask.MaxSubject+1], "Text", "", p.researcher, "longer"},
			{"bytes", "S", "a\x00b", "", p.researcher, "no text"},
			{"no UTF-8", "S", "a\xffb", "", p.researcher, "no text"},
			{"no address", "S", "Text", "not an address", p.anonymous, "no"},
			{"two addresses", "S", "Text", "a@example.org, b@example.org", p.anonymous, "e-mail"},
			{"NHS number", "S", "about 943 476 5919 please", "", p.researcher, "NHS number"},
			{"NHS number as subject", "943-476-5919", "please", "", p.anonymous, "NHS number"},
			{"wrong check digit", "S", "order 943 476 5918", "", p.researcher, ""},
			{"born", "S", "She was born on 3.4.2001.", "", p.researcher, "date of birth"},
			{"DOB", "S", "DOB: 03/04/01", "", p.researcher, "date of birth"},
			{"long ago", "S", "the patient of 22/03/1957", "", p.researcher, "date of birth"},
			{"long ago in words", "S", "March 22nd, 1957", "", p.researcher, "date of birth"},
			{"year of birth", "S", "born in 1957", "", p.researcher, ""},
			{"identifier, steward", "S", "why is RXR/00-4471 held?", "", p.steward, "may identify"},
			{"identifier, depositor", "S", "why is rxr004471 held?", "", p.depositor, "may identify"},
			{"name, depositor", "S", "the scan of Imogen Winterbottom", "", p.depositor, "may identify"},
			{"title, depositor", "S", "the scan of Mrs Winterbottom", "", p.depositor, "may identify"},
			{"another's name", "S", "Ask Imogen Clark, Agatha Winterly or Dr May", "", p.depositor, ""},
			{"identifier, stranger: is not told who is in", "S", "RXR/00-4471 of Imogen Winterbottom", "", p.researcher, ""},
			{"identifier, steward of another", "S", "RXR/00-4471", "", p.other, ""},
		} {
			_, err := d.Ask(ctx, c.who, "", ask.Draft{About: page, Subject: c.subject, Text: c.text, Contact: c.contact})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "Winterbottom") || strings.Contains(err.Error(), "4471") || strings.Contains(err.Error(), "943")) {
				t.Errorf("%s: the refusal repeats what it refuses: %v", c.name, err)
			}
		}
		a, err := d.Ask(ctx, p.depositor, "", ask.Draft{About: page, Subject: "S", Text: "Text"})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Reply(ctx, p.steward, "", a.ID, "It is RXR 00 4471"); !fault.Is(err, fault.Invalid) {
			t.Errorf("an answer: %v", err)
		}
	})
}

// deposit gives an image of a patient with a name to the default collection.
func deposit(t *testing.T, n *node.Node) {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2")
	b.String(dicom.TagSOPInstanceUID, "1.2.3.4.5.1.1")
	b.String(dicom.TagStudyDate, "20240611")
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagPatientName, "Winterbottom^Imogen^May")
	b.String(dicom.TagPatientID, "RXR004471")
	b.String(dicom.TagPatientBirthDate, "19990322")
	b.String(dicom.TagStudyInstanceUID, "1.2.3.4.5.2.1")
	b.String(dicom.TagSeriesInstanceUID, "1.2.3.4.5.3.1")
	ds, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "token-test")
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := dep.Receive(t.Context(), custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3.4.5.1.1",
		Data: custody.FromReader(bytes.NewReader(ds.Bytes()))})
	if err != nil || receipt.Outcome != custody.Kept {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Who floods is slowed down: by address where nobody has signed in, by person otherwise.
func TestFloods(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, d *ask.Desk, p people) {
		ctx := t.Context()
		say := func(who admin.Caller, from string) error {
			_, err := d.Ask(ctx, who, from, ask.Draft{About: page, Subject: "S", Text: "Text"})
			return err
		}
		for i := range 6 {
			err := say(p.anonymous, fmt.Sprintf("2001:db8::%d", i)) // one network
			if (err == nil) != (i < 5) || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("visitor, %d: %v", i, err)
			}
		}
		if err := say(p.anonymous, "2001:db8:0:1::1"); err != nil {
			t.Errorf("a neighbour: %v", err)
		}
		for i := range 21 {
			if err := say(p.researcher, "192.0.2.1"); (err == nil) != (i < 20) {
				t.Errorf("person, %d: %v", i, err)
			}
		}
		taken := 6
		for i := range 100 {
			if say(p.anonymous, fmt.Sprintf("198.51.100.%d", i)) == nil {
				taken++
			}
		}
		if taken != 60 {
			t.Errorf("%d visitors' questions in an hour, want 60", taken)
		}
	})
}
