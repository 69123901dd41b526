package dicomweb

import (
	"cmp"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// rendered draws what a path names (PS3.18 10.4.1.1.3): one picture, or, where a multipart body or a list of frames is asked for, one of each.
func (d *Door) rendered(w http.ResponseWriter, r *http.Request) { d.pictures(w, r, image.Point{}) }

// thumbnail draws a small picture that stands for a study, a series, an instance or a frame (PS3.18 10.4.1.1.4).
func (d *Door) thumbnail(w http.ResponseWriter, r *http.Request) {
	d.pictures(w, r, image.Pt(128, 128))
}

func (d *Door) pictures(w http.ResponseWriter, r *http.Request, within image.Point) {
	var list []int
	var err error
	if v := r.PathValue("frames"); v != "" {
		list, err = frameList(v)
	}
	var wish *pictureWish
	if err == nil {
		wish, err = wishOf(r, within)
	}
	if err == nil && within != (image.Point{}) && len(list) > 1 {
		err = web.Refuse(http.StatusBadRequest, "render", "a thumbnail shows one frame", "Ask for them one by one.")
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	as, ok := wish.choose(pictureMedia...)
	if within == (image.Point{}) && (len(list) > 1 || ok && as.multipart) {
		if !ok {
			web.Fail(w, r, unpainted())
			return
		}
		d.album(w, r, wish, as, list)
		return
	}
	x, err := d.pictured(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	defer x.Close()
	if within == (image.Point{}) {
		sent, err := d.shown(w, r, wish, x)
		if err != nil {
			web.Fail(w, r, err)
		}
		if sent || err != nil {
			return
		}
	}
	number := 0
	if len(list) > 0 {
		number = list[0]
	}
	if !ok {
		web.Fail(w, r, unpainted())
		return
	}
	img, err := d.Delivery.Draw(r.Context(), x, number, wish.options)
	if err != nil {
		web.Fail(w, r, undrawn(err))
		return
	}
	wish.header(w)
	w.Header().Set("Content-Type", as.media)
	if r.Method == http.MethodHead {
		return
	}
	if err := wish.encode(w, img, as.media); err != nil {
		web.Fail(w, r, err)
	}
}

// pictureMedia are the media types that pictures are made in, the default first (PS3.18 Table 8.7.4-1).
var pictureMedia = []string{"image/jpeg", "image/png", "image/gif"}

// pictureWish is how pictures are asked for.
type pictureWish struct {
	ranges   []mediaRange
	quality  int
	options  render.Options
	flip     [2]bool // left and right, top and bottom
	warnings []string
}

// pictureForm is one of the media types that are offered.
type pictureForm struct {
	media     string
	multipart bool
}

func wishOf(r *http.Request, within image.Point) (*pictureWish, error) {
	p := &pictureWish{quality: 85}
	var err error
	if p.ranges, err = accepted(r); err != nil {
		return nil, err
	}
	q := r.URL.Query()
	if v := q.Get("quality"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 100 {
			return nil, badParameter("quality", "a whole number from 1 to 100")
		}
		p.quality = n
	}
	if p.options, p.flip, err = renderOptions(q, within); err != nil {
		return nil, err
	}
	// Nothing is written into pictures of people without a name, and no profile goes with them (PS3.18 8.3.5.1.1, 8.3.5.1.5).
	for v := range strings.SplitSeq(q.Get("annotation"), ",") {
		switch v {
		case "":
		case "patient", "technique":
			p.warnings = append(p.warnings, `299 vitrine "The following annotation values are not supported: `+v+`"`)
		default:
			return nil, badParameter("annotation", "a list of patient and technique")
		}
	}
	switch q.Get("iccprofile") {
	case "", "no":
	case "yes", "srgb", "adobergb", "rommrgb", "displayp3":
		p.warnings = append(p.warnings, `299 vitrine "The iccprofile parameter is not supported: pictures have no profile"`)
	default:
		return nil, badParameter("iccprofile", "no, yes, srgb, adobergb, rommrgb or displayp3")
	}
	return p, nil
}

// choose finds the media type that the client prefers among those that are offered, the default first.
func (p *pictureWish) choose(offered ...string) (pictureForm, bool) {
	for i := range p.ranges {
		m := &p.ranges[i]
		name, multi := m.name, false
		if name == "multipart/related" {
			if name, multi = m.inner(), true; name == "" {
				name = "*/*"
			}
		}
		for _, o := range offered {
			main, _, _ := strings.Cut(o, "/")
			if name == "*/*" || strings.EqualFold(name, o) || name == main+"/*" {
				return pictureForm{o, multi}, true
			}
		}
	}
	return pictureForm{}, false
}

func unpainted() error {
	return notAcceptable("render", "pictures are made as image/jpeg, image/png and image/gif", "Accept one of these.")
}

func (p *pictureWish) header(w http.ResponseWriter) {
	h := w.Header()
	private(h)
	h.Set("Vary", "Accept")
	for _, text := range p.warnings {
		h.Add("Warning", text)
	}
}

// encode writes a picture in one of pictureMedia.
func (p *pictureWish) encode(w io.Writer, img image.Image, media string) error {
	img = flipped(img, p.flip)
	switch media {
	case "image/png":
		return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, img)
	case "image/gif":
		if g, ok := img.(*image.Gray); ok { // every shade is its own
			shades := make(color.Palette, 256)
			for i := range shades {
				shades[i] = color.Gray{Y: uint8(i)}
			}
			img = &image.Paletted{Pix: g.Pix, Stride: g.Stride, Rect: g.Rect, Palette: shades}
		}
		return gif.Encode(w, img, nil)
	}
	return jpeg.Encode(w, img, &jpeg.Options{Quality: p.quality})
}

// flipped mirrors a picture.
func flipped(img image.Image, flip [2]bool) image.Image {
	if flip == [2]bool{} {
		return img
	}
	var pix []byte
	var stride, size int
	switch m := img.(type) {
	case *image.Gray:
		pix, stride, size = m.Pix, m.Stride, 1
	case *image.RGBA:
		pix, stride, size = m.Pix, m.Stride, 4
	default:
		return img
	}
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if flip[0] {
		for y := range h {
			row := pix[y*stride:]
			for i, j := 0, w-1; i < j; i, j = i+1, j-1 {
				for k := range size {
					row[i*size+k], row[j*size+k] = row[j*size+k], row[i*size+k]
				}
			}
		}
	}
	if flip[1] {
		for i, j := 0, h-1; i < j; i, j = i+1, j-1 {
			for k := range w * size {
				pix[i*stride+k], pix[j*stride+k] = pix[j*stride+k], pix[i*stride+k]
			}
		}
	}
	return img
}

// album writes pictures of every frame that the path names, a part for each. What has no picture is passed over; if nothing has one, the first reason is told.
func (d *Door) album(w http.ResponseWriter, r *http.Request, wish *pictureWish, as pictureForm, list []int) {
	caller, at, err := asked(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	buf := buffered(w)
	defer release(buf)
	m := newMultipartWriter(buf)
	var refused error
	pictures := 0
	one := func(o *delivery.Object, k int) error {
		img, err := d.Delivery.Draw(r.Context(), o, k, wish.options)
		if err != nil {
			return undrawn(err)
		}
		if pictures++; pictures == 1 {
			wish.header(w)
			w.Header().Set("Content-Type", m.contentType(as.media))
		}
		if r.Method == http.MethodHead {
			return nil
		}
		m.part(as.media, d.address(r, o)+"/frames/"+strconv.Itoa(k)+"/rendered")
		return wish.encode(buf, img, as.media)
	}
	all := func(o *delivery.Object) error {
		defer o.Close()
		if list != nil {
			for _, k := range list { // of a list, each has to be there
				if err := one(o, k); err != nil {
					return err
				}
			}
			return nil
		}
		f, err := o.Frames(nil)
		for k := 1; err == nil && k <= f.Count() && pictures < maxFrames; k++ {
			if err = one(o, k); err == nil && r.Method == http.MethodHead {
				return nil
			}
			if skip(err) {
				refused, err = cmp.Or(refused, err), nil
			}
		}
		if skip(err) {
			refused, err = cmp.Or(refused, err), nil
		}
		return err
	}
	for o, err := range d.Delivery.Objects(r.Context(), caller, at, policy.ReadPixels) {
		if err == nil {
			err = all(o)
		}
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		if pictures > 0 && r.Method == http.MethodHead {
			return
		}
	}
	if pictures == 0 {
		web.Fail(w, r, cmp.Or(refused, fault.New(fault.NotFound, "render", "", "there is no picture of this kind that you may see")))
		return
	}
	if err = m.end(); err == nil {
		err = buf.Flush()
	}
	if err != nil {
		web.Fail(w, r, err)
	}
}

// skip reports a failure that concerns one picture or one object alone.
func skip(err error) bool {
	if err == nil {
		return false
	}
	p, _ := web.ProblemOf(err)
	switch p.Status {
	case http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusNotImplemented:
		return true
	}
	return false
}

// shown sends documents and videos, which need no drawing, as they are kept: a PDF, or the stream of a video, if that is what the client takes.
func (d *Door) shown(w http.ResponseWriter, r *http.Request, wish *pictureWish, o *delivery.Object) (sent bool, err error) {
	data, err := o.Dataset()
	if err != nil {
		return false, err
	}
	media := pixelMedia(o.Syntax().UID)
	var v io.ReadSeeker
	if i := data.Find(dicom.TagEncapsulatedDocument); i >= 0 {
		media = documentMedia(data)
		if as, ok := wish.choose(media); media == "" || !ok || as.multipart {
			return false, notAcceptable("render", "the instance is a document", "Ask for its media type, or retrieve the instance.")
		}
		if v, err = o.Value(i); err != nil {
			return false, err
		}
	} else if strings.HasPrefix(media, "video/") {
		if as, ok := wish.choose(media); !ok || as.multipart {
			return false, notAcceptable("render", "the instance is a video", "Ask for "+media+".")
		}
		f, err := o.Frames(nil)
		if err != nil {
			return false, err
		}
		if v, err = delivery.Frame(f, 1); err != nil {
			return false, err
		}
	} else {
		return false, nil
	}
	wish.header(w)
	return true, serve(w, r, o, media, v)
}

// documentMedia is the media type of an encapsulated document, of those that a browser shows without running what is in them; empty for others.
func documentMedia(data *dicom.Dataset) string {
	m := strings.ToLower(strings.TrimSpace(data.String(dicom.TagMIMETypeOfEncapsulatedDocument)))
	switch m {
	case "application/pdf", "model/stl", "model/obj", "model/mtl":
		return m
	}
	return ""
}

func badParameter(name, want string) error {
	return web.Refuse(http.StatusBadRequest, "render", "the parameter "+name+" is not "+want, "Correct it (PS3.18 8.3.5), or leave it out.")
}

// renderOptions reads window and viewport (PS3.18 8.3.5.1.3, 8.3.5.1.4). A region with a negative width or height is mirrored.
func renderOptions(q url.Values, within image.Point) (o render.Options, flip [2]bool, err error) {
	o = render.Options{Width: within.X, Height: within.Y}
	if v := q.Get("viewport"); v != "" {
		const want = "vw,vh or vw,vh,sx,sy,sw,sh in pixels"
		parts := strings.Split(v, ",")
		if len(parts) != 2 && len(parts) != 6 {
			return o, flip, badParameter("viewport", want)
		}
		var n [6]int
		for i, p := range parts {
			if i > 1 && p == "" {
				continue
			}
			f, err := strconv.ParseFloat(p, 64)
			if i > 3 && f < 0 {
				f, flip[i-4] = -f, true
			}
			if err != nil || !(f >= 0 && f <= 1<<16) {
				return o, flip, badParameter("viewport", want)
			}
			n[i] = int(f)
		}
		if n[0] < 1 || n[1] < 1 {
			return o, flip, badParameter("viewport", want)
		}
		o.Width, o.Height = n[0], n[1]
		if len(parts) == 6 {
			if n[4] == 0 {
				n[4] = 1 << 16
			}
			if n[5] == 0 {
				n[5] = 1 << 16
			}
			o.Crop = image.Rect(n[2], n[3], n[2]+n[4], n[3]+n[5])
		}
	}
	if v := q.Get("window"); v != "" {
		const want = "center,width,function"
		parts := strings.Split(v, ",")
		if len(parts) != 2 && len(parts) != 3 {
			return o, flip, badParameter("window", want)
		}
		var win render.Window
		var err1, err2 error
		ok := true
		win.Center, err1 = strconv.ParseFloat(parts[0], 64)
		win.Width, err2 = strconv.ParseFloat(parts[1], 64)
		if len(parts) == 3 {
			win.Function, ok = render.ParseFunction(parts[2])
		}
		if err1 != nil || err2 != nil || !ok || !(win.Width > 0) || win.Center-win.Center != 0 || win.Width-win.Width != 0 {
			return o, flip, badParameter("window", want)
		}
		o.Window = &win
	}
	return o, flip, nil
}

// pictured opens the instance that stands for what the path names: itself, or the middle one of the first series that has pictures.
func (d *Door) pictured(r *http.Request) (*delivery.Object, error) {
	caller, at, err := asked(r)
	if err != nil {
		return nil, err
	}
	if at.SOP != "" {
		return d.Delivery.Open(r.Context(), caller, at, policy.ReadPixels)
	}
	nothing := fault.New(fault.NotFound, "render", "", "there is no picture of this kind that you may see")
	q := catalogue.NewQuery(catalogue.Instances)
	q.Collection, q.Study, q.SeriesUID = at.Collection, at.Study, at.Series
	found, _, err := d.Delivery.SearchInstances(r.Context(), caller, q)
	if err != nil {
		return nil, err
	}
	var of []*catalogue.InstanceResult
	for _, i := range found {
		if i.Rows == 0 || i.Columns == 0 || len(of) > 0 && i.Series.ID != of[0].Series.ID {
			continue
		}
		of = append(of, i)
	}
	if len(of) == 0 {
		return nil, nothing
	}
	i := of[len(of)/2]
	at = delivery.Place{Collection: i.Series.Study.Collection, Study: i.Series.Study.UID, Series: i.Series.UID, SOP: i.UID}
	return d.Delivery.Open(r.Context(), caller, at, policy.ReadPixels)
}

// undrawn says why an image could not be drawn: it alone is concerned.
func undrawn(err error) error {
	if e, ok := errors.AsType[*render.Unsupported](err); ok {
		return web.Refuse(http.StatusNotImplemented, "render", "this node draws no pictures of "+e.Reason, "Retrieve the frame as it is stored; viewers can show it.")
	}
	if e, ok := errors.AsType[*render.Broken](err); ok {
		return web.Refuse(http.StatusUnprocessableEntity, "render", e.Error(), "The other frames are not concerned. Retrieve this one as it is stored if you want to look into it.")
	}
	return err
}
