package endtoend

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// tally counts what a collection has to hold: different data sets once each, refusals each time.
type tally struct {
	seen    map[string]bool
	refused int
}

func (c *tally) kept(i *image) {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[i.fingerprint()] = true
}

// fingerprint tells instances apart as the node has to.
func (i *image) fingerprint() string { return fingerprint(i.sop, i.syntax, i.data) }

func fingerprint(sop, syntax string, data []byte) string {
	if syntax == deflated {
		data, _ = dicom.Inflate(data, dicom.Limits{}) // the padding of a deflated data set is none of its bytes
	}
	return fmt.Sprintf("%s %s %x", sop, syntax, sha256.Sum256(data))
}

const deflated = "1.2.840.10008.1.2.1.99"

func (c *tally) received() int { return len(c.seen) + c.refused }

// Every readable file ends catalogued or held with a reason, through every door; none is lost; and what is kept as deposited comes back as it was.
func TestEveryRealFile(t *testing.T) {
	files := real(t)
	n := serve(t, setup{})
	var can []*image
	for _, i := range files {
		if i.fileable() {
			can = append(can, i)
		}
	}
	if len(can) < 150 {
		t.Fatalf("only %d of %d files can be read", len(can), len(files))
	}
	good := map[string][]*image{}
	for _, c := range []struct{ id, called string }{{research, "VITRINE"}, {kept, "KEPT"}} {
		var want tally
		// By C-STORE.
		taken := map[*image]bool{}
		lost := 0
		for k, st := range n.store(c.called, can) {
			i := can[k]
			switch {
			case st.Done():
				want.kept(i)
				taken[i] = true
			case st.Code == unsent:
				lost++
			default:
				want.refused++
				if st.Comment == "" {
					t.Errorf("%s: C-STORE refused with %v and no comment", i.name, st)
				}
				t.Logf("%s: C-STORE: %v %s", i.name, st, st.Comment)
			}
		}
		got := n.settled(c.id, want.received())
		if got.Received != want.received() || got.Refused != want.refused {
			t.Errorf("%s: %+v, want %d received, %d of them refused", c.id, got, want.received(), want.refused)
		}
		t.Logf("%s by C-STORE: %d files, %d cannot be sent so: %+v", c.id, len(can), lost, got)
		// The same again by STOW-RS, one file a request, and what C-STORE cannot carry.
		for _, i := range files {
			a := n.stow(c.id, i)
			_, ok := a.kept[i.sop]
			switch {
			case a.code == 200 && ok && i.fileable():
				want.kept(i)
				if !taken[i] {
					taken[i] = true
				}
			case a.code == 409 && len(a.refused)+len(a.other) == 1 && a.why[0] != "":
				want.refused++
				if i.fileable() {
					if taken[i] {
						t.Errorf("%s: STOW-RS refused what C-STORE took: %s", i.name, a.why[0])
					}
					t.Logf("%s: STOW-RS: %x %x %s", i.name, a.refused, a.other, a.why[0])
				}
			default:
				t.Errorf("%s: STOW-RS: status %d, %v: %.300s", i.name, a.code, a.err, a.body)
			}
		}
		if got = n.settled(c.id, want.received()); got.Received != want.received() || got.Refused != want.refused {
			t.Errorf("%s: %+v, want %d received, %d of them refused", c.id, got, want.received(), want.refused)
		}
		t.Logf("%s by STOW-RS: %+v", c.id, got)
		for _, i := range can {
			if taken[i] {
				good[c.id] = append(good[c.id], i)
			}
		}
		if len(good[c.id]) < 150 {
			t.Errorf("%s: only %d of %d files were taken", c.id, len(good[c.id]), len(can))
		}
	}
	compared := 0
	first := map[string]bool{}
	for _, i := range good[kept] {
		if i.study == "" || i.series == "" || first[i.sop] {
			continue // held: under UIDs of the node's own, or as a conflict
		}
		first[i.sop] = true
		if err := n.same(i); err != nil {
			t.Errorf("%s: %v", i.name, err)
		}
		compared++
	}
	t.Logf("%d data sets came back from %s as they were sent", compared, kept)
	t.Run("storescu", func(t *testing.T) { n.storescu(t, can) })
	t.Run("deposit", func(t *testing.T) { n.deposit(t, len(files), len(can)) })
	n.unharmed()
	n.stop()
	n.reasoned()
	n.verify()
	n.valid(t, good[research])
	there := map[string]bool{}
	n.stored(kept, func(l catalogue.Located, syntax string, data []byte) {
		there[fingerprint(string(l.SOP), syntax, data)] = true
	})
	for _, i := range good[kept] {
		if !there[i.fingerprint()] {
			t.Errorf("%s: it is not in the packs as it was sent", i.name)
		}
	}
}

// valid wants what is kept cleaned, painted over or not, to have no error that a validator sees and that the objects of its class did not have when they came.
func (n *served) valid(t *testing.T, came []*image) {
	validator, dir := testdata.NewValidator(t), t.TempDir()
	errorsOf := func(file []byte) map[string]bool {
		name := filepath.Join(dir, "x.dcm")
		if err := os.WriteFile(name, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return validator.Errors(name)
	}
	before := map[string]map[string]bool{}
	for _, i := range came {
		if before[i.class] == nil {
			before[i.class] = map[string]bool{}
		}
		maps.Copy(before[i.class], errorsOf(i.file))
	}
	looked := 0
	n.stored(research, func(l catalogue.Located, syntax string, data []byte) {
		if syntax == deflated {
			return // a file would have to be deflated again
		}
		d, err := dicom.ParseDataset(data, explicit(syntax), dicom.Limits{})
		if err != nil {
			t.Errorf("object %s: %v", l.ID, err)
			return
		}
		class := d.UID(dicom.TagSOPClassUID)
		meta, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: class, SOPInstanceUID: d.UID(dicom.TagSOPInstanceUID), TransferSyntaxUID: syntax, ImplementationClassUID: dicom.ImplementationClassUID})
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for e := range errorsOf(slices.Concat(make([]byte, 128), []byte("DICM"), meta.Bytes(), data)) {
			if !before[class][e] {
				t.Errorf("object %s of %s has an error that none of its class had: %s", l.ID, class, e)
			}
		}
	})
	t.Logf("%d objects were validated", looked)
}

// open opens the stores of a node that has ended.
func (n *served) open() *node.Stores {
	n.t.Helper()
	s, err := node.OpenStores(context.Background(), node.Config{Data: n.setup.data, Database: n.setup.database, Bucket: n.setup.store}, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// stored reads every object of a collection from the packs.
func (n *served) stored(c collection.ID, each func(l catalogue.Located, syntax string, data []byte)) {
	n.t.Helper()
	ctx := context.Background()
	s := n.open()
	defer s.Close()
	one := func(l catalogue.Located) error {
		who, err := s.Subjects.Get(ctx, l.Subject)
		if err != nil {
			return err
		}
		key, err := s.Ring.Get(ctx, keys.ID(who.Key))
		if err != nil {
			return err
		}
		x, err := object.Open(ctx, s.Packs, pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}, key)
		if err != nil {
			return err
		}
		defer x.Close()
		var b bytes.Buffer
		if err := x.WriteDataset(&b); err != nil {
			return err
		}
		each(l, x.Syntax().UID, b.Bytes())
		return nil
	}
	for after := catalogue.InstanceID(0); ; {
		page, err := s.Catalogue.All(ctx, after, 1000)
		if err != nil {
			n.t.Fatal(err)
		}
		if len(page) == 0 {
			return
		}
		for _, l := range page {
			if l.Collection != c {
				continue
			}
			if err := one(l); err != nil {
				n.t.Errorf("object %s: %v", l.ID, err)
			}
		}
		after = page[len(page)-1].ID
	}
}

// reasoned wants a reason for everything that is held.
func (n *served) reasoned() {
	n.t.Helper()
	s := n.open()
	defer s.Close()
	for _, c := range []collection.ID{research, kept} {
		held, err := s.Catalogue.Waiting(context.Background(), c, 0, 0, 10_000)
		if err != nil {
			n.t.Fatal(err)
		}
		why := map[string]int{}
		for _, h := range held {
			if len(h.Reasons) == 0 {
				n.t.Errorf("instance %s of %s is %v without a reason", h.ID, c, h.State)
			}
			for _, r := range h.Reasons {
				if r.Code == "" || r.Text == "" {
					n.t.Errorf("instance %s of %s is held for %+v", h.ID, c, r)
				}
				why[r.Code]++
			}
		}
		n.t.Logf("%s holds %d: %v", c, len(held), why)
	}
}

// proposals are the options by which storescu sends files in their own transfer syntax.
var proposals = map[string]string{
	"1.2.840.10008.1.2":       "-xi",
	"1.2.840.10008.1.2.1":     "-xe",
	"1.2.840.10008.1.2.1.99":  "-xd",
	"1.2.840.10008.1.2.2":     "-xb",
	"1.2.840.10008.1.2.4.50":  "-xy",
	"1.2.840.10008.1.2.4.51":  "-xx",
	"1.2.840.10008.1.2.4.70":  "-xs",
	"1.2.840.10008.1.2.4.80":  "-xt",
	"1.2.840.10008.1.2.4.81":  "-xu",
	"1.2.840.10008.1.2.4.90":  "-xv",
	"1.2.840.10008.1.2.4.91":  "-xw",
	"1.2.840.10008.1.2.4.100": "-xm",
	"1.2.840.10008.1.2.4.102": "-xn",
	"1.2.840.10008.1.2.5":     "-xr",
}

// storescu sends the files with DCMTK, an association for each transfer syntax, and wants each that it was told is stored to be there.
func (n *served) storescu(t *testing.T, images []*image) {
	program := testdata.Program(t, "storescu")
	n.admin("collection", "create", "dcmtk", "--profile", "as-deposited", "--aet", "DCMTK")
	host, port, err := net.SplitHostPort(n.dicom)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string][]*image{}
	for _, i := range images {
		by[i.syntax] = append(by[i.syntax], i)
	}
	root := filepath.Join(testdata.Shared(t), "data", "dicom")
	stored, failed := 0, 0
	for syntax, list := range by {
		option, ok := proposals[syntax]
		if !ok {
			continue // DCMTK does not propose it
		}
		args := []string{"-v", "-nh", "-R", option, "-aet", peerAE, "-aec", "DCMTK", host, port}
		path := map[string]*image{}
		for _, i := range list {
			p := filepath.Join(root, i.name)
			path[p] = i
			args = append(args, p)
		}
		c := exec.CommandContext(t.Context(), program, args...)
		c.Env = append(environment(), "TCP_NODELAY=1")
		out, err := c.CombinedOutput()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			t.Fatal(err)
		}
		var current *image
		var acknowledged []*image
		for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
			if _, p, ok := strings.Cut(s.Text(), "Sending file: "); ok {
				current = path[strings.TrimSpace(p)]
			} else if strings.Contains(s.Text(), "Received Store Response (Success)") || strings.Contains(s.Text(), "Received Store Response (Warning") {
				acknowledged = append(acknowledged, current)
			} else if strings.Contains(s.Text(), "Received Store Response (") {
				failed++
				t.Logf("%s: %s", current.name, s.Text())
			}
		}
		if len(acknowledged) == 0 {
			t.Errorf("%s: storescu was told of no success in %d files:\n%.2000s", syntax, len(list), out)
		}
		stored += len(acknowledged)
		for _, i := range acknowledged {
			if i == nil || i.study == "" || i.series == "" {
				continue
			}
			if a := n.get(strings.Replace(i.place(), kept, "dcmtk", 1), "steward", `multipart/related; type="application/dicom"; transfer-syntax=*`); a.code != 200 {
				t.Errorf("%s was stored by storescu and is not there: status %d", i.name, a.code)
			}
		}
	}
	c := n.settled("dcmtk", 0)
	t.Logf("storescu was told of %d successes and %d failures: %+v", stored, failed, c)
	if stored < 150 || c.Refused != failed {
		t.Errorf("of %d files %d were stored and %d refused: %+v", len(images), stored, failed, c)
	}
}

// deposit gives the folder with `vitrine deposit`, twice; the second time nothing is sent.
func (n *served) deposit(t *testing.T, files, readable int) {
	n.admin("collection", "create", "given", "--profile", "as-deposited")
	report := filepath.Join(t.TempDir(), "report.json")
	var first counts
	for round := range 2 {
		r := command(t, []string{"VITRINE_TOKEN=" + n.tokens["depositor"], "XDG_STATE_HOME=" + n.tmp, "TMPDIR=" + n.tmp}, "deposit", filepath.Join(testdata.Shared(t), "data", "dicom"),
			"--collection", "given", "--server", "http://"+n.http, "--report", report, "--quiet")
		if r.code != 3 {
			t.Fatalf("exit code %d, want 3: %s", r.code, r.err)
		}
		b, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			Items []struct {
				Item    int
				Outcome string
				Reasons []struct{ Code, Text string }
			}
		}
		if err := json.Unmarshal(b, &said); err != nil {
			t.Fatalf("report: %v", err)
		}
		fate := map[string]int{}
		for _, i := range said.Items {
			fate[i.Outcome]++
			if i.Outcome != "kept" && len(i.Reasons) == 0 {
				t.Errorf("item %d is %s without a reason", i.Item, i.Outcome)
			}
		}
		c := n.settled("given", 0)
		t.Logf("deposit: %v; %+v", fate, c)
		if len(said.Items) != files || fate["kept"]+fate["held"]+fate["refused"] != files || fate["kept"]+fate["held"] != readable {
			t.Errorf("%d files, %d of them readable, and the report names %v", files, readable, fate)
		}
		if twice := readable - c.Received; fate["held"] < c.Held || fate["held"] > c.Held+twice { // of a file that is there twice each copy is told of
			t.Errorf("%d are held, and of %d it was said", c.Held, fate["held"])
		}
		if round == 0 {
			first = c
		} else if c != first {
			t.Errorf("the second time changed something: %+v, was %+v", c, first)
		}
	}
}
