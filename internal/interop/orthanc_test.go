package interop

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// orthanc is a running Orthanc, asked by its REST interface.
type orthanc struct {
	t    testing.TB
	rest string
	port int // of DICOM
}

// orthancs starts one that knows the node by its collections. Its AE title is ORTHANC.
func orthancs(t testing.TB, x *rig) *orthanc {
	t.Helper()
	dir := t.TempDir()
	o := &orthanc{t: t, port: freePort(t)}
	http := freePort(t)
	o.rest = "http://127.0.0.1:" + strconv.Itoa(http)
	port, err := strconv.Atoi(x.port())
	if err != nil {
		t.Fatal(err)
	}
	modality := func(aet string) map[string]any {
		return map[string]any{"AET": aet, "Host": "127.0.0.1", "Port": port, "Manufacturer": "Generic", "AllowStorageCommitment": true, "AllowFind": true, "AllowMove": true, "AllowGet": true, "AllowStore": true, "AllowEcho": true}
	}
	b, err := json.Marshal(map[string]any{"Name": "test", "StorageDirectory": filepath.Join(dir, "db"), "IndexDirectory": filepath.Join(dir, "db"), "HttpPort": http, "DicomPort": o.port, "DicomAet": "ORTHANC", "RemoteAccessAllowed": false,
		"AuthenticationEnabled": false, "Plugins": []string{}, "DicomModalities": map[string]any{"kept": modality("KEPT"), "pulled": modality("PULLED")}, "DicomModalitiesInDatabase": false, "DicomAlwaysAllowGet": true, "StableAge": 1,
		"JobsHistorySize": 100, "SaveJobs": false, "HttpThreadsCount": 4, "OverwriteInstances": false})
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(conf, b, 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, http, "Orthanc", conf)
	return o
}

// ask sends a request; the answer is read into out, unless that is nil.
func (o *orthanc) ask(method, path string, in, out any) (code int) {
	o.t.Helper()
	var body io.Reader
	switch v := in.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			o.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(o.t.Context(), method, o.rest+path, body)
	if err != nil {
		o.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	switch v := out.(type) {
	case nil:
	case *[]byte:
		*v = b
	default:
		if err := json.Unmarshal(b, out); resp.StatusCode == 200 && err != nil {
			o.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	if resp.StatusCode != 200 {
		o.t.Logf("%s %s: %d %.500s", method, path, resp.StatusCode, b)
	}
	return resp.StatusCode
}

// count is how many instances it has.
func (o *orthanc) count() int {
	o.t.Helper()
	var s struct{ CountInstances int }
	if code := o.ask("GET", "/statistics", nil, &s); code != 200 {
		o.t.Fatalf("statistics: %d", code)
	}
	return s.CountInstances
}

// empty deletes everything.
func (o *orthanc) empty() {
	o.t.Helper()
	var all []string
	o.ask("GET", "/patients", nil, &all)
	for _, p := range all {
		o.ask("DELETE", "/patients/"+p, nil, nil)
	}
	if n := o.count(); n != 0 {
		o.t.Fatalf("%d instances are left", n)
	}
}

// Orthanc as the archive that rules forward to and pulls collect from: every object as it is kept.
func TestOrthancAsArchive(t *testing.T) {
	t.Parallel()
	testdata.Program(t, "Orthanc", "/usr/sbin")
	x := start(t)
	o := orthancs(t, x)
	x.peer("ORTHANC", o.port, identity.MayStore)
	sent := archived(t, x, "ORTHANC", o.port, true)
	if n := o.count(); n != len(sent) {
		t.Errorf("Orthanc has %d instances", n)
	}
	for _, i := range sent {
		var b []byte
		if code := o.ask("GET", "/instances/"+o.find(i)+"/file", nil, &b); code != 200 {
			t.Fatal(code)
		}
		if f, err := dicom.Parse(b, dicom.Limits{}); err != nil || f.Syntax().UID != i.syntax || !bytes.Equal(f.DatasetBytes(), i.data) {
			t.Errorf("%s: Orthanc got another object: %v", i.name, err)
		}
	}
}

// find is Orthanc's name of an instance.
func (o *orthanc) find(i *instance) string {
	o.t.Helper()
	var ids []string
	if o.ask("POST", "/tools/find", map[string]any{"Level": "Instance", "Query": map[string]string{"SOPInstanceUID": i.sop}}, &ids); len(ids) != 1 {
		o.t.Fatalf("%s: Orthanc has %d of it", i.name, len(ids))
	}
	return ids[0]
}

// Orthanc as the one that asks: it stores, asks for commitment, finds at every level, and has sent to it.
func TestOrthancAsks(t *testing.T) {
	t.Parallel()
	testdata.Program(t, "Orthanc", "/usr/sbin")
	x := start(t)
	o := orthancs(t, x)
	x.peer("ORTHANC", o.port, identity.MayStore|identity.MayFind|identity.MayMove|identity.MayGet)
	le := dicom.ExplicitVRLittleEndian
	all := []*instance{slice(t, le, 1, 1), slice(t, dicom.ImplicitVRLittleEndian, 1, 2), rle(t, 1, 3), slice(t, le, 2, 1)}
	var ids []string
	for _, i := range all {
		var one struct{ ID, Status string }
		if code := o.ask("POST", "/instances", i.file(t), &one); code != 200 {
			t.Fatal(code)
		}
		ids = append(ids, one.ID)
	}
	if code := o.ask("POST", "/modalities/kept/echo", map[string]any{}, nil); code != 200 {
		t.Errorf("C-ECHO: %d", code)
	}
	var stored struct{ InstancesCount, FailedInstancesCount int }
	if code := o.ask("POST", "/modalities/kept/store", map[string]any{"Resources": ids, "Synchronous": true}, &stored); code != 200 || stored.InstancesCount != len(all) || stored.FailedInstancesCount != 0 {
		t.Fatalf("C-STORE: %d %+v", code, stored)
	}
	x.admitted(int64(len(all)))
	// Storage commitment: of what it stored, and of what nobody did.
	for _, c := range []struct {
		uid, status string
	}{{all[0].sop, "Success"}, {"2.25.9", "Failure"}} {
		var asked struct{ ID string }
		if code := o.ask("POST", "/modalities/kept/storage-commitment", map[string]any{"DicomInstances": []map[string]string{{"SOPClassUID": ctClass, "SOPInstanceUID": c.uid}}}, &asked); code != 200 {
			t.Fatalf("storage commitment: %d", code)
		}
		var report struct{ Status string }
		x.until("told of commitment", func() bool {
			o.ask("GET", "/storage-commitment/"+asked.ID, nil, &report)
			return report.Status != "Pending"
		})
		if report.Status != c.status {
			t.Errorf("commitment to %s: %+v", c.uid, report)
		}
	}
	var query struct{ ID string }
	find := func(level string, keys map[string]string) int {
		t.Helper()
		if code := o.ask("POST", "/modalities/kept/query", map[string]any{"Level": level, "Query": keys}, &query); code != 200 {
			t.Fatalf("C-FIND: %d", code)
		}
		var answers []string
		o.ask("GET", "/queries/"+query.ID+"/answers", nil, &answers)
		return len(answers)
	}
	if n := find("Study", map[string]string{"StudyInstanceUID": "", "PatientID": "P0001"}); n != 0 {
		t.Errorf("%d studies that are not released", n)
	}
	x.publish()
	for _, c := range []struct {
		level string
		keys  map[string]string
		want  int
	}{
		{"Patient", map[string]string{"PatientID": "P*"}, 2},
		{"Study", map[string]string{"PatientName": "Ångström*", "StudyDate": "20240101-"}, 2},
		{"Study", map[string]string{"AccessionNumber": "ACC0002", "ModalitiesInStudy": "CT"}, 1},
		{"Series", map[string]string{"StudyInstanceUID": all[0].study, "Modality": ""}, 1},
		{"Instance", map[string]string{"StudyInstanceUID": all[0].study, "SeriesInstanceUID": all[0].series, "InstanceNumber": ""}, 3},
		{"Study", map[string]string{"PatientID": "NOBODY"}, 0},
	} {
		if n := find(c.level, c.keys); n != c.want {
			t.Errorf("C-FIND at %s of %v: %d matches", c.level, c.keys, n)
		}
	}
	back := func(how string) {
		t.Helper()
		x.until(how, func() bool { return o.count() == 3 })
		for k, i := range all[:3] {
			var b []byte
			if code := o.ask("GET", "/instances/"+ids[k]+"/file", nil, &b); code != 200 {
				t.Fatalf("%s: %d", how, code)
			}
			if f, err := dicom.Parse(b, dicom.Limits{}); err != nil || f.Syntax().UID != i.syntax || !bytes.Equal(f.DatasetBytes(), i.data) {
				t.Errorf("%s: %s is another object: %v", how, i.name, err)
			}
		}
	}
	o.empty()
	find("Study", map[string]string{"StudyInstanceUID": all[0].study})
	if code := o.ask("POST", "/queries/"+query.ID+"/retrieve", map[string]any{"TargetAet": "ORTHANC", "Synchronous": true}, nil); code != 200 {
		t.Errorf("C-MOVE: %d", code)
	}
	back("by C-MOVE")
	t.Run("C-GET", func(t *testing.T) {
		o.empty()
		var root []string
		o.ask("GET", "/modalities/kept", nil, &root)
		if !slices.Contains(root, "get") {
			t.Skip("this Orthanc asks by no C-GET")
		}
		if code := o.ask("POST", "/modalities/kept/get", map[string]any{"Level": "Study", "Resources": []map[string]string{{"StudyInstanceUID": all[0].study}}, "Synchronous": true}, nil); code != 200 {
			t.Errorf("C-GET: %d", code)
		}
		back("by C-GET")
	})
}
