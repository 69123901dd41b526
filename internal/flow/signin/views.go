package signin

import (
	"context"
	"net/url"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// What is shown of people: the JSON of the management API, and of the command line, which asks either the API or the node's folder.
type (
	// RoleView is a role in a collection; * stands for all.
	RoleView struct {
		Role       string `json:"role"`
		Collection string `json:"collection"`
	}
	// PersonView is an account, with how its owner can sign in.
	PersonView struct {
		ID         string     `json:"id"`
		Name       string     `json:"name"`
		Roles      []RoleView `json:"roles"`
		State      string     `json:"state"` // invited, active, locked or disabled
		Passkeys   int        `json:"passkeys"`
		Apps       int        `json:"apps"`
		Identities int        `json:"identities"`
		Sessions   int        `json:"sessions"`
		Created    *time.Time `json:"created,omitempty"`
		Seen       *time.Time `json:"seen,omitempty"`
		WayIn      *WayIn     `json:"way_in,omitempty"`
	}
	// NewPerson is whom to invite, by a link or a code.
	NewPerson struct {
		Name  string     `json:"name"`
		Roles []RoleView `json:"roles"`
		By    string     `json:"by"` // link or code
	}
	// WayIn is a link or a code, shown once.
	WayIn struct {
		Link    string     `json:"link,omitempty"` // without the node's address, a path
		Code    string     `json:"code,omitempty"`
		Expires *time.Time `json:"expires"`
	}
	// Change is what to change of an account; what is nil stays.
	Change struct {
		Roles    *[]RoleView `json:"roles,omitempty"`
		Disabled *bool       `json:"disabled,omitempty"`
		Locked   *bool       `json:"locked,omitempty"` // false alone: it lifts the lock
	}
)

func view(a identity.Account, w identity.Ways) PersonView {
	v := PersonView{ID: a.ID, Name: a.Name, Roles: []RoleView{}, State: "active", Passkeys: w.Passkeys, Apps: w.Apps, Identities: w.Foreign, Sessions: w.Sessions, Created: admin.When(a.Created), Seen: admin.When(a.Seen)}
	for _, g := range a.Grants {
		v.Roles = append(v.Roles, RoleView{g.Role.String(), g.Collection})
	}
	switch {
	case !a.Disabled.IsZero():
		v.State = "disabled"
	case !a.Locked.IsZero():
		v.State = "locked"
	case a.Seen.IsZero():
		v.State = "invited"
	}
	return v
}

func grantsOf(roles []RoleView) ([]policy.Grant, error) {
	var out []policy.Grant
	for _, r := range roles {
		role, ok := policy.ParseRole(r.Role)
		if !ok || r.Collection == "" {
			return nil, fault.New(fault.Invalid, "give grants", "", "a role is one of depositor, researcher, physicist, custodian, committee, funder, steward, admin, in a collection or in * for all")
		}
		out = append(out, policy.Grant{Role: role, Collection: r.Collection})
	}
	return out, nil
}

func linkIn(s identity.Secret) *WayIn {
	return &WayIn{Link: "/signin/link?t=" + url.QueryEscape(s.Reveal()), Expires: admin.When(time.Now().Add(InviteFor))}
}

func codeIn(c identity.Code) *WayIn {
	return &WayIn{Code: c.Reveal(), Expires: admin.When(time.Now().Add(CodeFor))}
}

// ViewPeople lists every account.
func (f *Flow) ViewPeople(ctx context.Context, who admin.Caller) ([]PersonView, error) {
	all, err := f.People(ctx, who)
	views := make([]PersonView, len(all))
	for i, p := range all {
		views[i] = view(p.Account, p.Ways)
	}
	return views, err
}

// ViewPerson is one account.
func (f *Flow) ViewPerson(ctx context.Context, who admin.Caller, id string) (PersonView, error) {
	o, err := f.Person(ctx, who, id)
	if err != nil {
		return PersonView{}, err
	}
	w := identity.Ways{Passkeys: len(o.Passkeys), Foreign: len(o.Foreign), Sessions: len(o.Sessions)}
	if o.App != nil {
		w.Apps = 1
	}
	return view(o.Account, w), nil
}

// Add invites somebody.
func (f *Flow) Add(ctx context.Context, who admin.Caller, n NewPerson) (PersonView, error) {
	grants, err := grantsOf(n.Roles)
	if err != nil {
		return PersonView{}, err
	}
	var a identity.Account
	var in *WayIn
	switch n.By {
	case "", "link":
		var link identity.Secret
		a, link, err = f.Invite(ctx, who, n.Name, grants, InviteFor)
		in = linkIn(link)
	case "code":
		var code identity.Code
		if a, code, err = f.InviteByCode(ctx, who, n.Name, grants); err == nil {
			in = codeIn(code)
		}
	default:
		err = fault.New(fault.Invalid, "invite", "", "somebody comes by link or by code")
	}
	if err != nil {
		return PersonView{}, err
	}
	v := view(a, identity.Ways{})
	v.WayIn = in
	return v, nil
}

// Change changes an account, and tells what it is then.
func (f *Flow) Change(ctx context.Context, who admin.Caller, id string, c Change) (PersonView, error) {
	if c.Locked != nil {
		if *c.Locked {
			return PersonView{}, fault.New(fault.Invalid, "change account", "", "a lock can be lifted, and comes by wrong codes alone; disable the account instead")
		}
		if err := f.Unlock(ctx, who, id); err != nil {
			return PersonView{}, err
		}
	}
	if c.Roles != nil {
		grants, err := grantsOf(*c.Roles)
		if err != nil {
			return PersonView{}, err
		}
		if err := f.Grant(ctx, who, id, grants); err != nil {
			return PersonView{}, err
		}
	}
	if c.Disabled != nil {
		if err := f.Disable(ctx, who, id, *c.Disabled); err != nil {
			return PersonView{}, err
		}
	}
	return f.ViewPerson(ctx, who, id)
}

// NewLink makes a link for somebody.
func (f *Flow) NewLink(ctx context.Context, who admin.Caller, id string) (*WayIn, error) {
	s, err := f.Link(ctx, who, id, InviteFor)
	if err != nil {
		return nil, err
	}
	return linkIn(s), nil
}

// NewCode makes a code for somebody, to be read out.
func (f *Flow) NewCode(ctx context.Context, who admin.Caller, id string) (*WayIn, error) {
	c, err := f.Code(ctx, who, id)
	if err != nil {
		return nil, err
	}
	return codeIn(c), nil
}
