package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// small mounts a file system of so many MiB until the test ends.
func small(t *testing.T, size int) (dir string, resize func(size int)) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		testdata.Require(t, "the right to mount a file system (root)", os.Geteuid() != 0)
		t.Skip("the right to mount a file system (root) is absent")
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(size int) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%dm", size)); err != nil {
			t.Fatal(err)
		}
	}
}

// On a full disk the node says so, and loses nothing; when room is made it takes images again.
func TestFullDisk(t *testing.T) {
	dir, resize := small(t, 24)
	n := serve(t, setup{data: filepath.Join(dir, "data")})
	set, next := sample.FullSet(31), 0
	one := func() *image {
		in, err := set.Instance(next)
		if err != nil {
			t.Fatal(err)
		}
		next++
		return generated("", in)
	}
	acked := map[string]bool{}
	// store sends one; whether it was acknowledged.
	store := func() bool {
		i := one()
		a, err := n.dial(t.Context(), "KEPT", []*image{i})
		if err != nil {
			t.Fatalf("no association after %d: %v", len(acked), err)
		}
		st, err := a.Store(t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data})
		if err != nil {
			t.Fatalf("no answer after %d: %v", len(acked), err)
		}
		if err := a.Release(t.Context()); err != nil {
			t.Error(err)
		}
		switch {
		case st.Done():
			acked[i.fingerprint()] = true
			return true
		case st.Code != network.StatusOutOfResources || st.Comment == "":
			t.Errorf("refused with %v %q, want A700", st, st.Comment)
		}
		return false
	}
	give := func() bool {
		i := one()
		a := n.stow(kept, i)
		switch {
		case a.code == 200:
			acked[i.fingerprint()] = true
			return true
		case a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "":
			t.Errorf("refused with %d, %v: %.300s; want 503", a.code, a.err, a.body)
		}
		return false
	}
	full := func() {
		refused := 0
		for k := 0; refused < 6; k++ {
			if k > 200 {
				t.Fatal("the disk does not fill up")
			}
			if k%2 == 0 && !store() || k%2 == 1 && !give() {
				refused++
			}
		}
	}
	full()
	t.Logf("%d instances were acknowledged before the disk was full", len(acked))
	if len(acked) < 5 {
		t.Error("it was full too soon")
	}
	if err := n.echo(); err != nil {
		t.Errorf("C-ECHO on a full disk: %v", err)
	}
	n.calm()
	resize(64)
	taken := 0
	eventually(t, time.Minute, func() error {
		if store() {
			taken++
		}
		if give() {
			taken++
		}
		if taken < 4 {
			return fmt.Errorf("%d were taken after room was made", taken)
		}
		return nil
	})
	// The same again, and killed while there is no room.
	full()
	before := len(acked)
	n.kill()
	resize(128)
	n.start()
	if !store() {
		t.Error("it takes nothing after it came back")
	}
	n.unharmed()
	n.stop()
	there := map[string]bool{}
	n.stored(kept, func(l catalogue.Located, syntax string, data []byte) {
		there[fingerprint(string(l.SOP), syntax, data)] = true
	})
	for key := range acked {
		if !there[key] {
			t.Error("an acknowledged instance is gone")
		}
	}
	if len(there) != len(acked) {
		t.Errorf("%d instances are there, %d were acknowledged (%d before the kill)", len(there), len(acked), before)
	}
	n.verify()
}

// Who opens connections and says nothing, or little, or reads nothing, does not keep others out: those who do so come from an address of their own.
func TestSlowClients(t *testing.T) {
	n := serve(t, setup{})
	set := sample.SmallSet(41)
	instance := func(k int) *image {
		in, err := set.Instance(k)
		if err != nil {
			t.Fatal(err)
		}
		return generated("", in)
	}
	before := n.sockets()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	idle := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	dial := func(address, say string) net.Conn {
		c, err := idle.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if _, err := io.WriteString(c, say); err != nil {
			t.Logf("closed while half open: %v", err)
		}
		return c
	}
	for k := range 400 {
		switch k % 4 {
		case 0:
			dial(n.dicom, "")
		case 1:
			dial(n.dicom, "\x01\x00\x00\x00\x00\xcd\x00\x01") // the beginning of an A-ASSOCIATE-RQ
		case 2:
			dial(n.http, "GET /dicomweb/studies HTTP/1.1\r\nHost: x\r\nAuthoriz")
		case 3:
			dial(n.http, "POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+n.tokens["depositor"]+"\r\nContent-Type: "+stowType+"\r\nContent-Length: 100000\r\n\r\n--edge\r\nContent-")
		}
	}
	// Associations in the middle of a message, and readers who do not read.
	for k := range 8 {
		i := instance(100 + k)
		a, err := n.dial(t.Context(), "VITRINE", []*image{i})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Abort()
		r, w := io.Pipe()
		defer w.Close()
		go func() {
			_, _ = a.Store(t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Reader: r})
		}()
		if _, err := w.Write(i.data[:1000]); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	for k := range 20 {
		if st := n.store("VITRINE", []*image{instance(k)})[0]; !st.Done() {
			t.Fatalf("C-STORE %d: %v %s", k, st, st.Comment)
		}
		if a := n.stow(kept, instance(k)); a.code != 200 {
			t.Fatalf("STOW-RS %d: status %d, %v", k, a.code, a.err)
		}
	}
	n.unharmed()
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("beside them 40 instances took %v", took)
	}
	t.Logf("beside 408 half-open connections 40 instances took %v; %d sockets are open", time.Since(begun).Round(time.Millisecond), n.sockets())
	// Those who read nothing of a study.
	for range 20 {
		c := dial(n.http, "GET /collections/"+kept+"/dicomweb/studies/"+instance(0).study+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+n.tokens["steward"]+"\r\nAccept: multipart/related; type=\"application/dicom\"; transfer-syntax=*\r\n\r\n")
		line, err := bufio.NewReaderSize(c, 16).ReadString('\n')
		if err != nil || !strings.Contains(line, "200") {
			t.Errorf("a reader was answered %q, %v", line, err)
		}
	}
	n.unharmed()
	for _, c := range open {
		c.Close()
	}
	open = nil
	n.client.CloseIdleConnections()
	eventually(t, 40*time.Second, func() error {
		if now := n.sockets(); now > before+8 { // the associations in the middle of a message
			return fmt.Errorf("%d sockets are open, %d were before", now, before)
		}
		return nil
	})
	// Whoever is half through neither keeps the node from ending.
	n.stop()
}
