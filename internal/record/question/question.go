// Package question is the record of what people ask about a page and of what is answered: one thread for each question.
//
// It promises: of a private link only the SHA-256 of its secret is kept; a link that was ended, or is past its time, opens nothing. Whoever changes something
// passes the transaction in which the audit entry is written too. docs/formats/question.md says what each column means.
//
// It cannot read what was written: texts come and go sealed. It does not decide who may see a thread.
package question

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/base64"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
)

//go:embed migrations
var migrations embed.FS

// ID is the number of a question.
type ID int64

func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// NewID is a number that was not given before: texts are sealed to it before they are stored.
func NewID() (ID, error) {
	n, err := ident.New()
	return ID(n), err
}

// ParseID reads a number.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.NotFound, "find question", "", "there is no such question of yours")
	}
	return ID(n), nil
}

// Turn is whose turn it is. The numbers are stored.
type Turn int64

// The turns.
const (
	ToAnswer Turn = 1 // it waits for who answers
	Answered Turn = 2
	Closed   Turn = 3
)

// Node is the ward of what concerns no collection: the node's administrators answer.
const Node = ""

// Question is a thread without its messages.
type Question struct {
	ID       ID
	Ward     string // a collection's id, or Node
	Asker    string // what the audit log calls who asked; empty: a visitor
	Key      [16]byte
	Head     []byte    // sealed
	Contact  []byte    // sealed; nil: none
	LinkEnds time.Time // zero: there is no link, or it was ended
	Turn     Turn
	Created  time.Time
	Changed  time.Time
	Seen     time.Time // by the asker
}

// Message is one of a thread.
type Message struct {
	Seq    int64
	Answer bool   // of who answers
	Actor  string // empty: the visitor
	Text   []byte // sealed
	At     time.Time
}

// Link is the secret of a private link. It prints as nothing; Reveal gives it once to who made it.
type Link struct{ text string }

func (Link) String() string   { return "(link)" }
func (Link) GoString() string { return "(link)" }

// Reveal is the secret itself.
func (l Link) Reveal() string { return l.text }

// NewLink draws 256 bits.
func NewLink() Link {
	var b [32]byte
	rand.Read(b[:])
	return Link{base64.RawURLEncoding.EncodeToString(b[:])}
}

func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// LinkFor is how long a private link opens its thread after the last message.
const LinkFor = 180 * 24 * time.Hour

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "question", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Add begins a thread with its first message; link may be nil. It waits for an answer.
func (r *Record) Add(tx *db.Tx, q Question, first Message, link *Link) error {
	now := db.Micros(time.Now())
	var hash any
	ends := int64(0)
	if link != nil {
		hash, ends = digest(link.text), now+LinkFor.Microseconds()
	}
	var contact any
	if q.Contact != nil {
		contact = q.Contact
	}
	if _, err := tx.Exec(`INSERT INTO question (id, ward, asker, key_id, head, contact, link, link_ends, turn, created, changed, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(q.ID), q.Ward, q.Asker, q.Key[:], q.Head, contact, hash, ends, int64(ToAnswer), now, now, now); err != nil {
		return err
	}
	return insert(tx, q.ID, first, now)
}

func insert(tx *db.Tx, id ID, m Message, now int64) error {
	answer := int64(0)
	if m.Answer {
		answer = 1
	}
	_, err := tx.Exec(`INSERT INTO question_message (question, seq, answer, actor, body, at) VALUES (?, ?, ?, ?, ?, ?)`, int64(id), m.Seq, answer, m.Actor, m.Text, now)
	return err
}

// Next is the number of the message that comes next: texts are sealed to it.
func (r *Record) Next(ctx context.Context, id ID) (int64, error) {
	var n int64
	err := r.d.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM question_message WHERE question = ?`, int64(id)).Scan(&n)
	return n, err
}

// Reply adds a message to a thread and hands the turn over; a closed thread is open again. If another message took the number meanwhile, the error is a
// fault.Conflict: ask for the next number again.
func (r *Record) Reply(tx *db.Tx, id ID, m Message) error {
	const attempt = "reply to question"
	if err := tx.Lock("question " + id.String()); err != nil {
		return err
	}
	var next int64
	if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1 FROM question_message WHERE question = ?`, int64(id)).Scan(&next); err != nil {
		return err
	}
	if next != m.Seq {
		return fault.New(fault.Conflict, attempt, "question "+id.String(), "another message came meanwhile")
	}
	now, turn := db.Micros(time.Now()), ToAnswer
	if m.Answer {
		turn = Answered
	}
	res, err := tx.Exec(`UPDATE question SET turn = ?, changed = ? WHERE id = ?`, int64(turn), now, int64(id))
	if err := changed(res, err, attempt); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE question SET link_ends = ? WHERE id = ? AND link_ends > 0`, now+LinkFor.Microseconds(), int64(id)); err != nil {
		return err
	}
	return insert(tx, id, m, now)
}

// SetClosed closes a thread, or opens it again: then it waits for an answer.
func (r *Record) SetClosed(tx *db.Tx, id ID, closed bool) error {
	turn := ToAnswer
	if closed {
		turn = Closed
	}
	res, err := tx.Exec(`UPDATE question SET turn = ?, changed = ? WHERE id = ?`, int64(turn), db.Micros(time.Now()), int64(id))
	return changed(res, err, "change question")
}

// EndLink ends the private link of a thread for good.
func (r *Record) EndLink(tx *db.Tx, id ID) error {
	res, err := tx.Exec(`UPDATE question SET link = NULL, link_ends = 0 WHERE id = ?`, int64(id))
	return changed(res, err, "end link")
}

// See notes that the asker has looked at the thread.
func (r *Record) See(tx *db.Tx, id ID) error {
	_, err := tx.Exec(`UPDATE question SET seen = ? WHERE id = ?`, db.Micros(time.Now()), int64(id))
	return err
}

// Erase deletes a thread. Its key is for the caller to destroy.
func (r *Record) Erase(tx *db.Tx, id ID) error {
	if _, err := tx.Exec(`DELETE FROM question_message WHERE question = ?`, int64(id)); err != nil {
		return err
	}
	res, err := tx.Exec(`DELETE FROM question WHERE id = ?`, int64(id))
	return changed(res, err, "erase question")
}

func changed(res sql.Result, err error, attempt string) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.NotFound, attempt, "", "there is no such question of yours")
}

const columns = `SELECT id, ward, asker, key_id, head, contact, link_ends, turn, created, changed, seen FROM question`

func scan(row interface{ Scan(...any) error }) (q Question, err error) {
	var key []byte
	var ends, created, changed, seen int64
	if err := row.Scan(&q.ID, &q.Ward, &q.Asker, &key, &q.Head, &q.Contact, &ends, &q.Turn, &created, &changed, &seen); err != nil {
		return q, err
	}
	if copy(q.Key[:], key) != len(q.Key) {
		return q, fault.New(fault.Corrupt, "read question", "question "+q.ID.String(), "its key reference has another length")
	}
	if ends != 0 {
		q.LinkEnds = db.Time(ends)
	}
	q.Created, q.Changed, q.Seen = db.Time(created), db.Time(changed), db.Time(seen)
	return q, nil
}

// Get is a thread without its messages; a fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, id ID) (Question, error) {
	return found(scan(r.d.QueryRow(ctx, columns+` WHERE id = ?`, int64(id))))
}

// ByLink is the thread that a private link opens. Every failure is the same fault.NotFound.
func (r *Record) ByLink(ctx context.Context, secret string) (Question, error) {
	if len(secret) != 43 {
		return found(Question{}, sql.ErrNoRows)
	}
	return found(scan(r.d.QueryRow(ctx, columns+` WHERE link = ? AND link_ends > ?`, digest(secret), db.Micros(time.Now()))))
}

func found(q Question, err error) (Question, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return q, fault.New(fault.NotFound, "find question", "", "there is no such question of yours, or its link was ended")
	}
	return q, err
}

// Messages lists those of a thread in order.
func (r *Record) Messages(ctx context.Context, id ID) ([]Message, error) {
	rows, err := r.d.Query(ctx, `SELECT seq, answer, actor, body, at FROM question_message WHERE question = ? ORDER BY seq`, int64(id))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Message
	for rows.Next() {
		var m Message
		var answer, at int64
		if err := rows.Scan(&m.Seq, &answer, &m.Actor, &m.Text, &at); err != nil {
			return nil, db.Fault("read question", err)
		}
		m.Answer, m.At = answer == 1, db.Time(at)
		all = append(all, m)
	}
	return all, db.Fault("read question", rows.Err())
}

// Wards are where somebody answers: every collection, some, the node, or nothing at all.
type Wards struct {
	Every bool     // collection
	Some  []string // collections
	Node  bool
}

// None reports that there are none.
func (w Wards) None() bool { return !w.Every && len(w.Some) == 0 && !w.Node }

// Has reports whether a ward is among them.
func (w Wards) Has(ward string) bool {
	if ward == Node {
		return w.Node
	}
	if w.Every {
		return true
	}
	for _, s := range w.Some {
		if s == ward {
			return true
		}
	}
	return false
}

// where is the condition on the column ward.
func (w Wards) where() (string, []any) {
	var some []string
	var args []any
	if w.Every {
		some = append(some, `ward <> ''`)
	} else if len(w.Some) > 0 {
		some = append(some, `ward IN (`+strings.TrimSuffix(strings.Repeat("?,", len(w.Some)), ",")+`)`)
		for _, s := range w.Some {
			args = append(args, s)
		}
	}
	if w.Node {
		some = append(some, `ward = ''`)
	}
	if len(some) == 0 {
		return `1 = 0`, nil
	}
	return `(` + strings.Join(some, ` OR `) + `)`, args
}

// In lists the threads of wards, those that wait for an answer first, then the latest; at most limit, after offset.
func (r *Record) In(ctx context.Context, w Wards, limit, offset int) ([]Question, error) {
	where, args := w.where()
	return r.list(ctx, columns+` WHERE `+where+` ORDER BY CASE WHEN turn = 1 THEN 0 ELSE 1 END, CASE WHEN turn = 1 THEN changed ELSE -changed END, id LIMIT ? OFFSET ?`,
		append(args, int64(limit), int64(offset))...)
}

// Of lists what somebody has asked, the latest first.
func (r *Record) Of(ctx context.Context, asker string, limit, offset int) ([]Question, error) {
	if asker == "" {
		return nil, nil
	}
	return r.list(ctx, columns+` WHERE asker = ? AND asker <> '' ORDER BY changed DESC, id LIMIT ? OFFSET ?`, asker, int64(limit), int64(offset))
}

func (r *Record) list(ctx context.Context, text string, args ...any) ([]Question, error) {
	rows, err := r.d.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Question
	for rows.Next() {
		q, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list questions", err)
		}
		all = append(all, q)
	}
	return all, db.Fault("list questions", rows.Err())
}

// Waiting counts the threads of wards that wait for an answer, and says since when the oldest does.
func (r *Record) Waiting(ctx context.Context, w Wards) (n int64, since time.Time, err error) {
	if w.None() {
		return 0, time.Time{}, nil
	}
	where, args := w.where()
	var oldest int64
	err = r.d.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MIN(changed), 0) FROM question WHERE turn = 1 AND `+where, args...).Scan(&n, &oldest)
	if n > 0 {
		since = db.Time(oldest)
	}
	return n, since, err
}

// Unseen counts the answers' threads that their asker has not looked at yet.
func (r *Record) Unseen(ctx context.Context, asker string) (n int64, err error) {
	if asker == "" {
		return 0, nil
	}
	err = r.d.QueryRow(ctx, `SELECT COUNT(*) FROM question WHERE asker = ? AND asker <> '' AND turn = 2 AND changed > seen`, asker).Scan(&n)
	return n, err
}
