package api

import (
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/people"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
)

// peopleRoutes are those about who may sign in to the portal.
func (d *Door) peopleRoutes() []route {
	if d.People == nil {
		return nil
	}
	return []route{
		{method: "GET", path: "/api/person", name: "getOwnPerson", text: "What is known of the caller beside their account, and what they lack before data are given to them.", gives: "KnownPerson", do: d.ownPerson},
		{method: "PUT", path: "/api/person", name: "describeOwnPerson", text: "Say who one is: ORCID iD and organisation. Another organisation than before has to be confirmed anew.", takes: "StatedPerson", gives: "KnownPerson", do: d.describePerson},
		{method: "GET", path: "/api/people/due", name: "listPeopleDue", text: "People of whom it has to be confirmed that they belong to their organisation: the longest ago first.", gives: "KnownPerson", list: true, do: d.peopleDue},
		{method: "GET", path: "/api/people/{person}/affiliation", name: "getKnownPerson", text: "What is known of somebody beside their account, for who confirms it.", gives: "KnownPerson", do: d.knownPerson},
		{method: "POST", path: "/api/people/{person}/affiliation", name: "confirmPerson", text: "Confirm that somebody belongs to their organisation, or has a training whose certificate was seen. Nobody confirms themselves.", takes: "SeenPerson", gives: "KnownPerson", do: d.confirmPerson},
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

func (d *Door) ownPerson(r *request) (any, error) { return d.Who.Own(r.Context(), r.who) }

func (d *Door) describePerson(r *request) (any, error) {
	var s people.Stated
	if err := r.body(&s); err != nil {
		return nil, err
	}
	return d.Who.State(r.Context(), r.who, s)
}

func (d *Door) peopleDue(r *request) (any, error) { return d.Who.Due(r.Context(), r.who) }

func (d *Door) knownPerson(r *request) (any, error) {
	return d.Who.Person(r.Context(), r.who, r.PathValue("person"))
}

func (d *Door) confirmPerson(r *request) (any, error) {
	var s people.Seen
	if err := r.body(&s); err != nil {
		return nil, err
	}
	return d.Who.Confirm(r.Context(), r.who, r.PathValue("person"), s)
}
