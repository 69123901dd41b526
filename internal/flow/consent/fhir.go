package consent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// FHIR R4 Consent (hl7.org/fhir/R4/consent.html), as far as consent to research is written in it. What is read is refused whole where a part of it is not understood: a provision that nobody
// acts on would be a promise that nobody keeps.

// Code systems and extensions of ours. They are names and need not be addresses.
const (
	systemUse       = "urn:vitrine:consent-use"        // of provision.provision.code: the uses
	systemPseudonym = "urn:vitrine:subject:"           // and the collection: of patient.identifier
	systemForm      = "urn:vitrine:consent-form:"      // of policy.uri, where a form has no URI of its own
	extWithdrawal   = "urn:vitrine:consent-withdrawal" // its scope

	systemScope   = "http://terminology.hl7.org/CodeSystem/consentscope"
	systemLOINC   = "http://loinc.org"
	systemPurpose = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
)

// PseudonymSystem is the system of the identifiers that are a collection's pseudonyms.
func PseudonymSystem(id collection.ID) string { return systemPseudonym + string(id) }

type (
	fhirCoding struct {
		System string `json:"system,omitempty"`
		Code   string `json:"code,omitempty"`
	}
	fhirConcept struct {
		Coding []fhirCoding `json:"coding,omitempty"`
		Text   string       `json:"text,omitempty"`
	}
	fhirIdentifier struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value,omitempty"`
	}
	fhirReference struct {
		Reference  string          `json:"reference,omitempty"`
		Identifier *fhirIdentifier `json:"identifier,omitempty"`
		Display    string          `json:"display,omitempty"`
	}
	fhirPeriod struct {
		Start string `json:"start,omitempty"`
		End   string `json:"end,omitempty"`
	}
	fhirExtension struct {
		URL       string `json:"url"`
		ValueCode string `json:"valueCode,omitempty"`
	}
	fhirPolicy struct {
		Authority string `json:"authority,omitempty"`
		URI       string `json:"uri,omitempty"`
	}
	fhirProvision struct {
		Type      string          `json:"type,omitempty"`
		Period    *fhirPeriod     `json:"period,omitempty"`
		Purpose   []fhirCoding    `json:"purpose,omitempty"`
		Code      []fhirConcept   `json:"code,omitempty"`
		Provision []fhirProvision `json:"provision,omitempty"`
	}
	// FHIRConsent is the resource, as far as it is read and written.
	FHIRConsent struct {
		ResourceType string          `json:"resourceType"`
		ID           string          `json:"id,omitempty"`
		Extension    []fhirExtension `json:"extension,omitempty"`
		Status       string          `json:"status"`
		Scope        fhirConcept     `json:"scope"`
		Category     []fhirConcept   `json:"category"`
		Patient      *fhirReference  `json:"patient,omitempty"`
		DateTime     string          `json:"dateTime,omitempty"`
		Policy       []fhirPolicy    `json:"policy,omitempty"`
		PolicyRule   *fhirConcept    `json:"policyRule,omitempty"`
		Provision    *fhirProvision  `json:"provision,omitempty"`
	}
)

// toFHIR writes an event.
func toFHIR(id collection.ID, p subject.Pseudonym, e *consent.Event, form *consent.Form) *FHIRConsent {
	c := &FHIRConsent{ResourceType: "Consent", ID: strconv.FormatInt(e.ID, 10), Status: "active",
		Scope:    fhirConcept{Coding: []fhirCoding{{systemScope, "research"}}},
		Category: []fhirConcept{{Coding: []fhirCoding{{systemLOINC, "59284-0"}}}},
		Patient:  &fhirReference{Identifier: &fhirIdentifier{systemPseudonym + string(id), string(p)}}}
	if p == "" {
		c.Patient = &fhirReference{Display: "a person of whom there is nothing in the collection yet"}
	}
	if !e.At.IsZero() {
		c.DateTime = e.At.UTC().Format(time.RFC3339)
	}
	if e.Withdrawal != "" && e.Withdrawal != judge.NoWithdrawal {
		c.Extension = append(c.Extension, fhirExtension{extWithdrawal, string(e.Withdrawal)})
		if e.Withdrawal == judge.FromUse {
			c.Status = "inactive"
		}
	}
	if form != nil {
		c.Policy = append(c.Policy, fhirPolicy{URI: form.URI()})
	} else {
		c.PolicyRule = &fhirConcept{Text: "As was recorded; no form is named."}
	}
	c.Provision = &fhirProvision{} // the root has no type of its own: what is in none of its provisions was not said
	if !e.Expires.IsZero() {
		c.Provision.Period = &fhirPeriod{End: e.Expires.UTC().Format(time.RFC3339)}
	}
	for _, side := range []struct {
		kind string
		uses []judge.Use
	}{{"permit", e.Grants}, {"deny", e.Denies}} {
		if len(side.uses) == 0 {
			continue
		}
		one := fhirProvision{Type: side.kind}
		for _, u := range side.uses {
			one.Code = append(one.Code, fhirConcept{Coding: []fhirCoding{{systemUse, string(u)}}, Text: u.Label()})
		}
		c.Provision.Provision = append(c.Provision.Provision, one)
	}
	return c
}

// fromFHIR reads a resource: whom it is of, and what they said.
func fromFHIR(id collection.ID, forms []consent.Form, c *FHIRConsent) (w Whom, said Said, err error) {
	bad := func(why string) error { return fault.New(fault.Invalid, "read a Consent", "", why) }
	switch {
	case c.ResourceType != "Consent":
		return w, said, bad("resourceType is not Consent")
	case !slices.Contains(c.Scope.Coding, fhirCoding{systemScope, "research"}):
		return w, said, bad("its scope is not research (" + systemScope + ")")
	}
	if c.Patient == nil || c.Patient.Identifier == nil || c.Patient.Identifier.Value == "" {
		return w, said, bad("patient.identifier names nobody; a reference to a resource elsewhere cannot be followed")
	}
	if system := c.Patient.Identifier.System; strings.HasPrefix(system, systemPseudonym) {
		if system != systemPseudonym+string(id) {
			return w, said, bad("patient.identifier is a pseudonym of another collection")
		}
		w.Pseudonym = c.Patient.Identifier.Value
	} else {
		w.Patient = c.Patient.Identifier.Value // the system is no issuer that images name: it tells two sites apart and takes no part in the hash
	}
	// A part of a date would have to be read as early for a consent and as late for a withdrawal.
	if said.At, err = fhirTime(c.DateTime); err != nil || len(c.DateTime) < len(time.DateOnly) {
		return w, said, bad("dateTime does not say on which day it was said")
	}
	for _, x := range c.Extension {
		if x.URL != extWithdrawal {
			return w, said, bad("it has an extension that is not known")
		}
		said.Withdrawal = judge.Scope(x.ValueCode)
	}
	switch c.Status {
	case "active":
	case "inactive":
		if said.Withdrawal == "" {
			said.Withdrawal = judge.FromUse
		}
	case "rejected":
		said.Denies = append(said.Denies, judge.Research)
	case "draft", "proposed":
		return w, said, bad("its status is " + c.Status + ": nobody has agreed to anything yet")
	case "entered-in-error":
		return w, said, bad("it was entered in error; what was recorded before stays, and what holds instead has to be recorded")
	default:
		return w, said, bad("its status is none of R4")
	}
	for _, p := range c.Policy {
		k := slices.IndexFunc(forms, func(f consent.Form) bool { return f.URI() == p.URI })
		if k < 0 {
			if strings.HasPrefix(p.URI, systemForm) {
				return w, said, bad("policy.uri names a form that the collection does not have")
			}
			continue // a law or a regulation
		}
		said.Form, said.Version = forms[k].Name, forms[k].Version
	}
	if c.Provision == nil {
		if c.Status == "active" && said.Withdrawal == "" {
			return w, said, bad("it has no provision, and says nothing")
		}
		return w, said, nil
	}
	if err := readProvision(c.Provision, &said); err != nil {
		return w, said, bad(err.Error())
	}
	return w, said, nil
}

func readProvision(top *fhirProvision, said *Said) error {
	if len(top.Code)+len(top.Purpose) > 0 {
		if err := provision(top, said); err != nil {
			return err
		}
	}
	if top.Period != nil {
		start, err := fhirTime(top.Period.Start)
		if err != nil || start.After(said.At) {
			return fmt.Errorf("provision.period.start is no date, or later than dateTime: record it when it begins")
		}
		if said.Expires, err = fhirTime(top.Period.End); err != nil {
			return fmt.Errorf("provision.period.end is no date")
		}
	}
	for i := range top.Provision {
		p := &top.Provision[i]
		switch {
		case len(p.Provision) > 0:
			return fmt.Errorf("provisions within provisions of provisions are not read")
		case p.Period != nil:
			return fmt.Errorf("a period of one provision alone is not read; give the resource one, or send two")
		}
		if err := provision(p, said); err != nil {
			return err
		}
	}
	// R4 has no type at the root; where there is one, it is the rule, and the provisions in it are exceptions.
	switch {
	case len(top.Code)+len(top.Purpose) > 0, top.Type == "":
	case top.Type == "deny":
		for _, u := range judge.Uses() {
			if !slices.Contains(said.Grants, u) && u != judge.Contact {
				said.Denies = append(said.Denies, u)
			}
		}
	case top.Type == "permit" && len(top.Provision) > 0: // that everything else is permitted is more than anybody was asked
	default:
		return fmt.Errorf("a provision permits or denies, and names no use")
	}
	return nil
}

// provision reads one provision's uses.
func provision(p *fhirProvision, said *Said) error {
	var uses []judge.Use
	for _, c := range p.Code {
		k := slices.IndexFunc(c.Coding, func(x fhirCoding) bool { return x.System == systemUse })
		if k < 0 {
			return fmt.Errorf("a provision has a code of none but other systems than %s", systemUse)
		}
		u, ok := judge.ParseUse(c.Coding[k].Code)
		if !ok {
			return fmt.Errorf("a provision speaks of a use that is none of those that are known")
		}
		uses = append(uses, u)
	}
	for _, c := range p.Purpose {
		if c.System != systemPurpose || c.Code != "HRESCH" && c.Code != "CLINTRCH" {
			return fmt.Errorf("a provision has a purpose that is not research (HRESCH)")
		}
		uses = append(uses, judge.Research)
	}
	switch {
	case len(uses) == 0:
		return fmt.Errorf("a provision names no use")
	case p.Type == "permit":
		said.Grants = append(said.Grants, uses...)
	case p.Type == "deny":
		said.Denies = append(said.Denies, uses...)
	default:
		return fmt.Errorf("a provision neither permits nor denies")
	}
	return nil
}

// fhirTime reads a date or dateTime: of a part of a date, its beginning.
func fhirTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, time.DateOnly, "2006-01", "2006"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("no date")
}

// RecordFHIR records a FHIR R4 Consent, and gives it as it was recorded: without the identifier that the site knows the person by.
func (d *Desk) RecordFHIR(ctx context.Context, who admin.Caller, id collection.ID, resource []byte) (Outcome, *FHIRConsent, error) {
	c := &FHIRConsent{}
	if len(resource) > maxResource {
		return Outcome{}, nil, fault.New(fault.TooLarge, "read a Consent", "", "it has more than 1 MiB")
	}
	if err := json.Unmarshal(resource, c); err != nil {
		return Outcome{}, nil, fault.New(fault.Invalid, "read a Consent", "", "it is not the JSON of a FHIR R4 Consent")
	}
	// What is asked of policy depends on what the resource says: first that something may be recorded at all.
	if err := d.allowed(ctx, who, policy.RecordConsent, id); err != nil {
		return Outcome{}, nil, err
	}
	if why := strict(resource); why != "" {
		return Outcome{}, nil, fault.New(fault.Invalid, "read a Consent", "", why)
	}
	forms, err := d.Consent.Forms(ctx, id)
	if err != nil {
		return Outcome{}, nil, err
	}
	w, said, err := fromFHIR(id, forms, c)
	if err != nil {
		return Outcome{}, nil, err
	}
	if a := actionOf(said); a != policy.RecordConsent {
		if err := d.allowed(ctx, who, a, id); err != nil {
			return Outcome{}, nil, err
		}
	}
	f, err := d.find(ctx, id, w)
	if err != nil {
		return Outcome{}, nil, err
	}
	// The resource says what the form's clauses came to: they are not answered a second time.
	form, version := said.Form, said.Version
	said.Form, said.Version = "", ""
	e, err := d.event(ctx, id, said, consent.FHIR, who.Actor)
	if err != nil {
		return Outcome{}, nil, err
	}
	e.Form, e.Version = form, version
	all, err := d.take(ctx, who, []one{{found: f, event: e}})
	if err != nil {
		return Outcome{}, nil, err
	}
	out, err := d.written(ctx, id, all[0].Event)
	return all[0], out, err
}

// elements are those of a Consent that are read, or say nothing of what is agreed to. modifierExtension and implicitRules change what a resource means, and are not among them.
var elements = []string{"resourceType", "id", "meta", "language", "text", "contained", "extension", "identifier", "status", "scope", "category", "patient", "dateTime", "performer", "organization",
	"sourceAttachment", "sourceReference", "policy", "policyRule", "verification", "provision"}

// ofProvision are those of a provision.
var ofProvision = []string{"id", "type", "period", "purpose", "code", "provision"}

const (
	maxResource = 1 << 20
	maxDepth    = 32
)

// strict refuses a resource with an element that is not read, or with one twice: of two, readers take the one or the other. It gives the sentence that says so; empty: nothing is wrong.
func strict(resource []byte) string {
	d := json.NewDecoder(bytes.NewReader(resource))
	why := walk(d, "", 0)
	if why == "" {
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return "something follows the resource"
		}
	}
	return why
}

func walk(d *json.Decoder, at string, depth int) string {
	const noJSON = "it is not the JSON of a FHIR R4 Consent"
	t, err := d.Token()
	if err != nil || depth > maxDepth {
		return noJSON
	}
	switch t {
	case json.Delim('['):
		for d.More() {
			if why := walk(d, at, depth+1); why != "" {
				return why
			}
		}
		_, err = d.Token()
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			k, err := d.Token()
			name, ok := k.(string)
			if err != nil || !ok {
				return noJSON
			}
			folded := strings.ToLower(name)
			if seen[folded] {
				return "an element is in it twice"
			}
			seen[folded] = true
			switch at {
			case "":
				if !slices.Contains(elements, name) {
					return "it has an element that is not read: only what says who agreed to what, when, and by which form, is"
				}
			case ".provision", ".provision.provision", ".provision.provision.provision":
				if !slices.Contains(ofProvision, name) {
					return "a provision is limited by something that is not read: only type, period, purpose and code are"
				}
			}
			if name == "modifierExtension" || strings.HasPrefix(name, "_") {
				return "it has an extension that changes what it means"
			}
			if why := walk(d, at+"."+name, depth+1); why != "" {
				return why
			}
		}
		_, err = d.Token()
	case false:
		if at == ".verification.verified" {
			return "it says that it was not verified"
		}
	}
	if err != nil {
		return noJSON
	}
	return ""
}

// FHIR gives what a subject of a collection said, as FHIR R4 Consents in the order of recording.
func (d *Desk) FHIR(ctx context.Context, who admin.Caller, id collection.ID, pseudonym string) ([]*FHIRConsent, error) {
	if err := d.allowed(ctx, who, policy.SeeConsent, id); err != nil {
		return nil, err
	}
	f, err := d.find(ctx, id, Whom{Pseudonym: pseudonym})
	if err != nil {
		return nil, err
	}
	events, err := d.Consent.Of(ctx, id, f.link)
	if err != nil {
		return nil, err
	}
	forms, err := d.Consent.Forms(ctx, id)
	if err != nil {
		return nil, err
	}
	all := []*FHIRConsent{}
	for i := range events {
		all = append(all, toFHIR(id, f.subject.Pseudonym, &events[i], formOf(forms, &events[i])))
	}
	return all, nil
}

// FHIREvent gives one event of a collection as a FHIR R4 Consent. Of a person of whom there is nothing yet it cannot say whose it is.
func (d *Desk) FHIREvent(ctx context.Context, who admin.Caller, id collection.ID, event int64) (*FHIRConsent, error) {
	if err := d.allowed(ctx, who, policy.SeeConsent, id); err != nil {
		return nil, err
	}
	return d.written(ctx, id, event)
}

func (d *Desk) written(ctx context.Context, id collection.ID, event int64) (*FHIRConsent, error) {
	e, err := d.Consent.Event(ctx, id, event)
	if err != nil {
		return nil, err
	}
	forms, err := d.Consent.Forms(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := d.Subjects.Find(ctx, id, e.Link)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	return toFHIR(id, s.Pseudonym, &e, formOf(forms, &e)), nil
}

func formOf(forms []consent.Form, e *consent.Event) *consent.Form {
	k := slices.IndexFunc(forms, func(x consent.Form) bool { return x.Name == e.Form && x.Version == e.Version })
	if k < 0 {
		return nil
	}
	return &forms[k]
}
