package dimse_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

const jpegBaseline = "1.2.840.10008.1.2.4.50"

// receiver is another application that takes what it is sent.
type receiver struct {
	port int

	mu  sync.Mutex
	has map[string]received // by SOP Instance UID
}

// received is one instance as it came.
type received struct {
	got  []byte
	as   string // transfer syntax
	by   string // move originator
	from string // calling AE title
}

func (r *receiver) of(sop string) received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has[sop]
}

// receive starts one. takes says which transfer syntaxes it takes; refuse, by SOP Instance UID, what it answers with another status.
func receive(t testing.TB, takes []string, refuse map[string]uint16) *receiver {
	t.Helper()
	r := &receiver{has: map[string]received{}}
	s := &network.Server{
		Accept: func(context.Context, *network.AssociateRequest) (network.Decision, error) {
			return network.Decision{Negotiate: network.StoragePolicy{Readable: func(ts string) bool { return slices.Contains(takes, ts) }}.Negotiate}, nil
		},
		Store: func(_ context.Context, a *network.Association, req *network.StoreRequest) network.Status {
			b, whole, err := req.Data.ReadAll(nil, 1<<20)
			if err != nil || !whole {
				return network.Status{Code: network.StatusOutOfResources}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.has[req.SOPInstanceUID] = received{b, req.TransferSyntaxUID, req.MoveOriginatorAE + " " + strconv.Itoa(int(req.MoveOriginatorMessageID)), a.CallingAE()}
			return network.Status{Code: refuse[req.SOPInstanceUID]}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.port = l.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *receiver) uids() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s []string
	for u := range r.has {
		s = append(s, u)
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

// compressed makes an image's pixels a code stream; nothing looks at it.
func compressed(t testing.TB, patient, study, series, sop string) *network.Instance {
	ts, _ := dicom.LookupTransferSyntax(jpegBaseline)
	return image(t, ts, patient, study, series, sop, func(b *dicom.Builder) {
		b.Fragments(dicom.TagPixelData, nil, []byte{0xFF, 0xD8, 0xFF, 0xD9})
	})
}

func (x *rig) move(a *network.Association, class, to string, keys ...string) (network.Done, []network.SubOperations) {
	x.Helper()
	var told []network.SubOperations
	done, err := a.Move(x.Context(), &network.Query{SOPClassUID: class, TransferSyntaxUID: implicitLE, MoveDestination: to, Identifier: identifier(x, implicitLE, keys...)}, func(s network.SubOperations) bool {
		told = append(told, s)
		return true
	})
	if err != nil {
		x.Fatal(err)
	}
	return done, told
}

func TestMove(t *testing.T) {
	each(t, func(x *rig) {
		x.archive()
		big := image(x, dicom.ExplicitVRBigEndian, "D", "1.2.5", "1.2.5.1", "1.2.5.1.1")
		jpeg := compressed(x, "D", "1.2.5", "1.2.5.1", "1.2.5.1.2")
		x.deposit("KEPT", big, jpeg)
		x.publish(kept)
		all, plain := receive(x, []string{explicitLE, implicitLE, dicom.ExplicitVRBigEndianUID, jpegBaseline}, nil), receive(x, []string{implicitLE}, map[string]uint16{"1.2.1.1.2": network.StatusOutOfResources, "1.2.1.2.1": network.StatusElementsDiscarded})
		x.peer("RECEIVER", all.port, identity.MayStore, "*")
		x.peer("PLAIN", plain.port, identity.MayStore, kept)
		x.peer("ELSEWHERE", all.port, identity.MayStore, "other")
		x.peer("SHUT", 1, identity.MayStore, "*")
		a := x.dial("ALL", "KEPT", implicitLE)
		const root = network.StudyRootMoveUID
		done, told := x.move(a, root, "RECEIVER", "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.5")
		if !done.Status.Success() || done.Sub != (network.SubOperations{Completed: 2}) || done.Identifier != nil || len(told) != 2 || told[0].Remaining != 1 {
			x.Fatalf("%+v %+v", done, told)
		}
		if all.uids() != "1.2.5.1.1 1.2.5.1.2" || !bytes.Equal(all.of("1.2.5.1.1").got, big.Bytes) || !bytes.Equal(all.of("1.2.5.1.2").got, jpeg.Bytes) || all.of("1.2.5.1.1").as != dicom.ExplicitVRBigEndianUID || all.of("1.2.5.1.2").as != jpegBaseline {
			x.Errorf("what came is not what was kept: %v", all.of("1.2.5.1.1").as)
		}
		if !strings.HasPrefix(all.of("1.2.5.1.1").by, "ALL ") || strings.HasSuffix(all.of("1.2.5.1.1").by, " 0") || all.of("1.2.5.1.1").from != "KEPT" {
			x.Errorf("originator %q, calling %q", all.of("1.2.5.1.1").by, all.of("1.2.5.1.1").from)
		}
		// A receiver that takes implicit VR alone gets native objects rewritten; what is compressed, refused or taken with reserve is told.
		done, _ = x.move(a, network.PatientRootMoveUID, "PLAIN", "QueryRetrieveLevel=PATIENT", "PatientID=D")
		d, err := dicom.ParseDataset(done.Identifier, dicom.ImplicitVRLittleEndian, dicom.Limits{})
		if done.Status.Code != network.StatusSubOperations || done.Sub != (network.SubOperations{Completed: 1, Failed: 1}) || err != nil || d.UID(dicom.TagFailedSOPInstanceUIDList) != "1.2.5.1.2" {
			x.Errorf("%+v %v", done, err)
		}
		got, err := dicom.ParseDataset(plain.of("1.2.5.1.1").got, dicom.ImplicitVRLittleEndian, dicom.Limits{})
		if err != nil || string(got.Value(got.PixelData())[:4]) != "1032" { // words the other way round
			x.Errorf("rewritten: %v", err)
		} else if n, _ := got.Int(dicom.TagRows); n != 4 {
			x.Errorf("rewritten: %d rows", n)
		}
		done, _ = x.move(a, root, "PLAIN", "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1\\1.2.2\\1.9")
		if done.Status.Code != network.StatusSubOperations || done.Sub != (network.SubOperations{Completed: 2, Failed: 1, Warnings: 1}) || !strings.Contains(string(done.Identifier), "1.2.1.1.2") {
			x.Errorf("%+v", done)
		}
		for _, c := range []struct {
			class, to string
			keys      []string
			status    uint16
			sub       network.SubOperations
		}{
			{root, "NOBODY", []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1"}, network.StatusUnknownDestination, network.SubOperations{}},
			{root, "ELSEWHERE", []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1"}, network.StatusUnknownDestination, network.SubOperations{}},
			{root, "SHUT", []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1"}, network.StatusCannotPerform, network.SubOperations{Failed: 3}},
			{root, "RECEIVER", []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.9"}, network.StatusSuccess, network.SubOperations{}},
			{root, "RECEIVER", []string{"QueryRetrieveLevel=STUDY"}, network.StatusClassMismatch, network.SubOperations{}},
			{root, "RECEIVER", []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=*"}, network.StatusClassMismatch, network.SubOperations{}},
			{root, "RECEIVER", []string{"QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1\\1.2.1.2"}, network.StatusSuccess, network.SubOperations{Completed: 3}},
			{root, "RECEIVER", []string{"QueryRetrieveLevel=IMAGE", "StudyInstanceUID=1.2.1", "SeriesInstanceUID=1.2.1.1", "SOPInstanceUID=1.2.1.1.2\\1.2.1.2.1"}, network.StatusSuccess, network.SubOperations{Completed: 1}},
			{network.PatientRootMoveUID, "RECEIVER", []string{"QueryRetrieveLevel=STUDY", "PatientID=B", "StudyInstanceUID=1.2.1"}, network.StatusSuccess, network.SubOperations{}},
			{network.PatientRootMoveUID, "RECEIVER", []string{"QueryRetrieveLevel=PATIENT", "PatientID=A"}, network.StatusSuccess, network.SubOperations{Completed: 4}},
			{network.PatientRootMoveUID, "RECEIVER", []string{"QueryRetrieveLevel=PATIENT", "PatientID=*"}, network.StatusSuccess, network.SubOperations{}}, // the very ID
		} {
			if done, _ := x.move(a, c.class, c.to, c.keys...); done.Status.Code != c.status || done.Sub != c.sub {
				x.Errorf("%v to %s: %+v", c.keys, c.to, done)
			}
		}
		// The log says who got what.
		found := false
		entries, err := x.n.Stores.Audit.Entries(x.Context(), audit.Filter{})
		if err != nil {
			x.Fatal(err)
		}
		for _, e := range entries {
			found = found || e.Actor == "peer ALL to RECEIVER" && e.Action == "C-MOVE" && e.Collection == kept
		}
		if !found {
			x.Error("the audit log does not say who got what")
		}
	})
}

// getRoles proposes to take classes, each in syntaxes of its own context.
func getRoles(classes []string, syntaxes ...string) func(*network.DialOptions) {
	return func(o *network.DialOptions) {
		for _, c := range classes {
			for _, ts := range syntaxes {
				o.Contexts = append(o.Contexts, network.Proposal{AbstractSyntax: c, TransferSyntaxes: []string{ts}})
			}
			o.Roles = append(o.Roles, network.Role{SOPClassUID: c, SCP: true})
		}
	}
}

func TestGet(t *testing.T) {
	each(t, func(x *rig) {
		x.archive()
		jpeg := compressed(x, "D", "1.2.5", "1.2.5.1", "1.2.5.1.2")
		x.deposit("KEPT", jpeg)
		get := func(a *network.Association, keys ...string) (network.Done, map[string]string) {
			x.Helper()
			got := map[string]string{}
			done, err := a.Get(x.Context(), &network.Query{SOPClassUID: network.StudyRootGetUID, TransferSyntaxUID: implicitLE, Identifier: identifier(x, implicitLE, keys...)}, func(r *network.StoreRequest) network.Status {
				got[r.SOPInstanceUID] = r.TransferSyntaxUID
				b, _, err := r.Data.ReadAll(nil, 1<<20)
				ts, _ := dicom.LookupTransferSyntax(r.TransferSyntaxUID)
				if d, err2 := dicom.ParseDataset(b, ts, dicom.Limits{}); err != nil || err2 != nil || d.UID(dicom.TagSOPInstanceUID) != r.SOPInstanceUID {
					x.Errorf("%v %v", err, err2)
				}
				return network.Status{}
			}, nil)
			if err != nil {
				x.Fatal(err)
			}
			return done, got
		}
		one := []string{"QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1"}
		a := x.dial("ALL", "KEPT", implicitLE, getRoles([]string{ctClass, mrClass}, implicitLE, jpegBaseline))
		if done, got := get(a, one...); !done.Status.Success() || len(got) != 0 {
			x.Fatalf("what is not released: %+v", done)
		}
		x.publish(kept)
		if done, got := get(a, one...); !done.Status.Success() || done.Sub != (network.SubOperations{Completed: 3}) || len(got) != 3 || got["1.2.1.1.1"] != implicitLE {
			x.Errorf("%+v %v", done, got)
		}
		if done, got := get(a, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.5"); !done.Status.Success() || got["1.2.5.1.2"] != jpegBaseline {
			x.Errorf("as it is kept: %+v %v", done, got)
		}
		// A class without the role, a syntax that is not taken: told, and the others come.
		b := x.dial("ALL", "KEPT", implicitLE, getRoles([]string{ctClass}, explicitLE))
		done, got := get(b, one...)
		if done.Status.Code != network.StatusSubOperations || done.Sub != (network.SubOperations{Completed: 2, Failed: 1}) || len(got) != 2 || !strings.Contains(string(done.Identifier), "1.2.1.2.1") {
			x.Errorf("%+v %v", done, got)
		}
		if done, _ := get(b, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.5"); done.Status.Code != network.StatusCannotPerform || done.Sub.Failed != 1 {
			x.Errorf("a syntax that is not taken: %+v", done)
		}
		// Default is no.
		x.peer("FINDER", 104, identity.MayFind|identity.MayMove, "*")
		c := x.dial("FINDER", "KEPT", implicitLE, getRoles([]string{ctClass}, explicitLE))
		if _, ok := c.ContextOf(network.StudyRootGetUID); ok {
			x.Error("who may not get was agreed with")
		}
		if _, ok := c.ContextOf(ctClass); ok {
			x.Error("who may not get was given a role")
		}
	})
}

// What DCMTK moves and gets arrives whole.
func TestRetrieveByDCMTK(t *testing.T) {
	for _, p := range []string{"movescu", "getscu", "storescp"} {
		testdata.Program(t, p)
	}
	x := start(t, "")
	x.archive()
	x.publish(kept)
	files := func(dir string) int {
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		return len(names)
	}
	here := t.TempDir()
	x.dcmtk(t, "getscu", "-aet", "ALL", "-aec", "KEPT", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.1", "-od", here)
	if n := files(here); n != 3 {
		t.Errorf("getscu got %d files", n)
	}
	there := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	scp := exec.Command("storescp", "-od", there, "-aet", "DCMTK", strconv.Itoa(port))
	scp.Env = append(os.Environ(), "TCP_NODELAY=1")
	if err := scp.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = scp.Process.Kill(); _ = scp.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("storescp does not listen")
		}
	}
	x.peer("DCMTK", port, identity.MayStore, "*")
	x.dcmtk(t, "movescu", "-aet", "ALL", "-aec", "KEPT", "-aem", "DCMTK", "-P", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID=A")
	if n := files(there); n != 4 {
		t.Errorf("movescu moved %d files", n)
	}
}
