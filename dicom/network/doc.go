// Package network speaks DICOM over a network: the upper layer protocol (PS3.8) and, of the message exchange (PS3.7), C-ECHO, C-STORE, C-FIND, C-MOVE and
// C-GET with C-CANCEL, on both sides.
//
// A Server accepts associations. It hands each data set to its Store handler as it comes from the connection, byte for byte as the sender encoded it, in
// whatever transfer syntax was agreed on; by default that is the first of the sender's own list that package dicom can read. Dial opens an association as the
// requesting side.
//
// # What it promises
//
//   - Memory is bounded by configuration, never by what a peer announces: an association holds 16 KiB to read ahead, a command set is at most 64 KiB, an
//     association request at most 256 KiB, the identifier of a query at most 1 MiB, and a data set takes what its handler gives it.
//   - A peer that breaks the protocol is answered with the A-ABORT that PS3.8 9.2 has for it, and its association ends. Other associations do not notice.
//   - A peer that stalls loses its association: there are times for the request (ARTIM), between messages, and within a message, where a rate has to be
//     reached as well.
//   - A handler's panic costs one message, which is answered with a failure.
//   - Nothing is logged. Errors quote nothing from a message or a request; those of crypto/tls and of the operating system are passed on as they are, and
//     those name addresses and certificates.
//
// # What it does not do
//
// Of the DIMSE-N services there are N-ACTION and N-EVENT-REPORT, as storage commitment needs them; the others are answered with "unrecognized operation" (0211H), and so is
// what a Server has no handler for. The default policy refuses all their abstract syntaxes. No asynchronous operations window is negotiated: one message at a time (PS3.7 D.3.3.3). Data sets are neither parsed nor converted. An AE title is
// what a peer calls itself; who may do what is for Accept to decide, from addresses and certificates.
package network
