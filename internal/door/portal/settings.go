package portal

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

func (d *Door) registerSettings(mux web.Routes) {
	mux.HandleFunc("GET /collections/{collection}/settings", d.page(d.settings))
	mux.HandleFunc("POST /collections/{collection}/settings", d.page(d.changeSettings))
	mux.HandleFunc("GET /collections/{collection}/profile", d.page(func(r *request) (*page, error) {
		return &page{to: "/collections/" + url.PathEscape(r.PathValue("collection")) + "/settings"}, nil
	}))
	mux.HandleFunc("POST /collections/{collection}/profile", d.reading(d.putProfile))
}

// profileWords say what a profile does, to who chooses one.
var profileWords = map[string]string{
	"research":     "For most research. Names, numbers and places go; dates are moved by whole weeks, the same for all of a subject, so that time between visits stays; age, sex, size and the scanner's model stay. Writing in pictures is painted over, and what cannot be judged is held for a person.",
	"basic":        "Keeps least: no dates, no characteristics of the patient, no descriptions, nothing private. For when hardly more than the picture is needed.",
	"public":       "For images that anybody may have: as research, with rare ages, sizes and devices made coarser, times blurred, and pictures of heads held because of the face.",
	"as-deposited": "Nothing is changed. Only for what was de-identified before, which whoever makes the collection attests by name; what looks identifiable all the same is noted as a finding.",
}

type settingsPage struct {
	collection.Collection
	Words    string // what the profile does
	Cleaning cleaning
	Open     bool
	Members  []admin.Member
	Ways     *admin.Ways // nil: not for this caller
	Host     string
	Port     string // of DICOM; empty: it is off
	Secret   string // of a token made a moment ago; shown once
	SecretOf string
	Roles    []policy.Role
	People   bool // the caller manages people
	Rulings  bool // the caller sees standing decisions
	Error    string
}

// cleaning is what the page says of the collection's profile.
type cleaning struct {
	Base       string // a named profile
	Changed    []string
	Options    []deid.OptionView
	Rules      []deid.RuleView
	Vocabulary []string
	Limits     []string
	Versions   []admin.ProfileView
	File       string // of the profile in force
	Fixed      bool   // as-deposited
	Refused    string // why a new one was
	Asked      string // its name, where one was asked for by it
	Names      []string
}

func (d *Door) cleaning(r *request, id collection.ID) (c cleaning, err error) {
	p, err := d.Desk.Cleaning(r.Context(), r.admin(), id)
	if err != nil {
		return c, err
	}
	c = cleaning{Base: p.Base(), Changed: p.Changed(), Options: p.Options.Describe(), Rules: p.Rules(), Vocabulary: p.Vocabulary(), Fixed: p.AsDeposited}
	if p.Own() {
		c.Limits = deid.Limits()
	}
	for _, name := range deid.Profiles() {
		if name != collection.AsDeposited {
			c.Names = append(c.Names, name)
		}
	}
	if c.Versions, err = d.Desk.Profiles(r.Context(), r.admin(), id); err == nil && len(c.Versions) > 0 {
		c.File = c.Versions[0].File
	}
	return c, err
}

// putProfile takes a file of the collection's own rules, or the name of a profile.
func (d *Door) putProfile(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "put profile", "", "there is no such collection")
	}
	_, _, text, err := r.upload(deid.MaxProfileSize)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		err = fault.New(fault.Invalid, "put profile", "", "choose a file, or write the name of a profile")
	} else {
		_, err = d.Desk.PutProfile(r.Context(), r.admin(), id, text)
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		p := settingsPage{}
		pr, _ := web.ProblemOf(err)
		p.Cleaning.Refused = pr.Detail
		if len(text) <= 300 && !bytes.ContainsAny(text, "\r\n") {
			p.Cleaning.Asked = strings.ToValidUTF8(string(text), "")
		}
		out, err := d.settingsWith(r, p, nil)
		if err == nil {
			out.status = http.StatusUnprocessableEntity
		}
		return out, err
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/collections/" + string(id) + "/settings"}, nil
}

func (d *Door) settings(r *request) (*page, error) { return d.settingsWith(r, settingsPage{}, nil) }

func (d *Door) settingsWith(r *request, p settingsPage, failure error) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil || !r.caller.Knows(string(id)) {
		return nil, fault.New(fault.NotFound, "show collection", "", "there is no such collection that you have a role in")
	}
	if p.Members, err = d.Desk.Members(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	if p.Collection, err = d.Desk.Collection(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	switch w, err := d.Desk.WaysInto(r.Context(), r.admin(), id); {
	case err == nil:
		p.Ways = &w
	case !fault.Is(err, fault.Denied):
		return nil, err
	}
	refused, asked := p.Cleaning.Refused, p.Cleaning.Asked
	if p.Cleaning, err = d.cleaning(r, id); err != nil {
		return nil, err
	}
	p.Cleaning.Refused, p.Cleaning.Asked = refused, asked
	p.Words, p.Open, p.Roles = profileWords[p.Cleaning.Base], p.State == collection.Open, personRoles
	p.Rulings = policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.SeeHeld, Collection: string(id), State: policy.Held}).Allow
	p.People = policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.ManageUsers}).Allow
	if p.Host, _, err = net.SplitHostPort(r.Host); err != nil {
		p.Host = r.Host
	}
	if _, p.Port, err = net.SplitHostPort(d.DICOM); err != nil {
		p.Port = ""
	}
	out := &page{file: "settings", title: "Settings of " + string(id), section: "/collections", help: "collections"}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, out.status = pr.Detail, http.StatusUnprocessableEntity
	}
	out.data = p
	return out, nil
}

func (d *Door) changeSettings(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "change collection", "", "there is no such collection")
	}
	p := settingsPage{}
	switch r.PostFormValue("do") {
	case "save":
		v := admin.CollectionChange{Title: new(r.PostFormValue("title")), AETitle: new(strings.TrimSpace(r.PostFormValue("aet"))), State: new(collection.Closed.String()),
			NoAutomaticAcceptance: new(r.PostFormValue("person") != "")}
		if r.PostFormValue("open") != "" {
			v.State = new(collection.Open.String())
		}
		var s admin.Settings
		s, err = v.Settings()
		if err == nil {
			err = d.Desk.ChangeCollection(r.Context(), r.admin(), id, s)
		}
	case "token":
		role, ok := policy.ParseRole(r.PostFormValue("role"))
		if !ok {
			err = fault.New(fault.Invalid, "create token", "", "there is no such role")
			break
		}
		var t identity.Token
		var secret identity.Secret
		if t, secret, err = d.Desk.CreateToken(r.Context(), r.admin(), identity.Token{Name: strings.TrimSpace(r.PostFormValue("name")), Role: role, Collection: string(id)}, nil); err == nil {
			p.Secret, p.SecretOf = secret.Reveal(), t.Name
			return d.settingsWith(r, p, nil)
		}
	case "revoke":
		err = d.Desk.RevokeToken(r.Context(), r.admin(), r.PostFormValue("token"))
	case "forget":
		var ae collection.AETitle
		if ae, err = collection.ParseAETitle(r.PostFormValue("peer")); err == nil {
			err = d.Desk.RemovePeer(r.Context(), r.admin(), ae)
		}
	default:
		err = fault.New(fault.Invalid, "change collection", "", "the form does not say what to do")
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		return d.settingsWith(r, p, err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/collections/" + string(id) + "/settings"}, nil
}
