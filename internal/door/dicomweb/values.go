package dicomweb

import (
	"cmp"
	"io"
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// bulkData answers every bulk value of a study, a series or an instance, pixelData its pixel data alone, a part for each (PS3.18 10.4.1.1.5, 10.4.1.1.6).
func (d *Door) bulkData(w http.ResponseWriter, r *http.Request) {
	d.values(w, r, func(data *dicom.Dataset) (list []int, err error) {
		// What metadata give an address for is bulk.
		_, err = dicom.AppendJSON(nil, data, dicom.JSONOptions{BulkURI: func(i int) (string, bool) {
			if !data.VR(i).IsText() {
				list = append(list, i)
			}
			return "", true
		}})
		return list, err
	})
}

func (d *Door) pixelData(w http.ResponseWriter, r *http.Request) {
	d.values(w, r, func(data *dicom.Dataset) ([]int, error) {
		if i := data.PixelData(); i >= 0 {
			return []int{i}, nil
		}
		return nil, nil
	})
}

// values writes parts. What is in none of the media types that the client takes is left out; if all is, that is told.
func (d *Door) values(w http.ResponseWriter, r *http.Request, of func(*dicom.Dataset) ([]int, error)) {
	caller, at, err := asked(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	buf := buffered(w)
	defer release(buf)
	v := &valueWriter{d: d, w: w, r: r, m: newMultipartWriter(buf)}
	for o, err := range d.Delivery.Objects(r.Context(), caller, at, policy.ReadPixels) {
		if err == nil {
			err = v.object(o, of)
			o.Close()
		}
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		if v.m.parts > 0 && r.Method == http.MethodHead {
			return
		}
	}
	if v.m.parts == 0 {
		web.Fail(w, r, cmp.Or(v.refused, fault.New(fault.NotFound, "retrieve bulk data", "", "there are no values of this kind that you may see")))
		return
	}
	if err = v.m.end(); err == nil {
		err = buf.Flush()
	}
	if err != nil {
		web.Fail(w, r, err)
	}
}

// valueWriter writes values of objects as parts.
type valueWriter struct {
	d       *Door
	w       http.ResponseWriter
	r       *http.Request
	m       *multipartWriter
	refused error // why something was left out
}

func (v *valueWriter) object(o *delivery.Object, of func(*dicom.Dataset) ([]int, error)) error {
	data, err := o.Dataset()
	if err != nil {
		return err
	}
	list, err := of(data)
	if err != nil {
		return err
	}
	for _, i := range list {
		if err := v.value(o, data, i); err != nil {
			if !skip(err) && !isNotAcceptable(err) {
				return err
			}
			v.refused = cmp.Or(v.refused, err)
		}
	}
	return nil
}

func isNotAcceptable(err error) bool {
	p, _ := web.ProblemOf(err)
	return p.Status == http.StatusNotAcceptable
}

// value writes one value; an error that leaves it out comes before its first byte.
func (v *valueWriter) value(o *delivery.Object, data *dicom.Dataset, i int) error {
	e := data.At(i)
	pixels := e.IsEncapsulated() && i == data.PixelData()
	as, err := pixelsAs(v.r, o.Syntax(), pixels, false)
	if err != nil {
		return err
	}
	address := v.d.address(v.r, o) + "/bulkdata/" + elementPath(data, i)
	media := as.contentType(as.syntax(o.Syntax()))
	switch {
	case as.decode:
		x, err := v.d.Delivery.Decoded(v.r.Context(), o)
		if err != nil {
			return undecoded("retrieve bulk data", err)
		}
		return v.part(as, media, address, x.All(v.r.Context()), x.FrameSize()*int64(x.Count()))
	case pixels:
		f, err := o.Frames(nil)
		if err != nil {
			return err
		}
		for k := range f.Count() {
			frame, err := delivery.Frame(f, k+1)
			if err == nil {
				err = v.part(as, media, address+"/frames/"+strconv.Itoa(k+1), frame, frame.Size)
			}
			if err != nil {
				return v.cut(k > 0, err)
			}
		}
		return nil
	}
	b, err := o.Value(i)
	if err != nil {
		return err
	}
	if word := data.VR(i).WordSize(); as.swap && word > 1 {
		b = io.NewSectionReader(delivery.Swapped(b, b.Size(), word), 0, b.Size())
	}
	return v.part(as, media, address, b, b.Size())
}

// cut makes an error one that ends the answer, where a part of the value was written already.
func (v *valueWriter) cut(begun bool, err error) error {
	if begun && skip(err) {
		return fault.Wrap(fault.Corrupt, "retrieve bulk data", "", err)
	}
	return err
}

func (v *valueWriter) part(as pixelForm, media, address string, from io.Reader, size int64) error {
	if v.m.parts == 0 {
		h := v.w.Header()
		private(h)
		h.Set("Vary", "Accept")
		h.Set("Content-Type", v.m.contentType(as.media))
	}
	v.m.part(media, address)
	if v.r.Method == http.MethodHead {
		return nil
	}
	return v.cut(true, copyAll(v.m.w, from, size))
}
