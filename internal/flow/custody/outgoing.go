package custody

import (
	"context"
	"io"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
)

// Outgoing is an admitted instance that is sent on to somewhere else, by this node itself. It holds the record open until Close.
type Outgoing struct {
	Row   catalogue.Located
	Given Given // what is said of it

	x    *object.Instance
	meta []byte
}

// Outgoing opens an instance to be sent on. One that is not admitted, or not any more, is a fault Conflict.
func (c *Custody) Outgoing(ctx context.Context, l catalogue.Located) (_ *Outgoing, err error) {
	const attempt = "send instance on"
	if l.State != policy.Admitted && l.State != policy.Released {
		return nil, fault.New(fault.Conflict, attempt, "instance "+l.ID.String(), "it is "+l.State.String())
	}
	o := &Outgoing{Row: l}
	if o.x, err = c.open(ctx, l); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	sealed, err := o.x.Meta()
	if err != nil {
		return nil, err
	}
	_, rest, err := object.DecodeMeta(sealed)
	if err != nil {
		return nil, err
	}
	m, err := decodeMeta(rest)
	if err != nil {
		return nil, fault.New(fault.Corrupt, attempt, "instance "+l.ID.String(), "the description of its record cannot be read")
	}
	o.Given = Given{Link: m.Link.String(), Judged: m.Judged}
	if a := m.Accepts; a != nil {
		o.Given.Decided = a.Ruling != 0
		o.Given.Seen = a.Actor != actorNode && a.Ruling == 0
		if p := a.Painted; p != nil {
			o.Given.Painted, o.Given.Reader, o.Given.Boxes = true, p.Reader, len(p.Boxes)
		}
	}
	if o.Given.Reader == "" && c.readPixels {
		ds, err := o.x.Dataset()
		if err != nil {
			return nil, err
		}
		if deid.Readable(ds) {
			o.Given.Reader = c.reader // nothing is admitted unread
		}
	}
	file, err := deid.Meta(l.SOPClass, string(l.SOP), o.x.Syntax())
	if err != nil {
		return nil, err
	}
	o.meta = file.Bytes()
	return o, nil
}

// Close lets go of the record.
func (o *Outgoing) Close() { o.x.Close() }

// Size is the number of bytes of the file.
func (o *Outgoing) Size() (int64, error) {
	n, err := o.x.Size()
	if err != nil {
		return 0, err
	}
	if n < 0 { // deflated on the way
		var c counter
		c.w = io.Discard
		if err := o.x.WriteDataset(&c); err != nil {
			return 0, err
		}
		n = c.n
	}
	return partTen + int64(len(o.meta)) + n, nil
}

const partTen = 128 + 4 // bytes before the meta information of a file (PS3.10 7.1)

// WriteFile writes the instance as a Part 10 file: the same bytes each time.
func (o *Outgoing) WriteFile(w io.Writer) error {
	head := make([]byte, partTen-4, partTen+len(o.meta))
	head = append(append(head, "DICM"...), o.meta...)
	if _, err := w.Write(head); err != nil {
		return err
	}
	return o.x.WriteDataset(w)
}
