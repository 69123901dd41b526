package custody

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// entry is an instance on its way from its pack to the catalogue.
type entry struct {
	deposit *Deposit
	person  *person
	terms   *deid.Lexicon // what it taught of its subject; nil: nothing
	digest  [32]byte
	row     catalogue.Entry // but for its place
	durable func()          // it is on stable storage
	settled func()          // it is in the catalogue, or never will be
	accepts *acceptance     // of one that was held; nil: it is new
	work    work
}

// sealedMeta is what stands beside the layout in the meta section of a record: everything that is needed to make the instance's rows again (docs/formats/object.md). It is encrypted under
// the subject's key like the rest.
type sealedMeta struct {
	Version   int               `json:"v"`
	Row       catalogue.Entry   `json:"row"`
	Link      subject.Link      `json:"link"`
	Pseudonym subject.Pseudonym `json:"pseudonym"`
	Terms     []byte            `json:"terms,omitempty"`
	Received  time.Time         `json:"received"`
	Accepts   *acceptance       `json:"accepts,omitempty"` // of acceptedVersion
	Given     *Given            `json:"given,omitempty"`   // by a gateway that has cleaned it
	work
}

const (
	metaVersion     = 1
	acceptedVersion = 2 // a record that takes the place of one that was held
	keptVersion     = 3 // one that does so and is for stewards alone
)

// decodeMeta reads what [arrival.enter] and [accepting.keep] wrote.
func decodeMeta(rest []byte) (m sealedMeta, err error) {
	if err = json.Unmarshal(rest, &m); err == nil && (m.Version < metaVersion || m.Version > keptVersion || (m.Version >= acceptedVersion) != (m.Accepts != nil) ||
		(m.Version == keptVersion) != (m.Row.State == policy.Restricted)) {
		err = fault.New(fault.Corrupt, "read description", "", "it is of a version that is not known")
	}
	return m, err
}

// enter makes the entry of a judged instance and the meta section that goes with it.
func (a *arrival) enter(p *person, res *deid.Result, digest [32]byte, layout object.Layout, head []byte) (*entry, []byte, error) {
	d := a.dep
	var bulk int64
	for _, s := range layout.Bulk {
		bulk = max(bulk, s.Off+s.Len)
	}
	if layout.Deflated {
		bulk = int64(len(a.deflated))
	}
	row := catalogue.Entry{
		Collection: d.ward.row.ID, Subject: p.id,
		Study: catalogue.StudyUID(res.StudyInstanceUID), Series: catalogue.SeriesUID(res.SeriesInstanceUID), SOP: catalogue.SOPUID(res.SOPInstanceUID),
		HeadSize: int64(len(head)), BulkSize: bulk, Digest: digest, State: policy.Received, Deposit: d.ID, Ordinal: a.in.Ordinal, Lexicon: int64(res.Lexicon.Version()),
	}
	if res.Outcome == deid.Held {
		row.State = policy.Held
		row.InstanceAttributes = describeInstance(a.data)
		for _, r := range res.Reasons {
			row.Reasons = append(row.Reasons, catalogue.Reason(r))
		}
	} else {
		clean := a.data
		if !a.untouched(res) {
			var err error
			if clean, err = res.Rendered.Dataset(); err != nil {
				return nil, nil, fault.Wrap(fault.Internal, "read cleaned instance", "", err)
			}
		}
		row.InstanceAttributes = describeInstance(clean)
		row.StudyAttributes = describeStudy(clean)
		row.SeriesAttributes = describeSeries(clean)
		if d.first("study " + res.StudyInstanceUID) {
			row.StudyAttributes.JSON = others(clean, studyTags)
		}
		if d.first("series " + res.SeriesInstanceUID) {
			row.SeriesAttributes.JSON = others(clean, seriesTags)
		}
	}
	row.Unread = d.c.unread(d.ward, a.data) && (a.in.Given == nil || !a.in.Given.looked())
	m := sealedMeta{Version: metaVersion, Given: a.in.Given, Row: row, Link: p.link, Pseudonym: p.pseud, Received: a.received.UTC(), work: a.worked(res, head)}
	terms, err := (*deid.Lexicon)(nil).With(res.NewTerms...)
	if err != nil {
		return nil, nil, err
	}
	if terms.Len() > 0 {
		m.Terms = terms.Encode()
	}
	rest, err := m.encode()
	if err != nil {
		return nil, nil, err
	}
	meta, err := object.EncodeMeta(layout, rest)
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, "describe instance", "", err)
	}
	return &entry{deposit: d, person: p, terms: terms, digest: digest, row: row, durable: func() {}, settled: func() {}, work: m.work}, meta, nil
}

// nameless makes the entry one that is held and tells nothing of itself.
func (e *entry) nameless() {
	e.row.State = policy.Held
	e.row.Reasons = []catalogue.Reason{{Code: codeUncatalogued, Text: "the catalogue does not take what describes it"}}
	e.row.StudyAttributes, e.row.SeriesAttributes = catalogue.StudyAttributes{}, catalogue.SeriesAttributes{}
	e.terms = nil
	e.work = work{Judged: e.work.Judged}
}

// first reports whether something of this name is met for the first time in the deposit.
func (d *Deposit) first(name string) bool {
	_, met := d.met.LoadOrStore(name, true)
	return !met
}

// A lexicon is stored under a key derived from the subject's: AES-256-GCM with a random nonce in front, bound to the subject's number.

func lexiconAEAD(key keys.Key) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func lexiconName(id subject.ID) []byte {
	return []byte("lexicon of subject " + strconv.FormatInt(int64(id), 10))
}

func sealLexicon(key keys.Key, id subject.ID, l *deid.Lexicon) []byte {
	return lexiconAEAD(key).Seal(nil, nil, l.Encode(), lexiconName(id))
}

func openLexicon(key keys.Key, id subject.ID, sealed []byte) (*deid.Lexicon, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	b, err := lexiconAEAD(key).Open(nil, nil, sealed, lexiconName(id))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "read lexicon", "subject "+strconv.FormatInt(int64(id), 10), "it cannot be decrypted")
	}
	return deid.DecodeLexicon(b)
}
