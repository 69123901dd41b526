package api

import (
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// accessRoutes are those by which data are asked for and permitted. Who asks and who decides is a person who has signed in: policy keeps tokens out of both, and lets those of a collection read.
func (d *Door) accessRoutes() []route {
	return []route{
		{method: "GET", path: "/api/requests", name: "listRequests", text: "What the caller asks for, and what others ask for in collections whose requests they see: what waits first.", gives: "RequestHeading", list: true, query: []string{"limit", "from"}, do: d.requests},
		{method: "POST", path: "/api/requests", name: "beginRequest", text: "Begin a request to use data, and hand it in where it says so.", takes: "NewRequest", gives: "Request", do: d.beginRequest},
		{method: "GET", path: "/api/requests/{request}", name: "getRequest", text: "One request with what happened to it, for who asks and who sees the collection's requests.", gives: "Request", do: d.request},
		{method: "PUT", path: "/api/requests/{request}", name: "writeRequest", text: "Write the form of a request, while it was not handed in or something was asked.", takes: "RequestForm", gives: "Request", do: d.writeRequest},
		{method: "DELETE", path: "/api/requests/{request}", name: "discardRequest", text: "Delete a request that was not handed in, for good.", do: d.discardRequest},
		{method: "POST", path: "/api/requests/{request}/acts", name: "actOnRequest", text: "Hand a request in, answer, withdraw or close it; take it into review, ask back, approve or reject it. Nobody decides on their own.", takes: "RequestAct", gives: "Request", do: d.actOnRequest},
		{method: "POST", path: "/api/requests/{request}/agreements", name: "addAgreement", text: "Give the signed agreement of a request, which its custodian checks.", takes: "NewAgreement", gives: "Agreement", do: d.addAgreement},
		{method: "GET", path: "/api/agreements", name: "listAgreements", text: "Agreements of the caller's requests and of collections whose requests they see.", gives: "Agreement", list: true, query: []string{"limit", "from"}, do: d.agreements},
		{method: "GET", path: "/api/agreements/{agreement}", name: "getAgreement", text: "One agreement, with what a program can tell of it while it waits.", gives: "Agreement", do: d.agreement},
		{method: "GET", path: "/api/agreements/{agreement}/document", name: "getDocument", text: "The signed document as it came.", file: d.agreementDocument, media: "application/pdf"},
		{method: "POST", path: "/api/agreements/{agreement}/acts", name: "actOnAgreement", text: "Execute an agreement, send it back or terminate it, with what was permitted under it.", takes: "AgreementAct", gives: "Agreement", do: d.actOnAgreement},
		{method: "POST", path: "/api/agreements/{agreement}/accept", name: "acceptAgreement", text: "Accept an agreement by name: without that nothing is given under it. For who asks, or is permitted something under it.", gives: "Agreement", do: d.acceptAgreement},
		{method: "GET", path: "/api/entitlements", name: "listEntitlements", text: "What the caller may use, and what others may in collections whose requests they see.", gives: "Entitlement", list: true, query: []string{"limit", "from"}, do: d.entitlements},
		{method: "GET", path: "/api/entitlements/{entitlement}", name: "getEntitlement", text: "One entitlement with every change of it.", gives: "Entitlement", do: d.entitlement},
		{method: "POST", path: "/api/entitlements/{entitlement}/acts", name: "actOnEntitlement", text: "Suspend, resume or revoke an entitlement.", takes: "EntitlementAct", gives: "Entitlement", do: d.actOnEntitlement},
		{method: "GET", path: "/api/register", public: true, name: "listUses", text: "The public register: who uses which data, for what in lay words, from when to when.", gives: "RegisteredUse", list: true, query: []string{"collection", "limit", "from"}, do: d.uses},
		{method: "GET", path: "/api/collections/{collection}/lead-time", public: true, name: "getLeadTime", text: "How long decisions on requests took over the last two years, measured.", gives: "LeadTime", do: d.leadTime},
	}
}

// page reads how many to list, after how many.
func (r *request) page() (limit, from int, err error) {
	if limit, err = r.limit(); err != nil {
		return 0, 0, err
	}
	n, err := r.number("from", 0)
	return min(limit, 500), int(min(n, 1<<30)), err
}

func (d *Door) requests(r *request) (any, error) {
	limit, from, err := r.page()
	if err != nil {
		return nil, err
	}
	return d.Access.List(r.Context(), r.who, limit, from)
}

func (d *Door) beginRequest(r *request) (any, error) {
	var n access.NewRequest
	if err := r.bodyOf(&n, 4*maxBody); err != nil {
		return nil, err
	}
	return d.Access.Draft(r.Context(), r.who, n)
}

func (d *Door) request(r *request) (any, error) {
	id, err := record.ParseID("request", r.PathValue("request"))
	if err != nil {
		return nil, err
	}
	return d.Access.Request(r.Context(), r.who, id)
}

func (d *Door) writeRequest(r *request) (any, error) {
	id, err := record.ParseID("request", r.PathValue("request"))
	if err != nil {
		return nil, err
	}
	var f access.Form
	if err := r.bodyOf(&f, 4*maxBody); err != nil {
		return nil, err
	}
	return d.Access.Write(r.Context(), r.who, id, f)
}

func (d *Door) discardRequest(r *request) (any, error) {
	id, err := record.ParseID("request", r.PathValue("request"))
	if err != nil {
		return nil, err
	}
	return nil, d.Access.Discard(r.Context(), r.who, id)
}

func (d *Door) actOnRequest(r *request) (any, error) {
	id, err := record.ParseID("request", r.PathValue("request"))
	if err != nil {
		return nil, err
	}
	var a access.Act
	if err := r.body(&a); err != nil {
		return nil, err
	}
	return d.Access.Act(r.Context(), r.who, id, a)
}

func (d *Door) addAgreement(r *request) (any, error) {
	id, err := record.ParseID("request", r.PathValue("request"))
	if err != nil {
		return nil, err
	}
	// Who may not see the request gives nothing: a large body is not read for them.
	if _, err := d.Access.Request(r.Context(), r.who, id); err != nil {
		return nil, err
	}
	var n access.NewAgreement
	if err := r.bodyOf(&n, access.MaxDocument/3*4+maxBody); err != nil {
		return nil, err
	}
	return d.Access.AddAgreement(r.Context(), r.who, id, n.Paper, n.Document)
}

func (d *Door) agreements(r *request) (any, error) {
	limit, from, err := r.page()
	if err != nil {
		return nil, err
	}
	return d.Access.Agreements(r.Context(), r.who, limit, from)
}

func (d *Door) agreement(r *request) (any, error) {
	id, err := record.ParseID("agreement", r.PathValue("agreement"))
	if err != nil {
		return nil, err
	}
	return d.Access.Agreement(r.Context(), r.who, id)
}

// agreementDocument gives a signed document to be kept, never to be shown within a page of the node.
func (d *Door) agreementDocument(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	var id record.ID
	if err == nil {
		id, err = record.ParseID("agreement", r.PathValue("agreement"))
	}
	var b []byte
	if err == nil {
		b, err = d.Access.Document(r.Context(), admin.Caller(caller), id)
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Content-Disposition", `attachment; filename="agreement-`+id.String()+`.pdf"`)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // whoever does not read it has gone
	}
}

func (d *Door) actOnAgreement(r *request) (any, error) {
	id, err := record.ParseID("agreement", r.PathValue("agreement"))
	if err != nil {
		return nil, err
	}
	var a access.AgreementAct
	if err := r.body(&a); err != nil {
		return nil, err
	}
	return d.Access.ActOnAgreement(r.Context(), r.who, id, a)
}

func (d *Door) acceptAgreement(r *request) (any, error) {
	id, err := record.ParseID("agreement", r.PathValue("agreement"))
	if err != nil {
		return nil, err
	}
	return d.Access.Accept(r.Context(), r.who, id)
}

func (d *Door) entitlements(r *request) (any, error) {
	limit, from, err := r.page()
	if err != nil {
		return nil, err
	}
	return d.Access.Entitlements(r.Context(), r.who, limit, from)
}

func (d *Door) entitlement(r *request) (any, error) {
	id, err := record.ParseID("entitlement", r.PathValue("entitlement"))
	if err != nil {
		return nil, err
	}
	return d.Access.Entitlement(r.Context(), r.who, id)
}

func (d *Door) actOnEntitlement(r *request) (any, error) {
	id, err := record.ParseID("entitlement", r.PathValue("entitlement"))
	if err != nil {
		return nil, err
	}
	var a access.EntitlementAct
	if err := r.body(&a); err != nil {
		return nil, err
	}
	return d.Access.ActOnEntitlement(r.Context(), r.who, id, a)
}

func (d *Door) uses(r *request) (any, error) {
	limit, from, err := r.page()
	if err != nil {
		return nil, err
	}
	var c collection.ID
	if v := r.URL.Query().Get("collection"); v != "" {
		if c, err = collection.ParseID(v); err != nil {
			return nil, err
		}
	}
	return d.Access.Register(r.Context(), r.who, c, limit, from)
}

func (d *Door) leadTime(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	if _, err := d.Desk.Collection(r.Context(), r.who, id); err != nil {
		return nil, err
	}
	return d.Access.LeadTime(r.Context(), r.who, id)
}
