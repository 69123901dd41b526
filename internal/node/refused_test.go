package node

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
)

// notes is a log that may be read while it is written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// Why an association was refused, or may not store, is in the log; what its sender calls itself and others is not.
func TestRefusedAssociationsAreNoted(t *testing.T) {
	var log notes
	// No demonstration: nobody is taken at their word.
	n, err := New(t.Context(), Config{Data: t.TempDir(), Key: filepath.Join(t.TempDir(), "master.key"), DICOM: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	noted := func(what string) {
		t.Helper()
		eventually(t, what+" is noted", func() bool { return strings.Contains(log.String(), "level=INFO "+what) })
	}
	o := network.DialOptions{CallingAE: "Q7Z4CALLING", CalledAE: "Q7Z4CALLED", Contexts: []network.Proposal{
		{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{dicom.ImplicitVRLittleEndianUID}}, {AbstractSyntax: ctClass, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndianUID}}}}
	if _, err := network.Dial(t.Context(), n.DICOMAddr(), o); err == nil {
		t.Error("an unknown called AE title was taken")
	}
	noted(`msg="association refused" reason=unknown-called-ae-title`)
	c, err := net.Dial("tcp", n.DICOMAddr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("Q7Z4 / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	noted(`msg="association refused" reason=not-an-association-request`)
	c.Close()

	o.CalledAE = "VITRINE"
	a, err := network.Dial(t.Context(), n.DICOMAddr(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
	noted(`msg="association may do nothing of what it asks for" collection=default reason=unknown-calling-ae-title`)
	if strings.Contains(log.String(), "Q7Z4") {
		t.Error("the log repeats what a sender wrote")
	}
}
