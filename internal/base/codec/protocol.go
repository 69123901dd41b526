package codec

import (
	"encoding/binary"
	"io"
	"time"
)

// What passes between the pool and a worker, over its standard input and output: the worker says hello when it is ready; then the pool sends a request and
// the bytes of a frame, and the worker answers with a reply and, if it is done, the samples. Or the pool sends samples, by pixel, and the worker answers with their code.
// Numbers are little endian.

const (
	hello       = "VXC2"
	requestSize = 24
	replySize   = 8
)

type request struct {
	method        method
	word          uint8 // bytes of a decoded sample: 1 or 2
	signed        bool
	samples       uint8
	rows, columns uint16
	limit         time.Duration // how long it may take
	size          uint32        // of what follows: the code stream, or the samples

	// of samples that are to be encoded, without loss
	encode    bool
	precision uint8 // bits
	order     uint8 // of the packets of JPEG 2000: 0 to 4
	transform bool  // of colours
}

func (q *request) append(b []byte) []byte {
	b = append(b, hello...)
	b = append(b, byte(q.method), q.word, flag(q.signed), q.samples)
	b = binary.LittleEndian.AppendUint16(b, q.rows)
	b = binary.LittleEndian.AppendUint16(b, q.columns)
	b = binary.LittleEndian.AppendUint32(b, uint32(q.limit.Milliseconds()))
	b = binary.LittleEndian.AppendUint32(b, q.size)
	return append(b, flag(q.encode), q.precision, q.order, flag(q.transform))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// read reads a request; ok is false if it is not one that the pool sends.
func (q *request) read(r io.Reader) (ok bool, err error) {
	var b [requestSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return false, err
	}
	*q = request{method: method(b[4]), word: b[5], signed: b[6] == 1, samples: b[7], rows: binary.LittleEndian.Uint16(b[8:]), columns: binary.LittleEndian.Uint16(b[10:]),
		limit: time.Duration(binary.LittleEndian.Uint32(b[12:])) * time.Millisecond, size: binary.LittleEndian.Uint32(b[16:]),
		encode: b[20] == 1, precision: b[21], order: b[22], transform: b[23] == 1}
	ok = string(b[:4]) == hello && q.method >= methodJPEG && q.method <= methodHTJ2K && (q.word == 1 || q.word == 2) && q.rows > 0 && q.columns > 0 && q.samples > 0
	if q.encode {
		ok = ok && q.method != methodJPEG && q.precision > 0 && q.precision <= 8*q.word && q.order <= 4 && int64(q.size) == int64(q.decoded())
	}
	return ok, nil
}

func (q *request) verb() string {
	if q.encode {
		return "encoding"
	}
	return "decoding"
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

func (o outcome) reason(encode bool) string {
	if encode {
		if o == outcomeMemory {
			return "encoding it takes more memory than a worker has"
		}
		return "it cannot be encoded"
	}
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
