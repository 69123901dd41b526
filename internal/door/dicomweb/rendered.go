package dicomweb

import (
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// renderedInstance draws the middle frame of an instance, or the frame that the path names (PS3.18 10.4.1.1.3).
func (d *Door) renderedInstance(w http.ResponseWriter, r *http.Request) {
	number := 0
	if v := r.PathValue("frames"); v != "" {
		list, err := frameList(v)
		if err == nil && len(list) != 1 {
			err = web.Refuse(http.StatusBadRequest, "render frames", "one picture shows one frame", "Ask for the frames one by one.")
		}
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		number = list[0]
	}
	d.drawn(w, r, number, image.Point{})
}

// thumbnail draws a small picture that stands for a study, a series or an instance (PS3.18 10.4.1.1.5).
func (d *Door) thumbnail(w http.ResponseWriter, r *http.Request) {
	d.drawn(w, r, 0, image.Pt(128, 128))
}

func (d *Door) drawn(w http.ResponseWriter, r *http.Request, number int, within image.Point) {
	as, err := pictureAs(r)
	var o render.Options
	if err == nil {
		o, err = renderOptions(r, within)
	}
	var x *delivery.Object
	if err == nil {
		x, err = d.pictured(r)
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	defer x.Close()
	img, err := d.Delivery.Draw(r.Context(), x, number, o)
	if err != nil {
		web.Fail(w, r, undrawn(err))
		return
	}
	h := w.Header()
	private(h)
	h.Set("Vary", "Accept")
	h.Set("Content-Type", as.media)
	if r.Method == http.MethodHead {
		return
	}
	if as.media == "image/png" {
		err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, img)
	} else {
		err = jpeg.Encode(w, img, &jpeg.Options{Quality: as.quality})
	}
	if err != nil {
		web.Fail(w, r, err)
	}
}

type pictureForm struct {
	media   string
	quality int
}

// pictureAs reads in which form the picture is asked for.
func pictureAs(r *http.Request) (pictureForm, error) {
	f := pictureForm{"image/jpeg", 85}
	if q := r.URL.Query().Get("quality"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 1 || n > 100 {
			return f, badParameter("quality", "a whole number from 1 to 100")
		}
		f.quality = n
	}
	ranges, err := accepted(r)
	if err != nil {
		return f, err
	}
	for _, m := range ranges {
		switch m.name {
		case "image/jpeg", "image/*", "*/*":
			return f, nil
		case "image/png":
			f.media = "image/png"
			return f, nil
		}
	}
	if len(ranges) == 0 {
		return f, nil
	}
	return f, notAcceptable("render", "pictures are made as image/jpeg and image/png", "Accept one of these.")
}

func badParameter(name, want string) error {
	return web.Refuse(http.StatusBadRequest, "render", "the parameter "+name+" is not "+want, "Correct it (PS3.18 8.3.5), or leave it out.")
}

// renderOptions reads window and viewport (PS3.18 8.3.5.1.3, 8.3.5.1.4).
func renderOptions(r *http.Request, within image.Point) (render.Options, error) {
	o := render.Options{Width: within.X, Height: within.Y}
	q := r.URL.Query()
	if v := q.Get("viewport"); v != "" {
		const want = "vw,vh or vw,vh,sx,sy,sw,sh in pixels"
		parts := strings.Split(v, ",")
		if len(parts) != 2 && len(parts) != 6 {
			return o, badParameter("viewport", want)
		}
		var n [6]int
		for i, p := range parts {
			if i > 1 && p == "" {
				continue
			}
			f, err := strconv.ParseFloat(p, 64)
			if err != nil || f < 0 || f > 1<<16 {
				return o, badParameter("viewport", want)
			}
			n[i] = int(f)
		}
		if n[0] < 1 || n[1] < 1 {
			return o, badParameter("viewport", want)
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
			return o, badParameter("window", want)
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
			return o, badParameter("window", want)
		}
		o.Window = &win
	}
	return o, nil
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
