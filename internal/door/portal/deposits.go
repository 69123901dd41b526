package portal

import (
	"net/http"
	"sort"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerDeposits(mux *http.ServeMux) {
	mux.HandleFunc("GET /deposits", d.page(d.deposits))
	mux.HandleFunc("GET /deposits/{deposit}", d.page(d.deposit))
}

// doorNames are how people call the doors.
var doorNames = map[string]string{"dimse": "DICOM", "stow": "DICOMweb", "upload": "browser upload", "sftp": "SFTP", "replay": "replay"}

type depositRow struct {
	catalogue.Deposit
	DoorName string
	Title    string // of the collection
	Running  bool
	Lasted   time.Duration
}

func rowOf(x catalogue.Deposit, titles map[collection.ID]string) depositRow {
	r := depositRow{Deposit: x, DoorName: doorNames[x.Door], Title: titles[x.Collection], Running: x.Ended.IsZero()}
	if r.DoorName == "" {
		r.DoorName = x.Door
	}
	if r.Title == "" {
		r.Title = string(x.Collection)
	}
	if !r.Running {
		r.Lasted = x.Ended.Sub(x.Started).Round(time.Second)
	}
	return r
}

type depositsPage struct {
	Deposits   []depositRow
	MayDeposit bool
}

const pageOfDeposits = 50

// deposits lists the latest deposits into every collection that the caller may see them of.
func (d *Door) deposits(r *request) (*page, error) {
	all, err := d.mine(r)
	if err != nil {
		return nil, err
	}
	titles := map[collection.ID]string{}
	var p depositsPage
	for _, c := range all {
		titles[c.ID] = c.Title
		found, err := d.Delivery.Deposits(r.Context(), r.delivery(), c.ID, 0, pageOfDeposits)
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			p.Deposits = append(p.Deposits, rowOf(x, titles))
		}
	}
	sort.SliceStable(p.Deposits, func(i, j int) bool { return p.Deposits[i].Started.After(p.Deposits[j].Started) })
	p.Deposits = p.Deposits[:min(len(p.Deposits), pageOfDeposits)]
	return &page{file: "deposits", title: "Deposits", section: "/deposits", help: "deposit", data: p}, nil
}

type depositPage struct {
	depositRow
	Items []delivery.Item
}

// deposit shows one, and what became of each of its items that was not simply kept.
func (d *Door) deposit(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := catalogue.ParseDepositID(r.PathValue("deposit"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "show deposit", "", "there is no such deposit of yours")
	}
	f, err := d.Delivery.Deposit(r.Context(), r.delivery(), id)
	if err != nil {
		return nil, err
	}
	titles := map[collection.ID]string{}
	if c, err := d.Desk.Collection(r.Context(), r.admin(), f.Collection); err == nil {
		titles[c.ID] = c.Title
	}
	sort.SliceStable(f.Items, func(i, j int) bool { return f.Items[i].Ordinal < f.Items[j].Ordinal })
	p := depositPage{depositRow: rowOf(f.Deposit, titles), Items: f.Items}
	return &page{file: "deposit", title: "Deposit of " + moment(f.Started), section: "/deposits", help: "deposit", data: p}, nil
}
