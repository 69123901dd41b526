package node

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// An address that cannot be listened on, or a certificate that is none, is a mistake in the configuration: it is told before anything is made.
func TestWrongAddressLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, cfg := range map[string]Config{
		"HTTP taken":            {HTTP: taken.Addr().String(), DICOM: "127.0.0.1:0"},
		"DICOM taken":           {DICOM: taken.Addr().String()},
		"HTTP is no address":    {HTTP: "127.0.0.1:99999", DICOM: "127.0.0.1:0"},
		"DICOM has no port":     {DICOM: "127.0.0.1"},
		"certificate is absent": {HTTP: "127.0.0.1:0", TLSCert: filepath.Join(t.TempDir(), "none"), TLSKey: filepath.Join(t.TempDir(), "none")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg.Data, cfg.Key = filepath.Join(dir, "data"), filepath.Join(dir, "keys", "master.key")
			n, err := New(t.Context(), cfg)
			if err == nil {
				_ = n.close()
			}
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%v is no fault of the configuration", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
		})
	}
}

// Who listens to other machines without TLS is warned; the address that is told is one to connect to.
func TestOpenWithoutTLS(t *testing.T) {
	var log bytes.Buffer
	n, err := New(t.Context(), Config{Data: t.TempDir(), Demo: true, HTTP: ":0", DICOM: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	warned := 0
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "without TLS") {
			warned++
			if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "HTTP is open") {
				t.Error(line)
			}
		}
	}
	if warned != 1 {
		t.Errorf("%d warnings, want one, of HTTP", warned)
	}
	for _, a := range []string{n.HTTPAddr(), strings.TrimPrefix(n.URL(), "http://"), n.DICOMAddr()} {
		c, err := net.Dial("tcp", a)
		if err != nil || !strings.HasPrefix(a, "127.0.0.1:") {
			t.Errorf("%s: %v", a, err)
			continue
		}
		c.Close()
	}
}
