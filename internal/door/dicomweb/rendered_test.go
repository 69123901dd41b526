package dicomweb_test

import (
	"bytes"
	picture "image"
	_ "image/jpeg"
	_ "image/png"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Pictures come as asked for, to who may see the images, and a wrong wish is told as such.
func TestRendered(t *testing.T) {
	x := start(t, "")
	x.deposit(kept, image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.1", nil), image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.2", nil))
	steward := x.token(policy.Steward, kept)
	const study = "/collections/" + kept + "/dicomweb/studies/1.2.3"
	for path, size := range map[string]picture.Point{
		"/thumbnail": picture.Pt(4, 4), "/series/1.2.3.1/thumbnail?viewport=2,2": picture.Pt(2, 2), "/series/1.2.3.1/instances/1.2.3.1.1/rendered": picture.Pt(4, 4),
		"/series/1.2.3.1/instances/1.2.3.1.1/frames/1/rendered?window=100,200,sigmoid&quality=30": picture.Pt(4, 4),
		"/series/1.2.3.1/instances/1.2.3.1.1/rendered?viewport=100,100,1,1,2,3&accept=image/png":  picture.Pt(2, 3),
	} {
		a := x.get(study+path, steward, "image/avif,image/*,*/*;q=0.8")
		m, _, err := picture.Decode(bytes.NewReader(a.body))
		if a.code != 200 || err != nil || m.Bounds().Size() != size {
			t.Errorf("%s: %d %v", path, a.code, err)
		}
		if got := a.header.Get("Cache-Control"); got != "private, no-store" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
	}
	for path, code := range map[string]int{
		"/series/1.2.3.1/instances/1.2.3.1.1/frames/2/rendered": 404, "/series/1.2.3.1/instances/1.2.3.1.1/frames/1,1/rendered": 400,
		"/thumbnail?viewport=0,1": 400, "/thumbnail?viewport=a": 400, "/thumbnail?window=1": 400, "/thumbnail?window=1,0": 400, "/thumbnail?window=NaN,1": 400, "/thumbnail?quality=101": 400,
		"/thumbnail?viewport=4,4,100,100,2,2": 409, "/thumbnail?accept=image/gif": 406, "/series/9/thumbnail": 404,
	} {
		x.get(study+path, steward, "*/*").problem(t, code)
	}
	x.get(study+"/thumbnail", x.token(policy.Depositor, kept), "*/*").problem(t, 404)
	x.get(study+"/thumbnail", "", "*/*").problem(t, 401)
	x.get(study+"/thumbnail", x.token(policy.Researcher, kept), "*/*").problem(t, 404) // not published
}
