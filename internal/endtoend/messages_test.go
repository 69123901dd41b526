package endtoend

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Broken conversations of DICOM and of HTTP, made of whole ones, cost the node neither its life nor its memory: each is answered or closed, none with an error of the node's own, and what was acknowledged is there.
func TestMutatedMessages(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) { brokenMessages(t, engine == "postgresql") })
	}
}

func brokenMessages(t *testing.T, postgres bool) {
	count := 1000 // of each kind
	if testdata.Soak() {
		count = 20_000
	}
	n := serve(t, setup{database: database(t, postgres)})
	n.admin("peer", "add", "ASKER", "--host", "127.0.0.1", "--port", "104", "--may", "store,find,move,get")
	if postgres {
		count /= 4
	}
	whole := n.conversations()
	wires := n.requests()
	n.unharmed()
	n.client.CloseIdleConnections()
	before := n.look()

	rnd := rand.New(rand.NewPCG(11, 500))
	each := func(address string, patience time.Duration, count int, next func() (name string, sent []byte), told func(name string, answer []byte) error) {
		var wg sync.WaitGroup
		type work struct {
			name string
			sent []byte
		}
		todo := make(chan work)
		for range 8 {
			wg.Go(func() {
				for w := range todo {
					answer, err := replay(address, w.sent, patience)
					if err == nil {
						err = told(w.name, answer)
					}
					if err != nil {
						t.Errorf("%s: %v", w.name, err)
					}
				}
			})
		}
		for range count {
			name, sent := next()
			todo <- work{name, sent}
		}
		close(todo)
		wg.Wait()
	}

	names := slices.Sorted(maps.Keys(whole))
	kinds := map[byte]int{} // of the last PDU of an answer
	var mu sync.Mutex
	each(n.dicom, 0, count, func() (string, []byte) {
		name := names[rnd.IntN(len(names))]
		return fmt.Sprintf("a broken %s", name), breakPDUs(rnd, whole[name])
	}, func(_ string, answer []byte) error {
		all, err := pdus(answer)
		if err != nil {
			return fmt.Errorf("it answered something that is no PDU: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(all) == 0 {
			kinds[0]++
		} else {
			kinds[all[len(all)-1][0]]++
		}
		return nil
	})
	t.Logf("%d broken conversations of DICOM ended with PDUs of the types %v", count, kinds)
	for _, kind := range []byte{pduRejected, pduReleased, pduAborted} {
		if kinds[kind] < count/100 {
			t.Errorf("%d ended with a PDU of type %d: the mutations are of one kind", kinds[kind], kind)
		}
	}
	n.unharmed()

	codes := map[int]int{}
	each(n.http, time.Second/4, count, func() (string, []byte) {
		w := wires[rnd.IntN(len(wires))]
		return w.name, w.broken(rnd)
	}, func(_ string, answer []byte) error {
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if len(answer) == 0 { // what has no request in it
			mu.Lock()
			codes[0]++
			mu.Unlock()
			return nil
		}
		if err != nil {
			return fmt.Errorf("it answered something that is no response: %w", err)
		}
		r.Body.Close()
		mu.Lock()
		codes[r.StatusCode]++
		mu.Unlock()
		if r.StatusCode == 500 {
			return fmt.Errorf("status %d: %.400s", r.StatusCode, answer)
		}
		return nil
	})
	t.Logf("%d broken requests of %d kinds were answered with %v", count, len(wires), codes)
	if codes[499] > count/50 {
		t.Errorf("%d requests were given up before they were answered", codes[499])
	}
	for _, code := range []int{200, 400, 401, 404} {
		if codes[code] < count/200 {
			t.Errorf("%d were answered with %d: the mutations are of one kind", codes[code], code)
		}
	}

	for _, path := range tricks {
		answer, err := replay(n.http, []byte("GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+n.tokens["admin"]+"\r\n\r\n"), time.Minute)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode < 300 || r.StatusCode >= 500 || bytes.Contains(body, []byte("root:")) || bytes.Contains(body, []byte("SQLite format")) {
			t.Errorf("GET %s: status %d: %.200s", path, r.StatusCode, body)
		}
	}

	n.unharmed()
	peak := n.peak()
	t.Logf("peak memory %d MiB", peak>>20)
	if peak > 512<<20 {
		t.Errorf("the node used %d MiB", peak>>20)
	}
	n.client.CloseIdleConnections()
	eventually(t, 2*time.Minute, func() error {
		if s := n.look(); s.goroutines > before.goroutines+40 || s.handles > before.handles+40 {
			return fmt.Errorf("%v goroutines and %v handles, %v and %v before", s.goroutines, s.handles, before.goroutines, before.handles)
		}
		return nil
	})
	if left, err := os.ReadDir(n.tmp); err != nil || len(left) > 0 {
		t.Errorf("%d temporary files are left, %v", len(left), err)
	}
	n.silent()
	n.stop()
	n.verify()
}

// replay says something to an address and hears what is answered until the connection is ended. Its own half it ends when an answer begins, or when none has begun for the time of its patience.
func replay(address string, sent []byte, patience time.Duration) ([]byte, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(90 * time.Second)); err != nil {
		return nil, err
	}
	begun := make(chan struct{})
	go func() {
		_, _ = c.Write(sent) // the node may have heard enough
		select {
		case <-begun:
		case <-time.After(patience):
		}
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	r := bufio.NewReader(c)
	_, err = r.Peek(1)
	close(begun)
	var answer []byte
	if err == nil {
		answer, err = io.ReadAll(r)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return answer, fmt.Errorf("after %d bytes of answer nothing more came, and the connection stayed open", len(answer))
	}
	return answer, nil // or the connection was reset, since not all was read
}

// PDU types of PS3.8 9.3.
const (
	pduRejected = 3
	pduReleased = 6
	pduAborted  = 7
)

// pdus takes bytes of a connection apart; the last PDU may be cut.
func pdus(b []byte) (all [][]byte, err error) {
	for len(b) > 0 {
		if len(b) < 6 || b[0] < 1 || b[0] > 7 {
			return all, fmt.Errorf("% x", b[:min(len(b), 16)])
		}
		size := min(len(b), 6+int(binary.BigEndian.Uint32(b[2:])))
		all, b = append(all, b[:size]), b[size:]
	}
	return all, nil
}

// conversations are what requestors say in whole associations of every service, by the service's name.
func (n *served) conversations() map[string][][]byte {
	n.t.Helper()
	set := sample.SmallSet(77)
	var images []*image
	for k := range 4 {
		in, err := set.Instance(k)
		if err != nil {
			n.t.Fatal(err)
		}
		images = append(images, generated("", in))
	}
	if st := n.store("KEPT", images); !st[0].Done() {
		n.t.Fatalf("C-STORE: %v", st[0])
	}
	n.settled(kept, len(images))
	if a := n.do("POST", "/api/collections/"+kept+"/releases", "steward", map[string]string{"Content-Type": "application/json"}, strings.NewReader("{}")); a.code/100 != 2 {
		n.t.Fatalf("release: status %d: %s", a.code, a.body)
	}
	implicit := []string{dicom.ImplicitVRLittleEndianUID}
	encoded := func(fill func(b *dicom.Builder)) []byte {
		b := dicom.NewBuilder(dicom.ImplicitVRLittleEndian)
		fill(b)
		d, err := b.Dataset()
		if err != nil {
			n.t.Fatal(err)
		}
		return d.Bytes()
	}
	thisStudy := encoded(func(b *dicom.Builder) {
		b.String(dicom.TagQueryRetrieveLevel, "STUDY")
		b.String(dicom.TagStudyInstanceUID, images[0].study)
	})
	const (
		studyFind = "1.2.840.10008.5.1.4.1.2.2.1"
		studyMove = "1.2.840.10008.5.1.4.1.2.2.2"
		studyGet  = "1.2.840.10008.5.1.4.1.2.2.3"
		commit    = "1.2.840.10008.1.20.1"
		commitSOP = "1.2.840.10008.1.20.1.1"
	)
	propose := func(uids ...string) (all []network.Proposal) {
		for _, uid := range uids {
			all = append(all, network.Proposal{AbstractSyntax: uid, TransferSyntaxes: implicit})
		}
		return all
	}
	all := map[string][][]byte{}
	for _, c := range []struct {
		name   string
		offers []network.Proposal
		say    func(a *network.Association) error
	}{
		{"C-ECHO", propose(network.VerificationUID), func(a *network.Association) error { _, err := a.Echo(n.t.Context()); return err }},
		{"C-STORE", []network.Proposal{{AbstractSyntax: images[0].class, TransferSyntaxes: []string{images[0].syntax}}}, func(a *network.Association) error {
			for _, i := range images {
				if _, err := a.Store(n.t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"C-FIND", propose(studyFind), func(a *network.Association) error {
			for _, key := range []string{"", "CT", "*"} {
				_, err := a.Find(n.t.Context(), &network.Query{SOPClassUID: studyFind, TransferSyntaxUID: implicit[0],
					Identifier: encoded(func(b *dicom.Builder) {
						b.Text(dicom.TagStudyDate, dicom.VRDA, "19000101-20991231")
						b.String(dicom.TagQueryRetrieveLevel, "STUDY")
						b.String(dicom.TagModalitiesInStudy, key)
						b.String(dicom.TagPatientName, "*")
						b.Empty(dicom.TagStudyInstanceUID)
					})}, func(network.Status, []byte) bool { return true })
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"C-MOVE", propose(studyMove), func(a *network.Association) error {
			_, err := a.Move(n.t.Context(), &network.Query{SOPClassUID: studyMove, TransferSyntaxUID: implicit[0], MoveDestination: "NOBODY", Identifier: thisStudy}, nil)
			return err
		}},
		{"C-GET", append(propose(studyGet), network.Proposal{AbstractSyntax: images[0].class, TransferSyntaxes: []string{images[0].syntax}}), func(a *network.Association) error {
			took := 0
			_, err := a.Get(n.t.Context(), &network.Query{SOPClassUID: studyGet, TransferSyntaxUID: implicit[0], Identifier: thisStudy},
				func(r *network.StoreRequest) network.Status {
					took++
					_, _ = io.Copy(io.Discard, r.Data)
					return network.Status{}
				}, nil)
			if err == nil && took == 0 {
				err = errors.New("nothing came")
			}
			return err
		}},
		{"N-ACTION", propose(commit), func(a *network.Association) error {
			information := encoded(func(b *dicom.Builder) {
				b.String(dicom.TagTransactionUID, "1.2.3.4")
				b.Sequence(dicom.TagReferencedSOPSequence, func(item *dicom.Builder) {
					item.String(dicom.TagReferencedSOPClassUID, images[0].class)
					item.String(dicom.TagReferencedSOPInstanceUID, images[0].sop)
				})
			})
			_, err := a.Action(n.t.Context(), &network.ActionRequest{SOPClassUID: commit, SOPInstanceUID: commitSOP, ActionTypeID: 1, TransferSyntaxUID: implicit[0], Information: information})
			return err
		}},
	} {
		address, heard := n.overhear()
		a, err := network.Dial(n.t.Context(), address, network.DialOptions{CallingAE: "ASKER", CalledAE: "KEPT", Contexts: c.offers, Roles: []network.Role{{SOPClassUID: images[0].class, SCU: true, SCP: true}}, ResponseTimeout: time.Minute})
		if err != nil {
			n.t.Fatalf("%s: %v", c.name, err)
		}
		if err := c.say(a); err != nil {
			n.t.Fatalf("%s: %v", c.name, err)
		}
		if err := a.Release(n.t.Context()); err != nil {
			n.t.Fatalf("%s: %v", c.name, err)
		}
		if all[c.name], err = pdus(heard()); err != nil || len(all[c.name]) < 3 {
			n.t.Fatalf("%s: %d PDUs, %v", c.name, len(all[c.name]), err)
		}
	}
	return all
}

// overhear is an address where the node's DICOM port is reached once; heard waits for the end and gives what was said to it.
func (n *served) overhear() (address string, heard func() []byte) {
	n.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	var said bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer l.Close()
		from, err := l.Accept()
		if err != nil {
			return
		}
		defer from.Close()
		to, err := net.Dial("tcp", n.dicom)
		if err != nil {
			return
		}
		defer to.Close()
		back := make(chan struct{})
		go func() {
			defer close(back)
			_, _ = io.Copy(from, to)
			_ = from.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(to, io.TeeReader(from, &said))
		_ = to.(*net.TCPConn).CloseWrite()
		<-back
	}()
	return l.Addr().String(), func() []byte { <-done; return said.Bytes() }
}

// breakPDUs is a conversation of which one to three things are wrong.
func breakPDUs(rnd *rand.Rand, whole [][]byte) []byte {
	all := make([][]byte, len(whole))
	for k, p := range whole {
		all[k] = bytes.Clone(p)
	}
	any := func() int { return rnd.IntN(len(all)) }
	for range 1 + rnd.IntN(3) {
		if len(all) == 0 {
			break
		}
		k := any()
		switch p := all[k]; rnd.IntN(11) {
		case 0: // where a header is, of the PDU, of a value or a command
			for range 1 + rnd.IntN(8) {
				if len(p) > 0 {
					p[rnd.IntN(min(len(p), 200))] ^= 1 << rnd.IntN(8)
				}
			}
		case 1:
			all[k] = p[:rnd.IntN(len(p)+1)]
		case 2: // the PDU's length
			if len(p) >= 6 {
				binary.BigEndian.PutUint32(p[2:], [...]uint32{0, 1, 3, 0x7FFFFFFF, 0xFFFFFFFF, uint32(len(p)), uint32(max(7, len(p)) - 7), rnd.Uint32()}[rnd.IntN(8)])
			}
		case 3: // a value's length
			if len(p) >= 12 {
				binary.BigEndian.PutUint32(p[6:], [...]uint32{0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFF, uint32(len(p)), rnd.Uint32()}[rnd.IntN(7)])
			}
		case 4:
			all = slices.Delete(all, k, k+1)
		case 5:
			all = slices.Insert(all, any(), bytes.Clone(p))
		case 6:
			o := any()
			all[k], all[o] = all[o], all[k]
		case 7:
			if len(p) > 0 {
				p[0] = byte(rnd.IntN(10)) // another type
			}
		case 8: // context and control header of a value (PS3.8 E.2)
			if len(p) >= 12 {
				p[10], p[11] = byte(rnd.IntN(256)), byte(rnd.IntN(8))
			}
		case 9:
			noise := make([]byte, rnd.IntN(4000))
			for j := range noise {
				noise[j] = byte(rnd.Uint32())
			}
			all = slices.Insert(all, k, noise)
		case 10: // anywhere
			if len(p) > 0 {
				at, size := rnd.IntN(len(p)), rnd.IntN(16)
				all[k] = slices.Concat(p[:at], bytes.Repeat([]byte{byte(rnd.Uint32())}, size), p[at:])
			}
		}
	}
	return bytes.Join(all, nil)
}

// wire is a request over HTTP before it is broken.
type wire struct {
	name         string // its method and the pattern of its path
	method, path string
	header       []string
	body         []byte
}

// requests are some of each route: what DICOMweb and uploads take, every row of the API as it describes itself, and pages.
func (n *served) requests() (all []wire) {
	n.t.Helper()
	rnd := rand.New(rand.NewPCG(12, 500))
	add := func(name, method, path, role string, body []byte, header ...string) {
		if role != "" {
			header = append(header, "Authorization: Bearer "+n.tokens[role])
		}
		all = append(all, wire{name, method, path, header, body})
	}
	in, err := sample.SmallSet(78).Instance(0)
	if err != nil {
		n.t.Fatal(err)
	}
	i := generated("", in)
	multi := slices.Concat([]byte("--edge\r\nContent-Type: application/dicom\r\n\r\n"), i.file, []byte("\r\n--edge\r\nContent-Type: application/dicom\r\n\r\n"), i.file, []byte("\r\n--edge--\r\n"))
	meta := `[{"00080016":{"vr":"UI","Value":["` + i.class + `"]},"00080018":{"vr":"UI","Value":["` + i.sop + `.1"]},"0020000D":{"vr":"UI","Value":["` + i.study + `"]},"0020000E":{"vr":"UI","Value":["` + i.series +
		`"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"}]},"00280010":{"vr":"US","Value":[1]},"00280011":{"vr":"US","Value":[1]},"7FE00010":{"vr":"OB","BulkDataURI":"urn:1"}}]`
	parts := []byte("--edge\r\nContent-Type: application/dicom+json\r\n\r\n" + meta + "\r\n--edge\r\nContent-Type: application/octet-stream\r\nContent-Location: urn:1\r\n\r\n\x01\x02\r\n--edge--\r\n")
	web := "/collections/" + kept + "/dicomweb"
	for range 6 { // as often as they matter
		add("POST STOW-RS", "POST", web+"/studies", "depositor", multi, "Content-Type: "+stowType, "Accept: application/dicom+json")
		add("POST STOW-RS of metadata", "POST", web+"/studies/"+i.study, "depositor", parts, `Content-Type: multipart/related; type="application/dicom+json"; boundary=edge`, "Accept: application/dicom+json")
		add("GET QIDO-RS", "GET", web+"/studies?PatientName=*&StudyDate=19000101-20991231&includefield=all&fuzzymatching=true&limit=5&offset=1&ModalitiesInStudy=CT", "researcher", nil, "Accept: application/dicom+json")
		add("GET QIDO-RS of series", "GET", "/dicomweb/series?Modality=CT&00080060=MR%5CCT&includefield=0020000E", "steward", nil, "Accept: multipart/related; type=\"application/dicom+xml\"")
		add("POST upload", "POST", "/upload", "depositor", nil, "Tus-Resumable: 1.0.0", "Upload-Length: 10", "Upload-Metadata: collection "+base64of(kept))
		add("POST batch", "POST", "/upload/batches", "depositor", []byte(`{"collection":"`+kept+`"}`), "Tus-Resumable: 1.0.0", "Content-Type: application/json")
		add("PATCH upload", "PATCH", "/upload/0123456789abcdef", "depositor", i.file[:200], "Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")
	}
	published := sample.SmallSet(77)
	shown, err := published.Instance(0)
	if err != nil {
		n.t.Fatal(err)
	}
	study, series := web+"/studies/"+shown.StudyUID, "/series/"+shown.SeriesUID
	instance := study + series + "/instances/" + shown.SOPInstanceUID
	for path, accept := range map[string]string{study: `multipart/related; type="application/dicom"; transfer-syntax=*`, study + "/metadata": "application/dicom+json", study + "?accept=application/zip": "*/*",
		instance: "application/dicom; transfer-syntax=1.2.840.10008.1.2.1, */*;q=0.1", instance + "/frames/1,1": `multipart/related; type="application/octet-stream"`, instance + "/rendered?viewport=64,64,0,0,10,10&window=40,400,linear&quality=50": "image/png, image/jpeg;q=0.4",
		study + series + "/thumbnail": "image/jpeg", instance + "/bulkdata/7FE00010": "application/octet-stream"} {
		for range 3 {
			add("GET WADO-RS", "GET", path, "steward", nil, "Accept: "+accept, "Range: bytes=0-99")
		}
	}
	for _, path := range []string{"/", "/directory?q=breast&modality=CT&age=40-60&page=2", "/directory/" + kept, "/sign-in", "/healthz", "/metrics", "/api/openapi.json", "/catalog.jsonld", "/sitemap.xml", "/upload/batches/1", "/.well-known/security.txt"} {
		add("GET page", "GET", path, "", nil, "Accept: text/html")
	}
	add("POST sign-in", "POST", "/sign-in", "", []byte("email=a%40example.org&password=x&csrf=y"), "Content-Type: application/x-www-form-urlencoded", "Cookie: session=abc", "Origin: http://x")

	a := n.get("/api/openapi.json", "", "application/json")
	var described struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []struct{ Name, In string }
			RequestBody struct {
				Content map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(a.body, &described); err != nil || len(described.Paths) < 30 {
		n.t.Fatalf("/api/openapi.json: status %d, %d paths, %v", a.code, len(described.Paths), err)
	}
	for _, pattern := range slices.Sorted(maps.Keys(described.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(described.Paths[pattern])) {
			op := described.Paths[pattern][method]
			if op.OperationID == "revokeToken" {
				continue // the tokens are needed
			}
			for k := range 3 {
				path, query := pattern, "?"
				for _, p := range op.Parameters {
					value := [...]string{kept, "1", "a.b%20c"}[k]
					if p.In == "path" {
						path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
					} else {
						query += p.Name + "=" + value + "&"
					}
				}
				header, body := []string{"Accept: application/json"}, []byte(nil)
				for kind, c := range op.RequestBody.Content {
					header = append(header, "Content-Type: "+kind)
					if body, err = json.Marshal(c.Schema.example(rnd, described.Components.Schemas, 0)); err != nil {
						n.t.Fatal(err)
					}
				}
				add(strings.ToUpper(method)+" "+pattern, strings.ToUpper(method), path+strings.TrimRight(query, "?&"), [...]string{"admin", "steward", "depositor"}[k], body, header...)
			}
		}
	}
	return all
}

// schema is as much of JSON Schema as the API describes itself with.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Enum       []any
	Properties map[string]schema
	Items      *schema
	AllOf      []schema
}

// example is a value of the schema, or nearly.
func (s schema) example(rnd *rand.Rand, named map[string]schema, depth int) any {
	if depth > 6 {
		return nil
	}
	switch {
	case s.Ref != "":
		return named[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]].example(rnd, named, depth+1)
	case len(s.AllOf) > 0:
		return s.AllOf[0].example(rnd, named, depth+1)
	case len(s.Enum) > 0:
		return s.Enum[rnd.IntN(len(s.Enum))]
	}
	switch s.Type {
	case "object":
		o := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if rnd.IntN(5) > 0 {
				o[name] = s.Properties[name].example(rnd, named, depth+1)
			}
		}
		return o
	case "array":
		a := []any{}
		for range rnd.IntN(4) {
			if s.Items != nil {
				a = append(a, s.Items.example(rnd, named, depth+1))
			}
		}
		return a
	case "integer":
		return [...]int64{0, 1, 7, -1, 104, 1 << 40}[rnd.IntN(6)]
	case "boolean":
		return rnd.IntN(2) == 0
	}
	return [...]string{kept, "research", "*", "", "2026-01-02T03:04:05Z", "a@example.org", "1.2.3", strings.Repeat("x", 300)}[rnd.IntN(8)]
}

// broken is the request with one to three things wrong, of its body, of its head, or of how the two are put together.
func (w wire) broken(rnd *rand.Rand) []byte {
	body, path, header := bytes.Clone(w.body), w.path, slices.Clone(w.header)
	length := -1 // a lie
	chunked, raw := false, false
	for range 1 + rnd.IntN(3) {
		at := 0
		if len(body) > 0 {
			at = rnd.IntN(len(body))
		}
		switch rnd.IntN(12) {
		case 0:
			for range 1 + rnd.IntN(8) {
				if len(body) > 0 {
					body[rnd.IntN(min(len(body), 2000))] ^= 1 << rnd.IntN(8)
				}
			}
		case 1:
			body = body[:at]
		case 2: // what stands for a value in JSON, a form and a multipart head alike
			word := [...]string{"null", "[]", "{}", "1e400", "-1", `"\ud800"`, strings.Repeat("[", 5000), strings.Repeat(`{"a":`, 2000), "9223372036854775808", "\x00", "true", `","`, "\r\n--edge\r\n", "\r\n\r\n"}[rnd.IntN(14)]
			body = slices.Concat(body[:at], []byte(word), body[at:])
		case 3: // another value of JSON
			if f := bytes.Split(body, []byte(`:`)); len(f) > 2 {
				k := 1 + rnd.IntN(len(f)-1)
				if end := bytes.IndexAny(f[k], ",}"); end >= 0 {
					f[k] = append([]byte([...]string{"null", "[1]", "{}", "1.5", `"x"`, "-7", "1e9", "false"}[rnd.IntN(8)]), f[k][end:]...)
				}
				body = bytes.Join(f, []byte(`:`))
			}
		case 4:
			body = append(body, body...)
		case 5:
			length = [...]int{0, 1, len(body) / 2, len(body) + 1, len(body) + 1000, 1 << 40}[rnd.IntN(6)]
		case 6:
			chunked = true
		case 7:
			if at := rnd.IntN(len(path)); at > 0 {
				path = path[:at] + [...]string{"%00", "%2e%2e/", "/", "..%2f", "%zz", "?", "&", "%", "'", "%F0%9F", "=-1", "=99999999999999999999", strings.Repeat("9", 3000)}[rnd.IntN(13)] + path[at:]
			}
		case 8:
			if len(header) > 0 {
				k := rnd.IntN(len(header))
				header[k] += [...]string{"x", "; q=2", ", */*", ";;;", "\x01", `"`, strings.Repeat("a", 5000), "=="}[rnd.IntN(8)]
			}
		case 9:
			if len(header) > 0 {
				header = slices.Delete(header, 0, 1)
			}
		case 10:
			header = append(header, [...]string{"Transfer-Encoding: gzip", "Content-Encoding: gzip", "Expect: 100-continue", "Range: bytes=5-1", "If-None-Match: \"x\"", "Content-Length: 3", "X-Forwarded-For: ::1", "Upgrade: h2c\r\nConnection: Upgrade", "Accept-Encoding: br;q=x", "Host: y"}[rnd.IntN(10)])
		case 11:
			raw = true
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", w.method, path)
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	switch {
	case chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			size := 1 + rnd.IntN(len(body))
			said := strconv.FormatInt(int64(size), 16)
			if rnd.IntN(6) == 0 {
				said = [...]string{"zz", "-1", "ffffffffffffffff", "", "7fffffff"}[rnd.IntN(5)]
			}
			fmt.Fprintf(&b, "%s\r\n%s\r\n", said, body[:size])
			body = body[size:]
		}
		b.WriteString("0\r\n\r\n")
	case length >= 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", length)
		b.Write(body)
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
		b.Write(body)
	}
	out := b.Bytes()
	if raw && rnd.IntN(2) == 0 { // anywhere in the head
		for range 1 + rnd.IntN(4) {
			out[rnd.IntN(min(len(out), 300))] ^= 1 << rnd.IntN(8)
		}
	} else if raw {
		out = out[:rnd.IntN(len(out))]
	}
	return out
}

// tricks are paths that lead out of what is served.
var tricks = []string{"/static/../../etc/passwd", "/static/..%2f..%2fetc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%5c..%5cetc%5cpasswd", "//etc/passwd", "/./../etc/passwd", "/static//etc/passwd",
	"/viewer/../../../etc/passwd", "/viewer/..%2f..%2fmaster.key", "/viewer/%2e%2e%2fcatalogue.db", "/collections/..%2f..%2fetc/dicomweb/studies", "/collections/kept%00/dicomweb/studies", "/dicomweb/studies/..%2f..%2f..%2fetc%2fpasswd",
	"/dicomweb/studies/1.2.3/series/../../../../../../etc/passwd", "/upload/..%2f..%2fetc%2fpasswd", "/upload/batches/..%2f1", "/api/held/..%2f..%2fmaster.key", "/api/deposits/%2e%2e", "/static/\x7f", "/%c0%ae%c0%ae/etc/passwd", "/static/main.js%00.png"}
