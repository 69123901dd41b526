package portal

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

// releasePage is the landing page of a version: it stays when the version is taken back.
type releasePage struct {
	release.ReleaseView
	Address, Command string
	Of               collectionOf
	Makes            bool
	Given            bool // objects are given of it
	Mints            bool // this node makes DOIs
	May              []mayUseView
	MayAll           bool
	Citation         string
	Formats          []exportLink
	Data             []template.JS
	Codes            [][2]string
	Error            string
	Written          url.Values
}

// mayUseView is what the reader may do with a version.
type mayUseView struct {
	Words  string
	Answer datause.Answer
}

// tombstoneCodes are why a version is taken back, in words.
var tombstoneCodes = [][2]string{
	{"withdrawal", "people have withdrawn"},
	{"deidentification-defect", "something in it could tell who somebody is"},
	{"legal", "for legal reasons"},
	{"policy", "the terms of use have changed"},
	{"error", "a mistake was made with it"},
}

func (d *Door) release(r *request) (*page, error) { return d.releaseWith(r, nil) }

func (d *Door) releaseWith(r *request, failure error) (*page, error) {
	v, err := d.Releases.Release(r.Context(), r.admin(), r.PathValue("dataset"), r.PathValue("version"))
	if err != nil {
		return nil, err
	}
	p := &releasePage{ReleaseView: v, Address: "/datasets/" + v.Dataset + "/" + v.Version, Makes: r.makesReleases(v.Collection), Given: v.State == "published" || v.State == "amended", Mints: d.Releases.Mints(), Codes: tombstoneCodes, Written: url.Values{}}
	if p.Of, err = d.collectionOf(r, v.Collection); err != nil {
		return nil, err
	}
	if p.Given {
		p.Command = "vitrine get " + v.Name + " --to DIR --server " + web.Base(r.Request) + " --sign-in"
	}
	lists := p.Makes
	if !r.caller.Anonymous() && v.State != "draft" {
		for _, w := range []struct {
			want  access.Capability
			words string
		}{{access.View, "View its images here"}, {access.Analyse, "Analyse it where it is"}, {access.Download, "Download it"}} {
			a, err := d.Releases.May(r.Context(), r.admin(), v.Dataset, v.Version, w.want)
			if fault.Is(err, fault.NotFound) {
				break // nobody is entitled to anything at this node
			}
			if err != nil {
				return nil, err
			}
			p.May = append(p.May, mayUseView{w.words, a.Answer})
			if a.Verdict == datause.Permit {
				lists, p.MayAll = true, w.want == access.Download
			}
		}
	}
	if v.State != "draft" {
		p.Citation = d.described(r, &v, release.CitationCFF)
		if s := d.described(r, &v, release.SchemaOrg); s != "" {
			p.Data = append(p.Data, template.JS(strings.TrimSpace(s))) //nolint:gosec // encoding/json writes no <, > or &
		}
	}
	p.Formats = formatsOf(&v, lists)
	out := &page{file: "release", title: v.Title + " " + v.Version, section: "/", help: "get", data: p}
	if v.State != "draft" {
		out.about = v.Abstract
	}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, p.Written, out.status = pr.Detail, r.PostForm, http.StatusUnprocessableEntity
		if fault.Is(failure, fault.Conflict) {
			out.status = http.StatusConflict
		}
	}
	return out, nil
}

func (d *Door) actOnRelease(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, version := r.PathValue("dataset"), r.PathValue("version")
	to, notice := "/datasets/"+id+"/"+version, noticeSaved
	var err error
	switch r.PostFormValue("do") {
	case "publish":
		_, err = d.Releases.Publish(r.Context(), r.admin(), id, version)
		notice = noticeReleased
	case "discard":
		err = d.Releases.Discard(r.Context(), r.admin(), id, version)
		to = "/datasets/" + id
	case "takeback":
		_, err = d.Releases.Bury(r.Context(), r.admin(), id, version, r.PostFormValue("code"), r.PostFormValue("reason"))
		notice = noticeTakenBack
	default:
		err = fault.New(fault.Invalid, "change release", "", "nothing was asked for that can be done")
	}
	if correctableHere(err) {
		return d.releaseWith(r, err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(notice)
	return &page{to: to}, nil
}
