package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

// archive is a PACS of the test's own: it finds studies by exact keys, and sends them by C-MOVE or on the association.
type archive struct {
	t        *testing.T
	studies  []*held
	deaf     bool         // it passes over every key that it is asked by, and answers with all it has
	loses    atomic.Int64 // of so many instances it says that they failed
	drops    atomic.Int64 // so many fetches end with the association
	moves    atomic.Int64
	listener net.Listener
	node     string // where it sends
}

type held struct {
	study, patient, accession, date, modality, description string
	instances                                              [][]byte
	sops                                                   []string
}

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.2"

func (a *archive) add(study, patient, accession, date, modality, description string, instances int) {
	h := &held{study: study, patient: patient, accession: accession, date: date, modality: modality, description: description}
	for i := range instances {
		b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
		sop := fmt.Sprintf("%s.1.%d", study, i+1)
		b.String(dicom.TagSOPClassUID, secondaryCapture)
		b.String(dicom.TagSOPInstanceUID, sop)
		b.String(dicom.TagStudyInstanceUID, study)
		b.String(dicom.TagSeriesInstanceUID, study+".1")
		b.String(dicom.TagPatientName, "Winterbourne^Ada")
		b.String(dicom.TagPatientID, patient)
		b.String(dicom.TagAccessionNumber, accession)
		b.String(dicom.TagStudyDate, date)
		b.String(dicom.TagModality, modality)
		b.Ints(dicom.TagRows, 4)
		b.Ints(dicom.TagColumns, 4)
		b.Ints(dicom.TagBitsAllocated, 8)
		b.Ints(dicom.TagSamplesPerPixel, 1)
		b.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
		b.Raw(dicom.TagPixelData, dicom.VROB, bytes.Repeat([]byte{byte(i), 7}, 8))
		ds, err := b.Dataset()
		if err != nil {
			a.t.Fatal(err)
		}
		h.instances, h.sops = append(h.instances, ds.Bytes()), append(h.sops, sop)
	}
	a.studies = append(a.studies, h)
}

func (a *archive) serve() {
	a.t.Helper()
	var err error
	if a.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		a.t.Fatal(err)
	}
	s := &network.Server{Query: a.answer, Accept: func(context.Context, *network.AssociateRequest) (network.Decision, error) {
		return network.Decision{Roles: func(*network.ProposedContext) (bool, bool) { return true, true },
			Negotiate: func(p *network.ProposedContext) (string, network.ContextResult) {
				return p.TransferSyntaxes[0], network.ContextAccepted
			}}, nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = s.Serve(ctx, a.listener) })
	a.t.Cleanup(func() { cancel(); done.Wait() })
}

func (a *archive) answer(ctx context.Context, on *network.Association, op *network.Operation) network.Outcome {
	ts, _ := dicom.LookupTransferSyntax(op.TransferSyntaxUID)
	q, err := dicom.ParseDataset(op.Identifier, ts, dicom.Limits{})
	if err != nil {
		return network.Outcome{Status: network.Status{Code: network.StatusCannotUnderstand}}
	}
	key := func(t dicom.Tag) string { return strings.TrimSpace(q.String(t)) }
	if op.IsFind() {
		for _, h := range a.studies {
			from, to, ranged := strings.Cut(key(dicom.TagStudyDate), "-")
			if !ranged {
				to = from
			}
			for t, v := range map[dicom.Tag]string{dicom.TagStudyInstanceUID: h.study, dicom.TagAccessionNumber: h.accession, dicom.TagPatientID: h.patient, dicom.TagModalitiesInStudy: h.modality} {
				if want := key(t); want != "" && want != v && !a.deaf {
					goto next
				}
			}
			if !a.deaf && (from != "" && h.date < from || to != "" && h.date > to) {
				continue
			}
			{
				b := dicom.NewBuilder(ts)
				b.String(dicom.TagQueryRetrieveLevel, "STUDY")
				b.String(dicom.TagStudyInstanceUID, h.study)
				b.String(dicom.TagAccessionNumber, h.accession)
				b.String(dicom.TagPatientID, h.patient)
				b.String(dicom.TagStudyDate, h.date)
				b.String(dicom.TagModalitiesInStudy, h.modality)
				b.String(dicom.TagStudyDescription, h.description)
				b.String(dicom.TagNumberOfStudyRelatedInstances, fmt.Sprint(len(h.instances)))
				ds, err := b.Dataset()
				if err != nil {
					a.t.Error(err)
				}
				if op.Match(network.StatusPending, ds.Bytes()) != nil {
					return network.Outcome{Status: network.Status{Code: network.StatusCancel}}
				}
			}
		next:
		}
		return network.Outcome{}
	}
	a.moves.Add(1)
	if a.drops.Add(-1) >= 0 {
		on.Abort()
		return network.Outcome{Status: network.Status{Code: network.StatusProcessingFailure}}
	}
	var sub network.SubOperations
	for _, h := range a.studies {
		if h.study != key(dicom.TagStudyInstanceUID) {
			continue
		}
		send := op.Store
		if op.IsMove() {
			if op.MoveDestination != "BREAST" {
				return network.Outcome{Status: network.Status{Code: network.StatusUnknownDestination}}
			}
			out, err := network.Dial(ctx, a.node, network.DialOptions{CallingAE: "PACS", CalledAE: op.MoveDestination, Contexts: []network.Proposal{{AbstractSyntax: secondaryCapture, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndianUID}}}})
			if err != nil {
				return network.Outcome{Status: network.Status{Code: network.StatusCannotPerform}}
			}
			defer out.Release(ctx)
			send = func(in *network.Instance) (network.Status, error) { return out.Store(ctx, in) }
		}
		for i, b := range h.instances {
			if a.loses.Add(-1) >= 0 {
				sub.Failed++
				continue
			}
			st, err := send(&network.Instance{SOPClassUID: secondaryCapture, SOPInstanceUID: h.sops[i], TransferSyntaxUID: dicom.ExplicitVRLittleEndianUID, Bytes: b})
			switch {
			case err != nil || !st.Done():
				sub.Failed++
			case st.Warning():
				sub.Warnings++
			default:
				sub.Completed++
			}
		}
	}
	code := uint16(network.StatusSuccess)
	if sub.Failed > 0 {
		code = network.StatusSubOperations
	}
	return network.Outcome{Status: network.Status{Code: code}, Sub: &sub}
}

// puller is a node that knows the archive.
func puller(t *testing.T, database string, a *archive, log *slog.Logger) (*Node, func()) {
	t.Helper()
	n, err := New(t.Context(), Config{Data: filepath.Join(t.TempDir(), "data"), Database: database, Demo: true, DICOM: "127.0.0.1:0", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	a.node = n.DICOMAddr()
	at := a.listener.Addr().(*net.TCPAddr)
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		if err := n.Stores.Collections.Create(tx, collection.Collection{ID: "breast", Title: "Breast", Profile: "research", ProfileVersion: "1", AETitle: "BREAST"}); err != nil {
			return err
		}
		_, err := n.Stores.Identity.AddPeer(tx, identity.Peer{AETitle: "PACS", Host: "127.0.0.1", Port: at.Port, May: identity.MayStore, Collection: policy.AllCollections})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, stop
}

var pullSteward = admin.Caller{Actor: "ada", Grants: []policy.Grant{{Role: policy.Steward, Collection: "breast"}}}

// ended waits until a pull has ended, and gives it.
func ended(t *testing.T, n *Node, id string, so func(v pullflow.View) bool) (v pullflow.View) {
	t.Helper()
	p, err := pull.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); ; {
		if v, err = n.Pulls.See(t.Context(), pullSteward, "breast", p); err != nil {
			t.Fatal(err)
		}
		if so(v) {
			return v
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it stands so: %+v", v)
		}
	}
}

func fates(t *testing.T, n *Node, id string) string {
	t.Helper()
	p, _ := pull.ParseID(id)
	all, err := n.Pulls.Fates(t.Context(), pullSteward, "breast", p, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, f := range all {
		s = append(s, fmt.Sprintf("%d %s %d/%d %d %s", f.Request, f.State, f.Done, f.Studies, f.Came, f.Why))
	}
	return strings.Join(s, "; ")
}

func over(v pullflow.View) bool { return v.State == "ended" }

func TestPull(t *testing.T) {
	for _, database := range []string{"sqlite", "postgresql"} {
		t.Run(database, func(t *testing.T) {
			url := ""
			if database == "postgresql" {
				url = dbtest.PostgresURL(t)
			}
			a := &archive{t: t}
			today := time.Now().Format("20060102")
			a.add("1.2.3.1", "QX778120", "ACC55501", "20200131", "MG", "Screening", 4)
			a.add("1.2.3.2", "QX778120", "ACC55502", "20180131", "MG", "Screening", 4)
			a.add("1.2.3.3", "QX778120", "ACC55503", "20100131", "MG", "Screening", 2)
			a.add("1.2.3.4", "RY990011", "ACC55504", "20200101", "CT", "Chest", 3)
			a.add("1.2.3.5", "RY990011", "ACC55505", today, "MG", "Screening left", 2)
			a.serve()
			var log lockedBuffer
			n, stop := puller(t, url, a, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			ctx := t.Context()

			// Who may not, may not; what makes no sense is told.
			for _, role := range policy.Roles() {
				who := admin.Caller{Actor: "x", Grants: []policy.Grant{{Role: role, Collection: "breast"}}}
				_, err := n.Pulls.List(ctx, who, "breast")
				if may := role == policy.Steward || role == policy.Admin || role == policy.Operator; (err == nil) != may {
					t.Errorf("%v lists pulls: %v", role, err)
				}
			}
			for name, w := range map[string]pullflow.Wish{
				"nothing":          {Peer: "PACS", Way: pull.Move},
				"two lists":        {Peer: "PACS", Way: pull.Move, Accessions: []string{"A"}, Patients: []string{"P"}},
				"wildcards":        {Peer: "PACS", Way: pull.Move, Accessions: []string{"ACC*"}},
				"no UID":           {Peer: "PACS", Way: pull.Move, Studies: []string{"Winterbourne"}},
				"everything":       {Peer: "PACS", Way: pull.Move, Standing: true},
				"no such peer":     {Peer: "NOWHERE", Way: pull.Move, Accessions: []string{"A"}},
				"no such way":      {Peer: "PACS", Way: "walk", Accessions: []string{"A"}},
				"hours of nowhere": {Peer: "PACS", Way: pull.Move, Accessions: []string{"A"}, Hours: "at night"},
			} {
				if _, err := n.Pulls.Make(ctx, pullSteward, "breast", w); !fault.Is(err, fault.Invalid) {
					t.Errorf("%s: %v", name, err)
				} else if strings.Contains(err.Error(), "Winterbourne") {
					t.Errorf("%s: the answer repeats what was asked for", name)
				}
			}

			// A list, by C-MOVE; one study is lost once, one association breaks.
			a.loses.Store(1)
			a.drops.Store(0)
			v, err := n.Pulls.Make(ctx, pullSteward, "breast", pullflow.Wish{Label: "first", Peer: "PACS", Way: pull.Move, Accessions: []string{"ACC55504", "NONE", "ACC55501", "ACC55504"}})
			if err != nil {
				t.Fatal(err)
			}
			v = ended(t, n, v.ID, func(v pullflow.View) bool {
				return v.Studies.All == 2 && v.Studies.Done == 1 && v.Requests.Waiting == 0
			})
			if v.State != "active" || v.Studies.Waiting != 1 || v.Requests.Nothing != 1 || v.Label != "first" { // what came in part waits to be asked for again
				t.Errorf("%+v", v)
			}
			p, _ := pull.ParseID(v.ID)
			// By hand, what waits is asked for at once: paused, resumed. Here it has to be told to, since its time is in minutes.
			if _, err := n.Pulls.Change(ctx, pullSteward, "breast", p, pull.Paused); err != nil {
				t.Fatal(err)
			}
			if got := fates(t, n, v.ID); !strings.Contains(got, "2 nothing 0/0 0 ") || !strings.Contains(got, "3 done 1/1 4 ") {
				t.Error(got)
			}
			if _, err := n.Pulls.Change(ctx, pullSteward, "breast", p, pull.Ended); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Pulls.Change(ctx, pullSteward, "breast", p, pull.Active); !fault.Is(err, fault.Conflict) {
				t.Errorf("what was forgotten is asked for again: %v", err)
			}

			// By C-GET, a patient's; the archive is deaf: only what was asked for comes.
			a.deaf = true
			if v, err = n.Pulls.Make(ctx, pullSteward, "breast", pullflow.Wish{Peer: "PACS", Way: pull.Get, Patients: []string{"RY990011"}}); err != nil {
				t.Fatal(err)
			}
			v = ended(t, n, v.ID, over)
			if v.Studies.Done != 2 || v.Came != 5 || fates(t, n, v.ID) != "1 done 2/2 5 " {
				t.Errorf("%+v; %s", v, fates(t, n, v.ID))
			}
			a.deaf = false

			// A standing one with priors: today's case, and what the same person had in ten years.
			a.add("1.2.3.6", "RY990011", "ACC55506", time.Now().AddDate(-3, 0, 0).Format("20060102"), "MG", "Screening", 1)
			a.add("1.2.3.7", "RY990011", "ACC55507", time.Now().AddDate(-12, 0, 0).Format("20060102"), "MG", "Screening", 1)
			if v, err = n.Pulls.Make(ctx, pullSteward, "breast", pullflow.Wish{Peer: "PACS", Way: pull.Get, Standing: true, Modalities: []string{"mg"}, Described: "screen*", Priors: 10}); err != nil {
				t.Fatal(err)
			}
			v = ended(t, n, v.ID, func(v pullflow.View) bool { return v.Studies.Done == 2 && v.Studies.Waiting == 0 && v.Until != "" })
			if v.State != "active" || v.Studies.All != 2 || v.Came != 3 || v.Until != today {
				t.Errorf("%+v", v)
			}
			if err := n.Custody.Barrier(ctx); err != nil {
				t.Fatal(err)
			}
			counts, err := n.Stores.Catalogue.Intake(ctx, "breast")
			if err != nil || counts.Received != 4+3+2+1 {
				t.Errorf("%+v, %v", counts, err)
			}
			stop()
			// Nothing that identifies is written anywhere in clear.
			markers := [][]byte{[]byte("QX778120"), []byte("RY990011"), []byte("ACC5550"), []byte("Winterbourne"), []byte("1.2.3.1"), []byte("1.2.3.4")}
			err = filepath.WalkDir(n.cfg.Data, func(path string, e os.DirEntry, err error) error {
				if err != nil || e.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				for _, m := range markers {
					if bytes.Contains(b, m) {
						t.Errorf("%s has %s in clear", filepath.Base(path), m)
					}
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			for _, m := range markers {
				if strings.Contains(log.String(), string(m)) {
					t.Errorf("the log has %s", m)
				}
			}
		})
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// An archive that is away keeps a pull waiting and says so; a pull that is under way when the node ends goes on after its start.
func TestPullGoesOn(t *testing.T) {
	a := &archive{t: t}
	for i := range 30 {
		a.add(fmt.Sprintf("1.2.4.%d", i+1), fmt.Sprintf("P%d", i), fmt.Sprintf("A%d", i), "20200131", "CT", "Chest", 2)
	}
	a.serve()
	n, stop := puller(t, "", a, nil)
	var list []string
	for i := range 30 {
		list = append(list, fmt.Sprintf("A%d", i))
	}
	v, err := n.Pulls.Make(t.Context(), pullSteward, "breast", pullflow.Wish{Peer: "PACS", Way: pull.Move, Accessions: list, Rate: 36_000})
	if err != nil {
		t.Fatal(err)
	}
	ended(t, n, v.ID, func(v pullflow.View) bool { return v.Studies.Done >= 3 })
	stop()
	before := a.moves.Load()
	if before >= 30 {
		t.Skip("all of it came before the node had ended")
	}
	cfg := n.cfg
	n, err = New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.node = n.DICOMAddr()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	v = ended(t, n, v.ID, over)
	if v.Studies.Done != 30 || v.Came != 60 || a.moves.Load() > 32 {
		t.Errorf("%+v after %d and %d fetches", v, before, a.moves.Load())
	}
	// And one that is away.
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := n.Stores.Identity.AddPeer(tx, identity.Peer{AETitle: "AWAY", Host: "127.0.0.1", Port: 1, May: identity.MayStore, Collection: policy.AllCollections})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, err = n.Pulls.Make(t.Context(), pullSteward, "breast", pullflow.Wish{Peer: "AWAY", Way: pull.Move, Studies: []string{"1.2.4.1"}}); err != nil {
		t.Fatal(err)
	}
	v = ended(t, n, v.ID, func(v pullflow.View) bool { return v.Why != "" })
	if v.Why != "away" || v.Advice == "" || v.State != "active" {
		t.Errorf("%+v", v)
	}
}
