package codec

import (
	"encoding/binary"
	"io"
	"time"
)

// What passes between the pool and a worker, over its standard input and output: the worker says hello when it is ready; then the pool sends a request and
// the bytes of a frame, and the worker answers with a reply and, if it is done, the samples. Numbers are little endian.

const (
	hello       = "VXC1"
	requestSize = 20
	replySize   = 8
)

type request struct {
	method        method
	word          uint8 // bytes of a decoded sample: 1 or 2
	signed        bool
	samples       uint8
	rows, columns uint16
	limit         time.Duration // how long it may take
	size          uint32        // of the code stream
}

func (q *request) append(b []byte) []byte {
	b = append(b, hello...)
	signed := byte(0)
	if q.signed {
		signed = 1
	}
	b = append(b, byte(q.method), q.word, signed, q.samples)
	b = binary.LittleEndian.AppendUint16(b, q.rows)
	b = binary.LittleEndian.AppendUint16(b, q.columns)
	b = binary.LittleEndian.AppendUint32(b, uint32(q.limit.Milliseconds()))
	return binary.LittleEndian.AppendUint32(b, q.size)
}

// read reads a request; ok is false if it is not one that the pool sends.
func (q *request) read(r io.Reader) (ok bool, err error) {
	var b [requestSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return false, err
	}
	*q = request{method(b[4]), b[5], b[6] == 1, b[7], binary.LittleEndian.Uint16(b[8:]), binary.LittleEndian.Uint16(b[10:]),
		time.Duration(binary.LittleEndian.Uint32(b[12:])) * time.Millisecond, binary.LittleEndian.Uint32(b[16:])}
	return string(b[:4]) == hello && q.method >= methodJPEG && q.method <= methodHTJ2K && (q.word == 1 || q.word == 2) && q.rows > 0 && q.columns > 0 && q.samples > 0, nil
}

// decoded is the number of bytes that the frame has when it is decoded.
func (q *request) decoded() int { return int(q.rows) * int(q.columns) * int(q.samples) * int(q.word) }

// outcome is how a worker ended with a frame.
type outcome uint8

const (
	outcomeDone    outcome = iota
	outcomeRefused         // the decoder gave up
	outcomeWarned          // the decoder made something of it, and says that it is damaged
	outcomeShort           // what the decoder made is of another size
	outcomeMemory          // it does not fit into the memory that a worker has
)

func (o outcome) reason() string {
	switch o {
	case outcomeRefused:
		return "its code stream cannot be decoded"
	case outcomeWarned:
		return "its code stream is damaged"
	case outcomeShort:
		return "its code stream decodes to another size than it says"
	case outcomeMemory:
		return "decoding it takes more memory than a worker has"
	}
	return "the decoder answers what it should not"
}

func appendReply(b []byte, o outcome, size int) []byte {
	b = append(b, byte(o), 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, uint32(size))
}
