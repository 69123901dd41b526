package pull

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

// maxMatches bounds what one question to an archive may come to: one that passes over a key it does not know answers with everything it has.
const maxMatches = 2000

var (
	errTooMany = errors.New("more matches than a question may have")
	errRefused = errors.New("the archive does not answer such questions, or not to this node")
)

// found is a study as an archive tells of it.
type found struct {
	study, patient, issuer, accession string
	date                              string // YYYYMMDD
	description                       string
	modalities                        []string
	instances                         int64 // -1: it does not say
}

// question is what studies are asked for by. Empty fields ask for nothing.
type question struct {
	Study      string   `json:"study,omitempty"`
	Accession  string   `json:"accession,omitempty"`
	Patient    string   `json:"patient,omitempty"`
	Issuer     string   `json:"issuer,omitempty"`
	From       string   `json:"from,omitempty"` // of study dates, YYYYMMDD
	To         string   `json:"to,omitempty"`
	Modalities []string `json:"modalities,omitempty"`
	Described  string   `json:"described,omitempty"` // with * and ?
}

// matches is the question asked once more of an answer: an archive may pass over keys that it does not know (PS3.4 C.2.2.1.3), and its answer may then be everything it has.
func (q *question) matches(f *found) bool {
	same := func(want, got string) bool { return want == "" || strings.TrimSpace(got) == want }
	switch {
	case !dicom.ValidUID(f.study):
		return false
	case !same(q.Study, f.study), !same(q.Accession, f.accession), !same(q.Patient, f.patient):
		return false
	case q.Issuer != "" && f.issuer != "" && f.issuer != q.Issuer:
		return false
	case q.From != "" && (f.date == "" || f.date < q.From), q.To != "" && (f.date == "" || f.date > q.To):
		return false
	case q.Described != "" && !like(strings.ToUpper(q.Described), strings.ToUpper(f.description)):
		return false
	}
	return len(q.Modalities) == 0 || slices.ContainsFunc(f.modalities, func(m string) bool { return slices.Contains(q.Modalities, m) })
}

// like is wildcard matching (PS3.4 C.2.2.2.4). After a mismatch it goes back to the last star alone, which is enough.
func like(pattern, s string) bool {
	p, i, star, from := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// line is an association with an archive.
type line struct {
	*network.Association
	broken bool // it has ended
}

// Dialer opens an association with a registered archive, as the application that is called so.
type Dialer func(ctx context.Context, peer identity.Peer, calling string, contexts []network.Proposal, roles ...network.Role) (*network.Association, error)

var plainSyntaxes = []string{dicom.ExplicitVRLittleEndian.UID, dicom.ImplicitVRLittleEndian.UID}

// contexts are what a pull needs. Instances that come by C-GET may be of any class that has room beside: the commonest first, each in the transfer syntaxes that are known,
// of which the archive picks the one that it likes best.
func contexts(way pull.Way) (offer []network.Proposal, roles []network.Role) {
	offer = append(offer, network.Proposal{AbstractSyntax: network.StudyRootFindUID, TransferSyntaxes: plainSyntaxes})
	if way == pull.Move {
		return append(offer, network.Proposal{AbstractSyntax: network.StudyRootMoveUID, TransferSyntaxes: plainSyntaxes}), nil
	}
	offer = append(offer, network.Proposal{AbstractSyntax: network.StudyRootGetUID, TransferSyntaxes: plainSyntaxes})
	for _, class := range getClasses() {
		offer = append(offer, network.Proposal{AbstractSyntax: class, TransferSyntaxes: getSyntaxes})
		roles = append(roles, network.Role{SOPClassUID: class, SCP: true})
	}
	return offer, roles
}

// maxContexts is how many presentation contexts an association has at most (PS3.8 9.3.2.2: odd numbers of a byte).
const maxContexts = 128

// rarely are words in the names of classes that cancer's images hardly ever have: they come after all others.
var rarely = []string{"Ophthalm", "Intravascular", "Lensometry", "Autorefraction", "Keratometry", "Refraction", "Acuity", "Axial Measurements", "Lens Calculations", "Corneal", "Spectacle", "Macular", "Perimetry",
	"Implant", "Hanging Protocol", "Color Palette", "Dermoscopic", "Waveform", "ECG", "Audio", "Fiducials", "Tractography", "Defined Procedure", "Performed Procedure", "Inventory", "Retired", "Trial"}

// getClasses are the storage classes that are asked for by C-GET, as many as there is room for.
func getClasses() []string {
	var first, last []string
	for _, c := range network.StorageClasses() {
		name, _ := dicom.UIDName(c.UID)
		if slices.ContainsFunc(rarely, func(w string) bool { return strings.Contains(name, w) }) {
			last = append(last, c.UID)
		} else {
			first = append(first, c.UID)
		}
	}
	all := append(first, last...)
	return all[:min(len(all), maxContexts-2)]
}

// getSyntaxes are those in which instances may come, the ones that archives keep first: an acceptor takes the first that it can, and sends everything of the class so.
var getSyntaxes = []string{
	dicom.ExplicitVRLittleEndian.UID, dicom.ImplicitVRLittleEndian.UID,
	"1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5",
	"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
}

// identifier encodes a question, or what is to be fetched, in the syntax that was agreed for the class.
func (l *line) query(class string, set func(b *dicom.Builder)) (*network.Query, *dicom.TransferSyntax, error) {
	for _, ts := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian} {
		if _, ok := l.Context(class, ts.UID); !ok {
			continue
		}
		b := dicom.NewBuilder(ts)
		set(b)
		ds, err := b.Dataset()
		if err != nil {
			return nil, nil, fault.Wrap(fault.Invalid, "ask an archive", "", err)
		}
		return &network.Query{SOPClassUID: class, TransferSyntaxUID: ts.UID, Identifier: ds.Bytes()}, ts, nil
	}
	return nil, nil, errRefused
}

// studies asks for studies (PS3.4 C.6.2, C.4.1), and gives those that answer the question.
func (l *line) studies(ctx context.Context, q question) ([]found, error) {
	ask, ts, err := l.query(network.StudyRootFindUID, func(b *dicom.Builder) {
		b.String(dicom.TagQueryRetrieveLevel, "STUDY")
		b.String(dicom.TagStudyInstanceUID, q.Study)
		b.String(dicom.TagAccessionNumber, q.Accession)
		b.String(dicom.TagPatientID, q.Patient)
		b.String(dicom.TagIssuerOfPatientID, "")
		b.String(dicom.TagStudyDescription, q.Described)
		b.String(dicom.TagModalitiesInStudy, q.Modalities...)
		b.Empty(dicom.TagNumberOfStudyRelatedInstances)
		date := q.From
		if q.From != q.To {
			date = q.From + "-" + q.To
		}
		b.String(dicom.TagStudyDate, date)
	})
	if err != nil {
		return nil, err
	}
	var all []found
	answers := 0
	done, err := l.Find(ctx, ask, func(_ network.Status, identifier []byte) bool {
		if answers++; answers > maxMatches {
			return false
		}
		ds, err := dicom.ParseDataset(slices.Clone(identifier), ts, dicom.Limits{HeadBytes: 1 << 20, Elements: 10_000})
		if err != nil {
			return true // what cannot be read is no answer
		}
		f := found{study: ds.UID(dicom.TagStudyInstanceUID), patient: trimmed(ds, dicom.TagPatientID), issuer: trimmed(ds, dicom.TagIssuerOfPatientID), accession: trimmed(ds, dicom.TagAccessionNumber),
			date: trimmed(ds, dicom.TagStudyDate), description: trimmed(ds, dicom.TagStudyDescription), instances: -1}
		if i := ds.Find(dicom.TagModalitiesInStudy); i >= 0 {
			for _, m := range ds.Strings(i) {
				f.modalities = append(f.modalities, strings.TrimSpace(m))
			}
		}
		if n, err := strconv.ParseInt(trimmed(ds, dicom.TagNumberOfStudyRelatedInstances), 10, 64); err == nil && n >= 0 {
			f.instances = n
		}
		if q.matches(&f) && !slices.ContainsFunc(all, func(o found) bool { return o.study == f.study }) {
			all = append(all, f)
		}
		return true
	})
	switch {
	case err != nil:
		l.broken = true
		return nil, err
	case answers > maxMatches:
		return nil, errTooMany
	case done.Status.Code != network.StatusSuccess:
		return nil, errRefused
	}
	return all, nil
}

func trimmed(ds *dicom.Dataset, t dicom.Tag) string { return strings.TrimSpace(ds.String(t)) }

// came is what a study came to.
type came struct {
	completed, failed int64
	refused           bool // the archive said no
}

// fetch has a study sent, and waits until it was.
func (l *line) fetch(ctx context.Context, way pull.Way, study, destination string, deposit func(ctx context.Context) (*custody.Deposit, error)) (came, error) {
	class := network.StudyRootMoveUID
	if way == pull.Get {
		class = network.StudyRootGetUID
	}
	ask, _, err := l.query(class, func(b *dicom.Builder) {
		b.String(dicom.TagQueryRetrieveLevel, "STUDY")
		b.String(dicom.TagStudyInstanceUID, study)
	})
	if err != nil {
		return came{refused: true}, nil
	}
	more := func(network.SubOperations) bool { return ctx.Err() == nil }
	var done network.Done
	lost := int64(0)
	if way == pull.Get {
		done, err = l.Get(ctx, ask, func(req *network.StoreRequest) network.Status {
			st := take(ctx, req, study, deposit)
			if !st.Success() && !st.Warning() {
				lost++
			}
			return st
		}, more)
	} else {
		ask.MoveDestination = destination
		done, err = l.Move(ctx, ask, more)
	}
	if err != nil {
		l.broken = true
		return came{}, err
	}
	c := came{completed: int64(done.Sub.Completed) + int64(done.Sub.Warnings), failed: max(int64(done.Sub.Failed), lost)}
	if code := done.Status.Code; code != network.StatusSuccess && code != network.StatusSubOperations && code != network.StatusCancel {
		c.refused = true
	}
	return c, nil
}

// take gives one instance that comes by C-GET to custody.
func take(ctx context.Context, req *network.StoreRequest, study string, deposit func(ctx context.Context) (*custody.Deposit, error)) network.Status {
	syntax, ok := dicom.LookupTransferSyntax(req.TransferSyntaxUID)
	if !ok {
		return network.Status{Code: network.StatusCannotUnderstand, Comment: "unknown transfer syntax"}
	}
	dep, err := deposit(ctx)
	if err != nil {
		return network.Status{Code: network.StatusOutOfResources, Comment: "it cannot be kept now"}
	}
	r, err := dep.Receive(ctx, custody.Incoming{Syntax: syntax, SOPClassUID: req.SOPClassUID, SOPInstanceUID: req.SOPInstanceUID, StudyUID: study, Data: req.Data})
	if refusal, ok := errors.AsType[*custody.Refusal](err); ok && !fault.Is(err, fault.Unavailable) {
		return network.Status{Code: network.StatusCannotUnderstand, Comment: refusal.Reason.Within(64)}
	}
	if err != nil {
		return network.Status{Code: network.StatusOutOfResources, Comment: "it cannot be kept now"}
	}
	if r.Outcome == custody.Held || r.Outcome == custody.Conflict {
		return network.Status{Code: network.StatusCoerced, Comment: "held: kept, and waits for a person"}
	}
	return network.Status{}
}
