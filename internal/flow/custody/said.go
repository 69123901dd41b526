package custody

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

// What somebody says identifies, such as the name of a ward or of a scanner's operator, is looked for in everything of its collection: it joins each subject's lexicon while
// that is in use, and is never stored with it. What was admitted before is searched by a job; what is not yet is searched when it is admitted.

// Said is a text that identifies wherever it stands in a collection.
type Said struct {
	Name bool // it is a name: its parts identify, however they are spelt. Else this very text does
	Text string
}

const maxSaid = 200 // bytes

// Check says what is wrong with a text; it is not said again.
func (s Said) Check() error {
	switch n := len([]rune(strings.TrimSpace(s.Text))); {
	case n < 2 || len(s.Text) > maxSaid || strings.ContainsAny(s.Text, "\x00\r\n\\"):
		return fault.New(fault.Invalid, "make standing decision", "", "what identifies is one line of 2 to 200 bytes, without backslashes")
	case !s.Name && n < 4 && !strings.ContainsFunc(s.Text, func(r rune) bool { return r >= '0' && r <= '9' || r > 0x7F }):
		return fault.New(fault.Invalid, "make standing decision", "", "a text of less than four letters would be found everywhere; give more of it")
	}
	return nil
}

// terms are what is looked for: the text as it is, and of a name its parts.
func (s Said) terms() []deid.Term {
	text := strings.TrimSpace(s.Text)
	all := []deid.Term{{Kind: deid.TermSaid, Text: text}}
	if s.Name {
		all = append(all, deid.Term{Kind: deid.TermPerson, Text: strings.Join(strings.Fields(text), "^")})
	}
	return all
}

// Mentions reports that a text has it in it.
func (s Said) Mentions(text string) bool {
	l, err := (*deid.Lexicon)(nil).With(s.terms()...)
	return err == nil && l.Mentions(text)
}

func saidKey(root keys.Key) keys.Key { return root.Derive("standing decisions") }

func saidName(c collection.ID, n ruling.Number) []byte {
	return []byte("identifier " + n.String() + " of collection " + string(c))
}

// SealSaid encrypts a text under its collection's key, for the decision of that number (docs/formats/ruling.md).
func (c *Custody) SealSaid(ctx context.Context, id collection.ID, s Said) (func(ruling.Number) ([]byte, error), error) {
	root, err := c.ring.Collection(ctx, string(id))
	if err != nil {
		return nil, err
	}
	kind := "text"
	if s.Name {
		kind = "name"
	}
	return func(n ruling.Number) ([]byte, error) {
		return lexiconAEAD(saidKey(root)).Seal(nil, nil, []byte(kind+"\x00"+strings.TrimSpace(s.Text)), saidName(id, n)), nil
	}, nil
}

// OpenSaid is what was sealed with a decision.
func (c *Custody) OpenSaid(ctx context.Context, x *ruling.Ruling) (Said, error) {
	root, err := c.ring.Collection(ctx, string(x.Collection))
	if err != nil {
		return Said{}, err
	}
	return openSaid(root, x)
}

func openSaid(root keys.Key, x *ruling.Ruling) (Said, error) {
	b, err := lexiconAEAD(saidKey(root)).Open(nil, nil, x.Sealed, saidName(x.Collection, x.Number))
	kind, text, ok := strings.Cut(string(b), "\x00")
	if err != nil || !ok {
		return Said{}, fault.New(fault.Corrupt, "read standing decision", "decision "+x.Number.String()+" of collection "+string(x.Collection), "it cannot be decrypted")
	}
	return Said{kind == "name", text}, nil
}

// common are the terms of what is said to identify in a collection.
func common(root keys.Key, id collection.ID, decided []ruling.Ruling) (l *deid.Lexicon, err error) {
	var terms []deid.Term
	for i := range decided {
		if decided[i].Subject != ruling.Identifier {
			continue
		}
		s, err := openSaid(root, &decided[i])
		if err != nil {
			return nil, err
		}
		terms = append(terms, s.terms()...)
	}
	return (*deid.Lexicon)(nil).With(terms...)
}

func lastSaid(decided []ruling.Ruling) (n ruling.Number) {
	for i := range decided {
		if decided[i].Subject == ruling.Identifier {
			n = max(n, decided[i].Number)
		}
	}
	return n
}

// jobSaid searches what is in sight of a collection for what is said to identify in it.
const jobSaid = "said"

// SearchSaid asks for that, in the transaction in which it is said.
func (c *Custody) SearchSaid(tx *db.Tx, id collection.ID) error {
	return c.jobs.Add(tx, jobSaid, string(id), nil, time.Now())
}

// saidPage is how many instances are searched between two looks at whether to go on.
const saidPage = 500

// Said is the handler of that job.
func (c *Custody) Said(ctx context.Context, key string, _ []byte) error {
	id := collection.ID(key)
	c.rulings.Forget(id)
	w, err := c.ward(ctx, id)
	if err != nil {
		return err
	}
	if w.common.Len() == 0 || w.profile.AsDeposited {
		return nil
	}
	m := w.profile.Matcher(w.common)
	var after catalogue.InstanceID
	held := 0
	for {
		page, err := c.catalogue.InSight(ctx, id, after, saidPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		var found []finding
		for _, row := range page {
			sub, err := c.subjects.Get(ctx, row.Subject)
			if err != nil {
				return err
			}
			if sub.IsWithdrawn() {
				continue
			}
			key, err := c.ring.Get(ctx, keys.ID(sub.Key))
			if err != nil {
				return err
			}
			f, err := c.listen(ctx, m, row, key)
			if err != nil {
				return err
			}
			if len(f.why) > 0 {
				found = append(found, f)
			}
		}
		if len(found) == 0 {
			continue
		}
		held += len(found)
		if err := c.db.Write(ctx, func(tx *db.Tx) error { return c.hide(tx, found) }); err != nil {
			return err
		}
	}
	return c.db.Write(ctx, func(tx *db.Tx) error {
		return c.audit.Append(tx, audit.Entry{Actor: "node", Action: "search for what identifies", Object: "decision " + strconv.FormatInt(int64(w.said), 10), Collection: key, Outcome: fmt.Sprintf("held %d", held)})
	})
}
