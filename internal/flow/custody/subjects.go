package custody

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// person is a subject that deposits are arriving for: everything that is needed for each of its instances, kept in memory while it is in use.
type person struct {
	id    subject.ID
	keyID keys.ID
	key   keys.Key
	pseud subject.Pseudonym
	link  subject.Link

	seen    seen
	told    told
	content keys.Key // key of the digests of what was received
	lexKey  keys.Key // key of the stored lexicon

	clean *deid.Subject // pseudonym, date shift, UIDs and the matcher of the lexicon
}

const (
	// maxPeople bounds the subjects kept in memory: as many as images arrive of at about the same time, for what was sent of one a while ago is of no use.
	maxPeople = 256
	// maxAwake bounds those of them of whom everything is remembered that makes cleaning the next object of theirs cheaper: some hundred kilobytes each, up to megabytes.
	maxAwake = 32
)

// people caches persons by collection and link.
type people struct {
	mu    sync.Mutex
	order *list.List // of *peopleEntry, most recent first
	by    map[peopleKey]*list.Element
	awake *list.List // of *peopleEntry, likewise: the first maxAwake
}

type peopleKey struct {
	collection collection.ID
	link       subject.Link
	profile    *deid.Profile // a deposit that began before the collection's profile was changed goes on by the old one
	said       ruling.Number // and by what was known of the collection
	given      bool          // a gateway has cleaned what comes of it
}

type peopleEntry struct {
	key   peopleKey
	once  sync.Mutex
	p     *person
	ready bool
	awake *list.Element // in people.awake, with whose lock
}

func newPeople() *people {
	return &people{order: list.New(), by: map[peopleKey]*list.Element{}, awake: list.New()}
}

func (c *people) entry(key peopleKey) *peopleEntry {
	x, tired := c.find(key)
	if tired != nil && tired.once.TryLock() { // or it is wanted again just now
		if tired.ready {
			tired.p.clean.Rest()
			tired.p.seen.rest()
		}
		tired.once.Unlock()
	}
	return x
}

// find gives the entry of a key, and the one for which there is no room any more among those that are awake.
func (c *people) find(key peopleKey) (x, tired *peopleEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[key]; ok {
		c.order.MoveToFront(e)
		x = e.Value.(*peopleEntry)
	} else {
		x = &peopleEntry{key: key}
		c.by[key] = c.order.PushFront(x)
		if c.order.Len() > maxPeople {
			c.drop(c.order.Back())
		}
	}
	if x.awake != nil {
		c.awake.MoveToFront(x.awake)
		return x, nil
	}
	x.awake = c.awake.PushFront(x)
	if c.awake.Len() > maxAwake {
		tired = c.awake.Remove(c.awake.Back()).(*peopleEntry)
		tired.awake = nil
	}
	return x, tired
}

func (c *people) drop(e *list.Element) {
	x := c.order.Remove(e).(*peopleEntry)
	delete(c.by, x.key)
	if x.awake != nil {
		c.awake.Remove(x.awake)
		x.awake = nil
	}
}

// forget drops what is kept of a subject: the next instance reads what is stored of it.
func (c *people) forget(key peopleKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[key]; ok {
		c.drop(e)
	}
}

// person is the subject of the link, made with a key of its own if it is new. The key and the row are durable before it returns.
func (c *Custody) person(ctx context.Context, col *ward, who deid.Identity) (*person, error) {
	link := subject.Link(who.Link(col.keys))
	key := peopleKey{collection: col.row.ID, link: link, profile: col.profile, said: col.said}
	return c.remembered(ctx, col, key, subject.Pseudonym(col.keys.Pseudonym(link)), func(lex *deid.Lexicon) *deid.Subject {
		return deid.NewSubject(col.profile, col.keys, who, lex)
	})
}

// remembered is the subject of a key, from memory if it is there.
func (c *Custody) remembered(ctx context.Context, col *ward, key peopleKey, pseudonym subject.Pseudonym, begin func(*deid.Lexicon) *deid.Subject) (*person, error) {
	e := c.people.entry(key)
	e.once.Lock()
	defer e.once.Unlock()
	if e.ready {
		row, err := c.gate.Get(ctx, e.p.id)
		if err != nil {
			return nil, err
		}
		return e.p, unwithdrawn(col.row.ID, &row)
	}
	p, err := c.loadPerson(ctx, col, key.link, pseudonym, begin)
	if err != nil {
		return nil, err
	}
	e.p, e.ready = p, true
	return p, nil
}

func (c *Custody) loadPerson(ctx context.Context, col *ward, link subject.Link, pseudonym subject.Pseudonym, begin func(*deid.Lexicon) *deid.Subject) (*person, error) {
	row, err := c.subjects.Find(ctx, col.row.ID, link)
	fresh := fault.Is(err, fault.NotFound)
	if fresh {
		row, err = c.addPerson(ctx, col, link, pseudonym)
	}
	if err != nil {
		return nil, err
	}
	if err := unwithdrawn(col.row.ID, &row); err != nil {
		return nil, err
	}
	p := &person{id: row.ID, keyID: keys.ID(row.Key), pseud: row.Pseudonym, link: link}
	if p.key, err = c.ring.Get(ctx, p.keyID); err != nil {
		return nil, err
	}
	p.content = p.key.Derive("content digest")
	p.lexKey = p.key.Derive("lexicon")
	lex, err := openLexicon(p.lexKey, row.ID, row.Lexicon)
	if err != nil {
		return nil, err
	}
	p.clean = begin(lex)
	p.clean.Also(col.common)
	if fresh {
		p.seen.uids = map[string]struct{}{}
	}
	return p, nil
}

func unwithdrawn(c collection.ID, row *subject.Subject) error {
	if row.IsWithdrawn() {
		return fault.New(fault.Denied, "receive instance", "collection "+string(c), "the subject has been withdrawn from this collection")
	}
	return nil
}

func (c *Custody) addPerson(ctx context.Context, col *ward, link subject.Link, pseudonym subject.Pseudonym) (subject.Subject, error) {
	id, _, err := c.ring.New(ctx)
	if err != nil {
		return subject.Subject{}, err
	}
	var row subject.Subject
	var made bool
	err = c.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		row, made, err = c.subjects.Ensure(tx, col.row.ID, link, pseudonym, subject.KeyID(id))
		return err
	})
	// After a failure nobody can say whether the row is there: then the key stays, since a row whose key is gone would keep nothing ever again.
	if err == nil && !made {
		if derr := c.ring.Destroy(ctx, id); derr != nil {
			c.log.Warn("a key that was never used could not be destroyed", "error", derr)
		}
	}
	return row, err
}

// seen remembers the instances of a subject that was new: what is not among them need not be asked for in the catalogue.
type seen struct {
	mu   sync.Mutex
	uids map[string]struct{} // nil: not all are remembered
}

const maxSeen = 20_000

// rest forgets them: the catalogue knows them too.
func (s *seen) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uids = nil
}

// first reports that an instance of this UID certainly did not come before, and remembers it.
func (s *seen) first(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uids == nil {
		return false
	}
	if _, before := s.uids[uid]; before {
		return false
	}
	s.uids[uid] = struct{}{}
	if len(s.uids) > maxSeen {
		s.uids = nil
	}
	return true
}

// digest names what was received, keyed by the subject's key: after erasure it confirms nothing.
func (p *person) digest(sum [32]byte) [32]byte {
	h := hmac.New(sha256.New, p.content[:])
	h.Write(sum[:])
	var out [32]byte
	h.Sum(out[:0])
	return out
}
