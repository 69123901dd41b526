package api

import (
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
)

// peopleRoutes are those about who may sign in to the portal.
func (d *Door) peopleRoutes() []route {
	if d.People == nil {
		return nil
	}
	return []route{
		{method: "GET", path: "/api/people", name: "listPeople", text: "Who may sign in to the portal, as what, and by which ways.", gives: "Person", list: true, do: d.people},
		{method: "POST", path: "/api/people", name: "invitePerson", text: "Invite somebody. The link or the code by which they come is in this answer alone.", takes: "NewPerson", gives: "Person", do: d.addPerson},
		{method: "GET", path: "/api/people/{person}", name: "getPerson", text: "One account.", gives: "Person", do: d.person},
		{method: "PATCH", path: "/api/people/{person}", name: "changePerson", text: "Give an account these roles and no others, disable or enable it, or lift a lock. What is not named stays.", takes: "PersonChange", gives: "Person", do: d.changePerson},
		{method: "POST", path: "/api/people/{person}/links", name: "createSignInLink", text: "Make a link that signs somebody in once, within seven days.", gives: "WayIn", do: d.newLink},
		{method: "POST", path: "/api/people/{person}/codes", name: "createSignInCode", text: "Make a code to be read out, that signs somebody in once, within fifteen minutes.", gives: "WayIn", do: d.newCode},
	}
}

// whole is a link with this node's address before it.
func whole(r *request, in *signin.WayIn) *signin.WayIn {
	if in != nil && in.Link != "" {
		in.Link = web.Base(r.Request) + in.Link
	}
	return in
}

func (d *Door) people(r *request) (any, error) { return d.People.ViewPeople(r.Context(), r.who) }

func (d *Door) person(r *request) (any, error) {
	return d.People.ViewPerson(r.Context(), r.who, r.PathValue("person"))
}

func (d *Door) addPerson(r *request) (any, error) {
	var n signin.NewPerson
	if err := r.body(&n); err != nil {
		return nil, err
	}
	v, err := d.People.Add(r.Context(), r.who, n)
	v.WayIn = whole(r, v.WayIn)
	return v, err
}

func (d *Door) changePerson(r *request) (any, error) {
	var c signin.Change
	if err := r.body(&c); err != nil {
		return nil, err
	}
	return d.People.Change(r.Context(), r.who, r.PathValue("person"), c)
}

func (d *Door) newLink(r *request) (any, error) {
	in, err := d.People.NewLink(r.Context(), r.who, r.PathValue("person"))
	return whole(r, in), err
}

func (d *Door) newCode(r *request) (any, error) {
	in, err := d.People.NewCode(r.Context(), r.who, r.PathValue("person"))
	return in, err
}
