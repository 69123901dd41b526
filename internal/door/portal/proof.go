package portal

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerProof(mux web.Routes) {
	mux.HandleFunc("GET /deposits/{deposit}/report", d.page(d.report))
	mux.HandleFunc("GET /deposits/{deposit}/report.json", d.reportFile)
	mux.HandleFunc("GET /collections/{collection}/statement", d.page(d.statement))
	mux.HandleFunc("POST /collections/{collection}/statement", d.signStatement)
}

type reportPage struct {
	*proof.Report
	Title    string // of the collection
	DoorName string
	Tables   []toldTable // what was done, in all and by kind
	Did      []didWhat
	Share    string // of the pixels that were painted
}

// toldTable is what was done to elements of one kind of object; the first is of all.
type toldTable struct {
	Key  string
	Name string
	deid.Told
}

// didWhat is a number of elements, and what was done to them.
type didWhat struct {
	N    int
	What string
}

func didOf(a deid.Actions) (all []didWhat) {
	for _, x := range []didWhat{{a.Removed, "removed"}, {a.Emptied, "emptied"}, {a.Replaced, "replaced"}, {a.Cleaned, "cleaned of words"}, {a.Remapped, "given other UIDs"}, {a.Shifted, "moved in time"},
		{a.Added, "added as markers"}, {a.Kept, "kept"}, {a.Concepts, "content items taken out"}} {
		if x.N > 0 {
			all = append(all, x)
		}
	}
	return all
}

// report says what was done to a deposit.
func (d *Door) report(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := catalogue.ParseDepositID(r.PathValue("deposit"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "show report", "", "there is no such deposit of yours")
	}
	p := reportPage{}
	if p.Report, err = d.Proof.Report(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	p.Title, p.DoorName, p.Did = p.Collection, doorName(p.Door), didOf(p.Done.Actions)
	if c, err := d.Desk.Collection(r.Context(), r.admin(), collection.ID(p.Collection)); err == nil && c.Title != "" {
		p.Title = c.Title
	}
	if len(p.Done.Elements) > 0 {
		p.Tables = append(p.Tables, toldTable{"all", "All kinds", p.Done})
	}
	for i, k := range p.Came.Kinds {
		if len(k.Done.Elements) > 0 && len(p.Came.Kinds) > 1 {
			p.Tables = append(p.Tables, toldTable{"kind-" + strconv.Itoa(i+1), k.Name, k.Done})
		}
	}
	return &page{file: "report", title: "Report of the deposit of " + moment(p.Started), section: "/deposits", help: "follow", data: p}, nil
}

// reportFile gives the report as JSON.
func (d *Door) reportFile(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	var id catalogue.DepositID
	if err == nil {
		if id, err = catalogue.ParseDepositID(r.PathValue("deposit")); err != nil {
			err = fault.New(fault.NotFound, "show report", "", "there is no such deposit of yours")
		}
	}
	var found *proof.Report
	if err == nil {
		found, err = d.Proof.Report(r.Context(), admin.Caller(caller), id)
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	b, err := json.MarshalIndent(found, "", " ")
	if err != nil {
		panic(err) // it is made of plain fields
	}
	give(w, "application/json", "deposit-"+id.String()+"-report.json", append(b, '\n'))
}

// give answers with a file to be kept.
func give(w http.ResponseWriter, media, name string, b []byte) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(b) // whoever does not read it has gone
}

type statementPage struct {
	*proof.Statement
	Key string // that statements are verified with
}

// statement shows what a statement would say now, to who may sign one.
func (d *Door) statement(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil || !r.caller.Knows(string(id)) {
		return nil, fault.New(fault.NotFound, "show statement", "", "there is no such collection that you have a role in")
	}
	p := statementPage{Key: d.Proof.PublicKey()}
	if p.Statement, err = d.Proof.State(r.Context(), r.admin(), id, ""); err != nil {
		return nil, err
	}
	if p.Collection.Title == "" {
		p.Collection.Title = string(id)
	}
	return &page{file: "statement", title: "How " + p.Collection.Title + " was de-identified", section: "/collections", help: "publish", data: p}, nil
}

// signStatement gives a signed statement: the document, its signature, and how to verify it.
func (d *Door) signStatement(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	var id collection.ID
	if err == nil {
		if id, err = collection.ParseID(r.PathValue("collection")); err != nil || !caller.Knows(string(id)) {
			err = fault.New(fault.NotFound, "sign a statement", "", "there is no such collection that you have a role in")
		}
	}
	var s *proof.Signed
	if err == nil {
		s, err = d.Proof.Sign(r.Context(), admin.Caller(caller), id, "")
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	name := "statement-" + string(id)
	how := "This is what node " + s.PublicKey + " said of the collection " + string(id) + ".\r\n\r\nCompare the key with one that you have from elsewhere, and verify:\r\n\r\n    vitrine statement verify " +
		name + ".json --public-key " + s.PublicKey + "\r\n"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{{name + ".json", s.Statement}, {name + ".json.sig", s.Signature}, {"how-to-verify.txt", how}} {
		out, err := z.Create(f[0])
		if err == nil {
			_, err = out.Write([]byte(f[1]))
		}
		if err != nil {
			panic(err) // memory
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	give(w, "application/zip", strings.ToLower(name)+".zip", b.Bytes())
}
