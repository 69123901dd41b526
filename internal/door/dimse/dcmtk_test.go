package dimse_test

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// dcmtk runs one of DCMTK's programs against the node and gives what it says.
func (x *rig) dcmtk(t *testing.T, program string, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(x.n.DICOMAddr())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), testdata.Program(t, program), append(args, host, port)...)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// What DCMTK asks, in both roots, is answered as it understands it.
func TestFindByDCMTK(t *testing.T) {
	testdata.Program(t, "findscu")
	x := start(t, "")
	x.archive()
	x.publish(kept)
	uids := regexp.MustCompile(`(?m)^.: \(\d{4},[0-9a-f]{4}\) .. \[([^\]]*)\]`)
	for _, c := range []struct {
		args []string
		want string // the values of what was found, in order
	}{
		{[]string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=B", "-k", "StudyInstanceUID", "-k", "NumberOfStudyRelatedInstances"}, "STUDY|KEPT|B|1.2.3|1"},
		{[]string{"-P", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID=C", "-k", "NumberOfPatientRelatedStudies"}, "PATIENT|KEPT|C|1"},
		{[]string{"-P", "-k", "QueryRetrieveLevel=SERIES", "-k", "PatientID=A", "-k", "StudyInstanceUID=1.2.2", "-k", "SeriesInstanceUID", "-k", "Modality"}, "SERIES|KEPT|CT|A|1.2.2|1.2.2.1"},
		{[]string{"-S", "-k", "QueryRetrieveLevel=IMAGE", "-k", "StudyInstanceUID=1.2.2", "-k", "SeriesInstanceUID=1.2.2.1", "-k", "SOPInstanceUID", "-k", "InstanceNumber"}, "1.2.2.1.1|IMAGE|KEPT|1.2.2|1.2.2.1|1"},
		{[]string{"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=Z"}, ""},
		{[]string{"-S", "--cancel", "1", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=B", "-k", "StudyInstanceUID"}, "STUDY|KEPT|B|1.2.3"},
	} {
		out := x.dcmtk(t, "findscu", append([]string{"-aet", "ALL", "-aec", "KEPT"}, c.args...)...)
		var got []string
		for _, m := range uids.FindAllStringSubmatch(out, -1) {
			got = append(got, strings.Trim(m[1], " \x00"))
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%v: %s, want %s\n%s", c.args, strings.Join(got, "|"), c.want, out)
		}
	}
}
