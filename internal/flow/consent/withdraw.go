package consent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// jobErase destroys a subject's key when the hold is over, and jobSuspend has it given to nobody until then.
const (
	jobErase   = "erase a subject"
	jobSuspend = "suspend a subject's key"
)

// furthest is how far ahead a job is put off: a job that lies further ahead is taken for one that another clock has put there, and done at once.
const furthest = 7 * 24 * time.Hour

// wait asks for the erasure, or for another look at whether it is due.
func (d *Desk) wait(tx *db.Tx, key string, after time.Time) error {
	if far := d.Now().Add(furthest); after.After(far) {
		after = far
	}
	return d.Jobs.Add(tx, jobErase, key, nil, after)
}

// hide takes everything of a subject out of sight for good. The collection's lock is taken first, as whoever adds an image takes it: what was acknowledged a moment before comes into no sight either.
func (d *Desk) hide(tx *db.Tx, actor string, s subject.Subject, since time.Time) (consent.Withdrawal, error) {
	w := consent.Withdrawal{Collection: s.Collection, Subject: s.ID, Scope: judge.FromUse, Actor: actor, Created: since, EraseAfter: since.Add(Hold)}
	changed, err := d.Catalogue.Withdraw(tx, s.Collection, s.ID)
	if err != nil {
		return w, err
	}
	if _, err := d.Subjects.Withdraw(tx, s.ID); err != nil {
		return w, err
	}
	for _, c := range changed {
		if c.Instances > 0 {
			w.Studies++
			w.Instances += c.Instances
		}
	}
	if w.ID, err = d.Consent.AddWithdrawal(tx, w); err != nil {
		return w, err
	}
	if d.Withdrawn != nil {
		if err := d.Withdrawn(tx, s); err != nil {
			return w, err
		}
	}
	key := strconv.FormatInt(w.ID, 10)
	if err := d.Jobs.Add(tx, jobSuspend, key, nil, d.Now()); err != nil {
		return w, err
	}
	return w, d.wait(tx, key, w.EraseAfter)
}

// Restored takes a subject out of sight whose key the newest keys call suspended or destroyed, on a node that was restored from a backup of before: what the backup does not know of the withdrawal is
// made again as far as the key tells it. It is called before the node serves, in the transaction that settles it.
func (d *Desk) Restored(tx *db.Tx, s subject.Subject, m keys.Mark) error {
	since := m.Suspended
	if since.IsZero() {
		since = m.Destroyed
	}
	w, err := d.hide(tx, "node", s, since)
	if err != nil {
		return err
	}
	outcome := "its key was suspended after the backup"
	if !m.Destroyed.IsZero() {
		outcome = "its key was destroyed after the backup"
		if _, err := d.Clinical.Erase(tx, s.ID); err != nil {
			return err
		}
		if err := d.Consent.SetErased(tx, w.ID, m.Destroyed); err != nil {
			return err
		}
	}
	return d.Audit.Append(tx, audit.Entry{Actor: "node", Action: policy.Withdraw.String(), Object: fmt.Sprintf("subject %d", int64(s.ID)), Collection: string(s.Collection), Outcome: outcome})
}

// Handlers are the jobs that are done here.
func (d *Desk) Handlers() map[string]jobs.Handler {
	return maps.Clone(map[string]jobs.Handler{jobErase: d.erase, jobSuspend: d.suspend})
}

// suspend has the key of a subject given to nobody. The withdrawal does so when its transaction has been committed; whatever kept it from that, the job does not.
func (d *Desk) suspend(ctx context.Context, key string, _ []byte) error {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return fault.New(fault.Internal, jobSuspend, "", "its number is none")
	}
	w, err := d.Consent.Withdrawal(ctx, id)
	if err != nil {
		return err
	}
	s, err := d.Subjects.Get(ctx, w.Subject)
	if err != nil {
		return err
	}
	return d.Ring.Suspend(ctx, keys.ID(s.Key))
}

// erase destroys the key of a subject, and what is known of them besides. It can be done again after any failure.
func (d *Desk) erase(ctx context.Context, key string, _ []byte) error {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return fault.New(fault.Internal, jobErase, "", "its number is none")
	}
	w, err := d.Consent.Withdrawal(ctx, id)
	if err != nil || !w.Erased.IsZero() {
		return err
	}
	if now := d.Now(); now.Before(w.EraseAfter) { // it was looked at on the way, or the clock was set back
		return d.DB.Write(ctx, func(tx *db.Tx) error { return d.wait(tx, key, w.EraseAfter) })
	}
	s, err := d.Subjects.Get(ctx, w.Subject)
	if err != nil {
		return err
	}
	if !s.IsWithdrawn() {
		return fault.New(fault.Internal, jobErase, "subject "+key, "it is not withdrawn")
	}
	if err := d.Ring.Destroy(ctx, keys.ID(s.Key)); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := d.Clinical.Erase(tx, s.ID); err != nil {
			return err
		}
		if err := d.Consent.SetErased(tx, w.ID, d.Now()); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: "node", Action: jobErase, Object: fmt.Sprintf("subject %d", int64(s.ID)), Collection: string(s.Collection), Outcome: "its key was destroyed"})
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// EraseNow has the key of a subject who has withdrawn destroyed before the hold is over. It is done when it returns.
func (d *Desk) EraseNow(ctx context.Context, who admin.Caller, id collection.ID, withdrawal int64) error {
	if err := d.allowed(ctx, who, policy.EraseNow, id); err != nil {
		return err
	}
	w, err := d.Consent.Withdrawal(ctx, withdrawal)
	if err != nil || w.Collection != id {
		return fault.New(fault.NotFound, policy.EraseNow.String(), "collection "+string(id), "there is no such withdrawal")
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := d.Consent.Hasten(tx, w.ID, d.Now()); err != nil {
			return err
		}
		if err := d.Jobs.Add(tx, jobErase, strconv.FormatInt(w.ID, 10), nil, d.Now()); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: policy.EraseNow.String(), Object: fmt.Sprintf("subject %d", int64(w.Subject)), Collection: string(id), Outcome: "asked for"})
	})
	if err != nil {
		return err
	}
	return d.erase(ctx, strconv.FormatInt(w.ID, 10), nil)
}

// CertificateFormat names the form of a certificate, and is what its signature says first.
const CertificateFormat = "vitrine-withdrawal 1"

// Certificate says what was done when somebody withdrew. docs/formats/consent.md.
type Certificate struct {
	Format     string         `json:"format"`
	Collection string         `json:"collection"`
	Pseudonym  string         `json:"pseudonym"`
	Scope      judge.Scope    `json:"scope"`
	Moment     time.Time      `json:"moment"` // of the certificate
	Withdrawn  time.Time      `json:"withdrawn"`
	Studies    int64          `json:"studies"` // taken out of sight then
	Instances  int64          `json:"instances"`
	EraseAfter time.Time      `json:"erase_after"`
	Erased     *time.Time     `json:"erased"`       // when the key was destroyed; null: it is not yet
	Key        bool           `json:"key_is_there"` // as the key ring says at the moment of the certificate
	Copies     *recall.Copies `json:"copies"`       // projects that were given copies before, and what became of these; null: this node cannot tell
	Says       []string       `json:"says"`
}

// Signed is a document as it is given away: canonical JSON (RFC 8785), and the note that the node signed for it.
type Signed struct {
	Document  string `json:"document"`
	Signature string `json:"signature"`
	PublicKey string `json:"public_key"`
}

// saysOf tells of recipients in words.
func saysOf(n recall.Copies) string {
	if n.Recipients == 0 {
		return "No project was given copies of this person's images in a release of this node."
	}
	return fmt.Sprintf("Projects that were given copies in releases before: %d. Of these %d have attested that the copies are deleted, excluded or used no more, %d that this is not feasible, %d owe their answer in time, %d are overdue, %d are told when the week is over, and of %d no answer is asked. Copies outside this node are beyond its reach: it says what their recipients attested, and not that it is so.",
		n.Recipients, n.Attested, n.NotFeasible, n.Told, n.Overdue, n.Waiting, n.Waived)
}

// Certify says what was done when somebody withdrew from use, signed. Whoever may record a withdrawal may have it.
func (d *Desk) Certify(ctx context.Context, who admin.Caller, id collection.ID, withdrawal int64) (*Certificate, *Signed, error) {
	const attempt = "certify a withdrawal"
	if err := d.allowed(ctx, who, policy.Withdraw, id); err != nil {
		return nil, nil, err
	}
	w, err := d.Consent.Withdrawal(ctx, withdrawal)
	if err != nil || w.Collection != id {
		return nil, nil, fault.New(fault.NotFound, attempt, "collection "+string(id), "there is no such withdrawal")
	}
	s, err := d.Subjects.Get(ctx, w.Subject)
	if err != nil {
		return nil, nil, err
	}
	mark, err := d.Ring.Marked(ctx, keys.ID(s.Key))
	if err != nil {
		return nil, nil, err
	}
	gone := !mark.Destroyed.IsZero()
	c := &Certificate{Format: CertificateFormat, Collection: string(id), Pseudonym: string(s.Pseudonym), Scope: w.Scope, Moment: d.Now().UTC().Truncate(time.Second),
		Withdrawn: w.Created.UTC(), Studies: w.Studies, Instances: w.Instances, EraseAfter: w.EraseAfter.UTC(), Key: !gone}
	c.Says = append(c.Says, "From the moment of the withdrawal this node serves nothing of this person, by any way.")
	if !w.Erased.IsZero() {
		at := w.Erased.UTC()
		c.Erased = &at
	}
	if gone {
		c.Says = append(c.Says, "The key that everything kept of this person was encrypted with has been destroyed: what is left in this node's packs, in its bucket and mirror, and in backups can be read by nobody.",
			"Backups of the keys that were made before are to be removed by who keeps them; a restore takes the newest, in which this key is not.")
	} else {
		c.Says = append(c.Says, "What is kept of this person is still encrypted under a key that exists and that this node gives to nobody; it is destroyed when the hold is over.")
	}
	c.Says = append(c.Says, "That this person has withdrawn is kept, as a keyed hash, so that nothing of theirs is taken again.")
	if d.Copies == nil {
		c.Says = append(c.Says, "Who was given copies before is not part of this certificate.")
	} else {
		n, err := d.Copies(ctx, s.ID)
		if err != nil {
			return nil, nil, err
		}
		c.Copies = &n
		c.Says = append(c.Says, saysOf(n))
	}
	if d.Signer == nil {
		return c, nil, fault.New(fault.Unavailable, attempt, "", "the key that signs is not at hand")
	}
	text, err := json.Marshal(c)
	if err == nil {
		text, err = jcs.Transform(text)
	}
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, attempt, "", err)
	}
	note, err := d.Signer.Attest(CertificateFormat, text)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(text)
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: attempt, Object: fmt.Sprintf("subject %d", int64(s.ID)), Collection: string(id), Outcome: "signed", Sealed: sum[:]})
	})
	return c, &Signed{string(text), note, d.Signer.Public()}, err
}

// WithdrawalView is a withdrawal as it is listed.
type WithdrawalView struct {
	ID         string      `json:"id"`
	Pseudonym  string      `json:"pseudonym"`
	Scope      judge.Scope `json:"scope"`
	By         string      `json:"by"`
	At         time.Time   `json:"at"`
	EraseAfter time.Time   `json:"erase_after"`
	Erased     *time.Time  `json:"erased,omitempty"`
	Studies    int64       `json:"studies"`
	Instances  int64       `json:"instances"`
}

// mostListed bounds what is listed at a time.
const mostListed = 1000

// Withdrawals lists who has withdrawn from use, the latest first: to who may see consent in the collection.
func (d *Desk) Withdrawals(ctx context.Context, who admin.Caller, id collection.ID) ([]WithdrawalView, error) {
	if err := d.allowed(ctx, who, policy.SeeConsent, id); err != nil {
		return nil, err
	}
	all, err := d.Consent.Withdrawals(ctx, id, mostListed)
	if err != nil {
		return nil, err
	}
	out := make([]WithdrawalView, len(all))
	for i, w := range all {
		s, err := d.Subjects.Get(ctx, w.Subject)
		if err != nil {
			return nil, err
		}
		out[i] = WithdrawalView{ID: strconv.FormatInt(w.ID, 10), Pseudonym: string(s.Pseudonym), Scope: w.Scope, By: w.Actor, At: w.Created, EraseAfter: w.EraseAfter, Erased: admin.When(w.Erased), Studies: w.Studies, Instances: w.Instances}
	}
	return out, nil
}
