package portal

import (
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
)

func (d *Door) registerRecords(mux *http.ServeMux) {
	mux.HandleFunc("GET /audit", d.page(d.audit))
}

type auditPage struct {
	Entries    []admin.Entry // latest first
	Size       int64
	Older      string
	Newer      string
	Collection string
}

const pageOfAudit = 100

// audit shows the log, a page at a time from its end.
func (d *Door) audit(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	var p auditPage
	var err error
	if p.Size, err = d.Desk.AuditSize(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	last := p.Size
	if n, err := strconv.ParseInt(r.URL.Query().Get("to"), 10, 64); err == nil && n > 0 && n < last {
		last = n
	}
	from := max(0, last-pageOfAudit)
	entries, err := d.Desk.Entries(r.Context(), r.admin(), "", from, int(last-from))
	if err != nil {
		return nil, err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		p.Entries = append(p.Entries, entries[i])
	}
	if from > 0 {
		p.Older = "/audit?to=" + strconv.FormatInt(from, 10)
	}
	if last < p.Size {
		p.Newer = "/audit?to=" + strconv.FormatInt(min(p.Size, last+pageOfAudit), 10)
	}
	return &page{file: "audit", title: "Audit", section: "/audit", help: "held", data: p}, nil
}
