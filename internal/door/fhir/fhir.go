// Package fhir is the door for what hospitals' systems say of people's consent: FHIR R4 (4.0.1), Consent alone, in JSON.
//
//	POST /fhir/R4/Consent?collection=ID                    records what a person said
//	GET  /fhir/R4/Consent?collection=ID&patient=PSEUDONYM  what a subject said, as a searchset
//	GET  /fhir/R4/Consent/NUMBER?collection=ID             one of these
//	GET  /fhir/R4/metadata                                 what is served
//
// It promises: no address names a person but by the collection's pseudonym; what the flow does not understand whole is refused with an OperationOutcome that repeats nothing of it; policy decides in the flow.
// docs/formats/consent.md says which elements are read and written.
package fhir

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Base is the path below which the door lies.
const Base = "/fhir/R4"

const (
	version  = "4.0.1"
	stated   = "2026-11-28" // when the capability statement was changed last
	mediaOwn = "application/fhir+json"
	maxBody  = 1 << 20
)

// Door is safe for use by many goroutines.
type Door struct {
	Consent *consent.Desk
	Name    string // of the node
	Version string // of the program
}

// Register adds the door's routes, which expect a [web.Front] before them.
func (d *Door) Register(mux web.Routes) {
	mux.HandleFunc("GET "+Base+"/metadata", d.handler(d.metadata))
	mux.HandleFunc("GET "+Base+"/Consent", d.handler(d.search))
	mux.HandleFunc("POST "+Base+"/Consent", d.handler(d.create))
	mux.HandleFunc("GET "+Base+"/Consent/{id}", d.handler(d.read))
}

// object is JSON as it is written: names in the order of the alphabet.
type object map[string]any

// answer is what a route gives: a resource, and what goes with it.
type answer struct {
	status   int
	location string
	resource any
}

func (d *Door) handler(do func(*http.Request) (*answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := acceptable(r)
		var a *answer
		if err == nil {
			a, err = do(r)
		}
		if err != nil {
			a = outcome(w, r, err)
		}
		b, merr := json.Marshal(a.resource)
		if merr != nil {
			panic(merr) // every answer is made of plain fields
		}
		h := w.Header()
		h.Set("Content-Type", mediaOwn+"; fhirVersion=4.0")
		h.Set("Content-Length", strconv.Itoa(len(b)+1))
		h.Set("Cache-Control", "private, no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if a.location != "" {
			h.Set("Location", a.location)
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(append(b, '\n')) // whoever does not read it has gone
	}
}

// issues are FHIR's codes for what went wrong (hl7.org/fhir/R4/valueset-issue-type.html).
var issues = map[int]string{400: "invalid", 401: "login", 403: "forbidden", 404: "not-found", 406: "not-supported", 409: "conflict", 413: "too-long", 415: "not-supported", 422: "processing", 429: "throttled", 503: "transient"}

// outcome is an OperationOutcome that says what went wrong and what would help.
func outcome(w http.ResponseWriter, r *http.Request, err error) *answer {
	p, more := web.ProblemTo(r, err)
	for k, v := range more {
		w.Header()[k] = v
	}
	code, ok := issues[p.Status]
	if !ok {
		code = "exception"
	}
	return &answer{status: p.Status, resource: object{"resourceType": "OperationOutcome", "issue": []object{{"severity": "error", "code": code, "diagnostics": strings.TrimSpace(p.Detail + " " + p.Advice)}}}}
}

// media is what a client may call FHIR's JSON.
func media(s string) bool {
	kind, more, err := mime.ParseMediaType(s)
	if err != nil {
		return false
	}
	if v := more["fhirversion"]; v != "" && v != "4.0" && v != version {
		return false
	}
	return kind == mediaOwn || kind == "application/json" || kind == "text/json"
}

// acceptable refuses who takes no JSON of R4. _format goes before Accept (hl7.org/fhir/R4/http.html#parameters).
func acceptable(r *http.Request) error {
	refuse := web.Refuse(http.StatusNotAcceptable, "answer", "only the JSON of FHIR R4 is given here", "Ask for "+mediaOwn+".")
	if f := r.URL.Query().Get("_format"); f != "" {
		if f == "json" || media(strings.ReplaceAll(f, " ", "+")) {
			return nil
		}
		return refuse
	}
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return nil
	}
	for one := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, more, err := mime.ParseMediaType(one)
		if q, qerr := strconv.ParseFloat(more["q"], 64); err != nil || qerr == nil && q == 0 {
			continue
		}
		if kind == "*/*" || kind == "application/*" || media(one) {
			return nil
		}
	}
	return refuse
}

// query reads what may stand in an address here. Another parameter would narrow or widen an answer elsewhere: it is refused, and not passed over.
func query(r *http.Request, more ...string) (id collection.ID, q url.Values, err error) {
	const attempt = "read query"
	if q, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return "", nil, web.Refuse(http.StatusBadRequest, attempt, "the query cannot be read", "Write it as collection=ID.")
	}
	for name, values := range q {
		known := name == "collection" || name == "_format"
		for _, m := range more {
			known = known || name == m
		}
		if !known || len(values) != 1 {
			return "", nil, web.Refuse(http.StatusBadRequest, attempt, "the query has a parameter that is not known here, or one twice", "There are collection, _format, and in a search patient or patient:identifier.")
		}
	}
	if q.Get("collection") == "" {
		return "", nil, web.Refuse(http.StatusBadRequest, attempt, "it is not said of which collection", "Add ?collection=ID to the address.")
	}
	if id, err = collection.ParseID(q.Get("collection")); err != nil {
		return "", nil, fault.New(fault.NotFound, attempt, "", "there is no such collection")
	}
	return id, q, nil
}

func (d *Door) create(r *http.Request) (*answer, error) {
	caller, err := web.Known(r)
	if err != nil {
		return nil, err
	}
	id, _, err := query(r)
	if err != nil {
		return nil, err
	}
	if !media(r.Header.Get("Content-Type")) {
		return nil, web.Refuse(http.StatusUnsupportedMediaType, "read a Consent", "the body is not "+mediaOwn, "Send a Consent of FHIR R4 in JSON, and say so in Content-Type.")
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); err != nil && !large {
		return nil, web.Refuse(http.StatusBadRequest, "read a Consent", "the body broke off", "Send it again.")
	} else if err != nil {
		return nil, err
	}
	o, c, err := d.Consent.RecordFHIR(r.Context(), admin.Caller(caller), id, b)
	if err != nil {
		return nil, err
	}
	a := &answer{status: http.StatusOK, location: web.Base(r) + Base + "/Consent/" + strconv.FormatInt(o.Event, 10) + "?collection=" + url.QueryEscape(string(id)), resource: c}
	if o.Recorded { // else it was there: nothing has been made
		a.status = http.StatusCreated
	}
	return a, nil
}

func (d *Door) read(r *http.Request) (*answer, error) {
	caller, err := web.Known(r)
	if err != nil {
		return nil, err
	}
	id, _, err := query(r)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		n = 0 // there is none: policy answers first
	}
	c, err := d.Consent.FHIREvent(r.Context(), admin.Caller(caller), id, n)
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, resource: c}, nil
}

func (d *Door) search(r *http.Request) (*answer, error) {
	caller, err := web.Known(r)
	if err != nil {
		return nil, err
	}
	id, q, err := query(r, "patient", "patient:identifier")
	if err != nil {
		return nil, err
	}
	patient := q.Get("patient")
	if system, value, ok := strings.Cut(q.Get("patient:identifier"), "|"); ok && system == consent.PseudonymSystem(id) && patient == "" {
		patient = value
	} else if q.Has("patient:identifier") {
		return nil, web.Refuse(http.StatusBadRequest, "read query", "patient:identifier is no pseudonym of this collection; by another identifier nobody is sought in an address", "Write "+consent.PseudonymSystem(id)+"|PSEUDONYM.")
	}
	if patient == "" {
		return nil, web.Refuse(http.StatusBadRequest, "read query", "it is not said whose", "Add patient=PSEUDONYM, as the collection calls the subject.")
	}
	all, err := d.Consent.FHIR(r.Context(), admin.Caller(caller), id, patient)
	if err != nil {
		return nil, err
	}
	base := web.Base(r) + Base
	of := "?collection=" + url.QueryEscape(string(id))
	bundle := object{"resourceType": "Bundle", "type": "searchset", "total": len(all), "link": []object{{"relation": "self", "url": base + "/Consent" + of + "&patient=" + url.QueryEscape(patient)}}}
	var entries []object
	for _, c := range all {
		entries = append(entries, object{"fullUrl": base + "/Consent/" + c.ID, "resource": c, "search": object{"mode": "match"}})
	}
	if len(entries) > 0 { // FHIR has no empty lists
		bundle["entry"] = entries
	}
	return &answer{status: http.StatusOK, resource: bundle}, nil
}

// metadata is the CapabilityStatement (hl7.org/fhir/R4/capabilitystatement.html).
func (d *Door) metadata(r *http.Request) (*answer, error) {
	software := object{"name": "Vitrine"}
	if d.Version != "" {
		software["version"] = d.Version
	}
	description := "Consent to research"
	if d.Name != "" {
		description += " at " + d.Name
	}
	return &answer{status: http.StatusOK, resource: object{
		"resourceType": "CapabilityStatement", "status": "active", "date": stated, "kind": "instance", "fhirVersion": version, "format": []string{"json", mediaOwn},
		"software":       software,
		"implementation": object{"description": description, "url": web.Base(r) + Base},
		"rest": []object{{
			"mode":     "server",
			"security": object{"cors": false, "description": "A bearer token of the node (RFC 6750)."},
			"resource": []object{{
				"type":          "Consent",
				"documentation": "Every request names a collection by the parameter collection. Resources are only ever added: a later one changes what holds. What is limited by something that is not read is refused.",
				"interaction":   []object{{"code": "create"}, {"code": "read"}, {"code": "search-type"}},
				"versioning":    "no-version", "updateCreate": false,
				"searchParam": []object{
					{"name": "patient", "definition": "http://hl7.org/fhir/SearchParameter/clinical-patient", "type": "reference", "documentation": "The pseudonym that the collection has for the subject, alone; or patient:identifier with its system."},
					{"name": "collection", "type": "string", "documentation": "The collection; needed."},
				},
			}},
		}},
	}}, nil
}
