package endtoend

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Every readable radiology file is drawn by the viewer as the node itself draws it, or it is known why not; and the viewer asks nobody but the node. docs/viewer.md has the table.
func TestViewerDrawsEveryRealFile(t *testing.T) {
	if !testdata.Soak() {
		t.Skip("opens seventy studies in a browser: make soak")
	}
	files := real(t)
	program := testdata.Program(t, "node")
	testdata.Program(t, "chromium")
	root := testdata.Root(t)
	script := filepath.Join(root, "web", "e2e", "viewer.mjs")
	_, err := os.Stat(filepath.Join(root, "web", "node_modules", "playwright-core"))
	testdata.Require(t, "playwright-core (make web)", err == nil)
	_, err = os.Stat(filepath.Join(root, "web", "dist", "ohif.zip"))
	testdata.Require(t, "the viewer (make web)", err == nil)

	n := serve(t, setup{args: []string{"--demo"}}) // which has a steward to sign in as
	// Several files have the same SOP Instance UID, in other encodings: each goes to a collection in which it is no conflict.
	collections, of := []string{kept}, map[string]int{}
	given := 0
	for _, i := range files {
		if !i.fileable() || i.study == "" || i.series == "" {
			continue
		}
		k := of[i.sop]
		of[i.sop]++
		for k >= len(collections) {
			id := fmt.Sprintf("%s-%d", kept, len(collections)+1)
			n.admin("collection", "create", id, "--profile", "as-deposited")
			collections = append(collections, id)
		}
		if a := n.stow(collections[k], i); a.code == 200 {
			given++
		}
	}
	for _, c := range collections {
		n.settled(c, 0)
		n.admin("release", "publish", "--collection", c)
	}
	said, err := os.ReadFile(n.said)
	if err != nil {
		t.Fatal(err)
	}
	_, link, ok := strings.Cut(string(said), "\nopen ")
	if !ok {
		t.Fatalf("the node said no link: %s", said)
	}
	out := filepath.Join(t.TempDir(), "viewer.json")
	c := exec.CommandContext(t.Context(), program, script, "--link", strings.TrimSpace(link), "--collection", strings.Join(collections, ","), "--out", out)
	c.WaitDelay = time.Minute
	said, err = c.CombinedOutput()
	b, failed := os.ReadFile(out)
	if failed != nil {
		t.Fatalf("%v, %v\n%.4000s", err, failed, said)
	}
	var got struct {
		Counts    map[string]int
		Results   []looked
		Elsewhere []string
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, e := range got.Elsewhere {
		t.Errorf("the viewer asked somebody else: %s", e)
	}
	for _, r := range got.Results {
		line := fmt.Sprintf("%s: %s %s %s, correlation %.3f, differs by %.1f; %s %s", r.Outcome, r.Modality, r.SOPClass, r.Syntax, r.Correlation, r.Difference, r.Viewer, r.Node)
		why, known := undrawn[r.SOP+" "+r.Syntax]
		switch {
		case slices.Contains([]string{"drawn", "alone", "beside", "neither"}, r.Outcome):
		case known:
			t.Logf("%s (%s)", line, why)
		default:
			t.Errorf("%s: %s", r.SOP, line)
		}
	}
	t.Logf("%d files, %d collections, %d instances looked at: %v", given, len(collections), len(got.Results), got.Counts)
	if got.Counts["drawn"] < 65 {
		t.Errorf("only %d are drawn", got.Counts["drawn"])
	}
	for _, file := range slices.Sorted(maps.Keys(undrawn)) {
		if !slices.ContainsFunc(got.Results, func(r looked) bool { return r.SOP+" "+r.Syntax == file }) {
			t.Errorf("%s was not looked at", file)
		}
	}
}

// looked is what web/e2e/viewer.mjs says of an instance.
type looked struct {
	Outcome, Modality, Syntax, SOPClass, SOP, Viewer, Node string
	Correlation, Difference                                float64
}

// undrawn are files, by SOP Instance UID and transfer syntax, that the viewer does not draw, or draws otherwise, and why.
var undrawn = map[string]string{
	"1.2.246.10.22143774.10001678204431056.11469.10637 1.2.840.10008.1.2.4.70":                "names JPEG Lossless, and its code stream is JPEG baseline",
	"1.2.392.200039.102.3.1096.10.20020524.114049.826 1.2.840.10008.1.2":                      "its palette is segmented (PS3.3 C.7.9.2), which the viewer does not read",
	"1.2.826.0.1.3680043.8.498.98830244104132507426674272067370279168 1.2.840.10008.1.2.4.50": "has no Modality (0008,0060), which is required",
	"1.2.276.0.7230010.3.1.4.8323329.29256.1531935570.345368 1.2.840.10008.1.2.4.55":          "is progressive JPEG of 12 bits, retired, for which the viewer has no decoder",
	"1.2.826.0.1.3680043.8.498.49043964482360854182530167603505525116 1.2.840.10008.1.2.5":    "is RLE of three colours of 16 bits, which the viewer puts together wrongly",
}
