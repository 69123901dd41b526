package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// certificate makes a self-signed certificate for this machine, in memory and as files.
func certificate(t *testing.T, dir, name string) (tls.Certificate, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for f, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(f, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certFile, keyFile
}

// Outside a demonstration an AE title proves nothing: who is not registered may echo, who is may store where it says, from its address, and with its
// certificate where it has one.
func TestWhoMayStore(t *testing.T) {
	dir := t.TempDir()
	server, certFile, keyFile := certificate(t, dir, "server")
	pinned, _, _ := certificate(t, dir, "pinned")
	other, _, _ := certificate(t, dir, "other")
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(server.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)

	n, err := New(t.Context(), Config{Data: filepath.Join(dir, "node"), Key: filepath.Join(dir, "master.key"), DICOM: "127.0.0.1:0", TLSCert: certFile, TLSKey: keyFile})
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
	sum := identity.Digest(sha256.Sum256(pinned.Certificate[0]))
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		for _, p := range []identity.Peer{
			{AETitle: "REGISTERED", Host: "127.0.0.1", Port: 104, May: identity.MayStore, Collection: "*"},
			{AETitle: "ELSEWHERE", Host: "192.0.2.1", Port: 104, May: identity.MayStore, Collection: "*"},
			{AETitle: "OTHERS", Host: "127.0.0.1", Port: 104, May: identity.MayStore, Collection: "another"},
			{AETitle: "FINDER", Host: "127.0.0.1", Port: 104, May: identity.MayFind, Collection: "*"},
			{AETitle: "PINNED", Host: "127.0.0.1", Port: 104, May: identity.MayStore, Collection: "default", Certificate: &sum},
		} {
			if _, err := n.Stores.Identity.AddPeer(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	in := ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {})
	for _, c := range []struct {
		name, calling string
		with          []tls.Certificate
		may           bool
	}{
		{"nobody", "NOBODY", nil, false},
		{"registered", "REGISTERED", nil, true},
		{"registered at another address, calling from this machine", "ELSEWHERE", nil, true},
		{"registered for another collection", "OTHERS", nil, false},
		{"may find alone", "FINDER", nil, false},
		{"pinned, with its certificate", "PINNED", []tls.Certificate{pinned}, true},
		{"pinned, with another", "PINNED", []tls.Certificate{other}, false},
		{"pinned, with none", "PINNED", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := network.Dial(t.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: c.calling, CalledAE: "VITRINE", TLS: &tls.Config{RootCAs: roots, Certificates: c.with},
				Contexts: []network.Proposal{{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{in.TransferSyntaxUID}},
					{AbstractSyntax: in.SOPClassUID, TransferSyntaxes: []string{in.TransferSyntaxUID}}}})
			if err != nil {
				t.Fatal(err)
			}
			if st, err := a.Echo(t.Context()); err != nil || !st.Success() {
				t.Errorf("echo: %v %v", st, err)
			}
			st, err := a.Store(t.Context(), in)
			if got := err == nil && st.Success(); got != c.may {
				t.Errorf("stored: %v, may: %v (%v %v)", got, c.may, st, err)
			}
			if err := a.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := network.Dial(t.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: "REGISTERED", CalledAE: "NOSUCH", TLS: &tls.Config{RootCAs: roots},
		Contexts: []network.Proposal{{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{in.TransferSyntaxUID}}}}); err == nil {
		t.Error("an unknown called AE title was taken")
	}
}
