package network_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
)

// A node that takes instances from loopback, and a sender that opens one association with it.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	server := &network.Server{
		Accept: func(_ context.Context, req *network.AssociateRequest) (network.Decision, error) {
			if a, ok := req.RemoteAddr.(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
				return network.Decision{}, &network.Rejection{Result: network.RejectPermanent, Source: network.RejectByUser, Reason: network.RejectCallingAE}
			}
			return network.Decision{}, nil
		},
		Store: func(_ context.Context, _ *network.Association, req *network.StoreRequest) network.Status {
			b, whole, err := req.Data.ReadAll(nil, 64<<20)
			if err != nil || !whole {
				return network.Status{Code: network.StatusOutOfResources, Comment: "instance is larger than this node takes"}
			}
			class, _ := network.LookupStorageClass(req.SOPClassUID)
			fmt.Printf("%s, %d bytes\n", class.Name, len(b))
			return network.Status{}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()

	const ct = "1.2.840.10008.5.1.4.1.1.2"
	a, err := network.Dial(ctx, l.Addr().String(), network.DialOptions{
		CallingAE: "SENDER", CalledAE: "VITRINE",
		Contexts: []network.Proposal{
			{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{dicom.ImplicitVRLittleEndianUID}},
			{AbstractSyntax: ct, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndianUID}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	echo, err := a.Echo(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("echo", echo)
	stored, err := a.Store(ctx, &network.Instance{
		SOPClassUID: ct, SOPInstanceUID: "2.25.1", TransferSyntaxUID: dicom.ExplicitVRLittleEndianUID,
		Bytes: []byte("\x08\x00\x60\x00CS\x02\x00CT"), // (0008,0060) Modality
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("store", stored)
	if err := a.Release(ctx); err != nil {
		log.Fatal(err)
	}

	if err := server.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output:
	// echo 0000H
	// CT Image Storage, 10 bytes
	// store 0000H
}
