package api

import (
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/reidentify"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// identityRoutes are those by which two people are told who a subject is. Policy keeps tokens out: a session is needed.
func (d *Door) identityRoutes() []route {
	return []route{
		{method: "GET", path: "/api/identity", name: "listIdentityRequests", text: "Requests of the last 90 days to be told who a subject is, in which the caller may take part: what waits for them first.",
			gives: "IdentityRequest", list: true, do: d.identityRequests},
		{method: "POST", path: "/api/identity", name: "askIdentity", text: "Ask who a subject is. A steward who has signed in asks, with a reason of at least ten words; no token does.",
			takes: "IdentityQuestion", gives: "IdentityRequest", do: d.askIdentity},
		{method: "GET", path: "/api/identity/{request}", name: "getIdentityRequest", text: "One request, for who asked and who may decide.", gives: "IdentityRequest", do: d.identityRequest},
		{method: "POST", path: "/api/identity/{request}/decision", name: "decideIdentity", text: "Consent to another person's request, or decline it.", takes: "IdentityDecision", gives: "IdentityRequest", do: d.decideIdentity},
		{method: "POST", path: "/api/identity/{request}/sight", name: "seeIdentity", text: "Who the subject is: once, within 24 hours of another person's consent, for who asked.", gives: "IdentityRequest", do: d.seeIdentity},
	}
}

func (d *Door) identityRequests(r *request) (any, error) {
	waiting, others, err := d.Reidentify.List(r.Context(), r.who)
	views := []reidentify.View{}
	for _, i := range append(waiting, others...) {
		views = append(views, reidentify.ViewItem(i))
	}
	return views, err
}

func (d *Door) askIdentity(r *request) (any, error) {
	var q reidentify.Question
	if err := r.body(&q); err != nil {
		return nil, err
	}
	c, err := collection.ParseID(q.Collection)
	if err != nil {
		return nil, err
	}
	i, err := d.Reidentify.Ask(r.Context(), r.who, c, q.Subject, q.Reason)
	return reidentify.ViewItem(i), err
}

func (d *Door) identityNumber(r *request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("request"), 10, 64)
	if err != nil {
		return 0, fault.New(fault.NotFound, "find request", "", "there is no such request")
	}
	// Whose the request is not, is told that there is none.
	_, err = d.Reidentify.Request(r.Context(), r.who, id)
	return id, err
}

func (d *Door) identityRequest(r *request) (any, error) {
	id, err := d.identityNumber(r)
	if err != nil {
		return nil, err
	}
	i, err := d.Reidentify.Request(r.Context(), r.who, id)
	return reidentify.ViewItem(i), err
}

func (d *Door) decideIdentity(r *request) (any, error) {
	var v reidentify.Verdict
	if err := r.body(&v); err != nil {
		return nil, err
	}
	id, err := d.identityNumber(r)
	if err != nil {
		return nil, err
	}
	if err := d.Reidentify.Decide(r.Context(), r.who, id, v.Consent); err != nil {
		return nil, err
	}
	i, err := d.Reidentify.Request(r.Context(), r.who, id)
	return reidentify.ViewItem(i), err
}

func (d *Door) seeIdentity(r *request) (any, error) {
	id, err := d.identityNumber(r)
	if err != nil {
		return nil, err
	}
	i, all, err := d.Reidentify.See(r.Context(), r.who, id)
	v := reidentify.ViewItem(i)
	v.Identities = all
	return v, err
}
