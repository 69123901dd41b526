package portal

import (
	"cmp"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerDeposits(mux web.Routes) {
	mux.HandleFunc("GET /deposits", d.page(d.deposits))
	mux.HandleFunc("GET /deposits/new", d.page(d.newDeposit))
	mux.HandleFunc("GET /deposits/events", d.allEvents)
	mux.HandleFunc("GET /deposits/{deposit}", d.page(d.deposit))
	mux.HandleFunc("GET /deposits/{deposit}/events", d.depositEvents)
	mux.HandleFunc("GET /collections/{collection}/upload", d.page(d.uploadPage))
}

// doorNames are how people call the doors.
var doorNames = map[string]string{"dimse": "DICOM", "stow": "DICOMweb", "upload": "browser upload", "sftp": "SFTP", "pull": "an archive that was asked", "folder": "watched folder", "replay": "replay"}

func doorName(door string) string { return cmp.Or(doorNames[door], door) }

type depositRow struct {
	catalogue.Deposit
	DoorName string
	Title    string // of the collection
	Running  bool
	Lasted   string
	From     string // who sent it
}

func (r *request) rowOf(x catalogue.Deposit, titles map[collection.ID]string) depositRow {
	row := rowOf(x, titles)
	if row.From = x.Actor; x.Actor == r.caller.Actor {
		row.From = "you"
	} else if strings.HasPrefix(x.Actor, "link-") {
		row.From = "somebody outside, by " + x.Actor
	}
	return row
}

func rowOf(x catalogue.Deposit, titles map[collection.ID]string) depositRow {
	r := depositRow{Deposit: x, DoorName: doorName(x.Door), Title: titles[x.Collection], Running: x.Ended.IsZero()}
	if r.Title == "" {
		r.Title = string(x.Collection)
	}
	if !r.Running {
		r.Lasted = lasted(x.Ended.Sub(x.Started))
	}
	return r
}

// lasted writes how long something took.
func lasted(d time.Duration) string {
	switch {
	case d < time.Minute:
		return plural(max(1, int(d.Round(time.Second).Seconds())), "second", "seconds")
	case d < time.Hour:
		return plural(int(d.Round(time.Minute).Minutes()), "minute", "minutes")
	}
	return fmt.Sprintf("%.1f hours", d.Hours())
}

type depositsPage struct {
	Deposits   []depositRow
	MayDeposit bool
	Held       int64 // images of these deposits that wait for a steward
	MayDecide  bool
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
		p.MayDeposit = p.MayDeposit || r.may(policy.Deposit, c.ID)
		p.MayDecide = p.MayDecide || policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.DecideHeld, Collection: string(c.ID), State: policy.Held}).Allow
		found, err := d.Delivery.Deposits(r.Context(), r.delivery(), c.ID, 0, pageOfDeposits)
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			p.Deposits = append(p.Deposits, r.rowOf(x, titles))
		}
	}
	sort.SliceStable(p.Deposits, func(i, j int) bool { return p.Deposits[i].Started.After(p.Deposits[j].Started) })
	p.Deposits = p.Deposits[:min(len(p.Deposits), pageOfDeposits)]
	for _, x := range p.Deposits {
		p.Held += x.Counts.Held
	}
	return &page{file: "deposits", title: "Deposits", section: "/deposits", help: "follow", data: p}, nil
}

type depositPage struct {
	depositRow
	Flow    flowView
	Steps   []step
	Studies []studyRow
	Cut     bool // there are more studies
	Troubles
	MayDecide bool
	MaySend   bool
}

// studyRow is a study that a deposit brought something of.
type studyRow struct {
	delivery.StudyFate
	Number int
	Name   string
}

// Troubles are the items of a deposit that were not simply kept, by reason.
type Troubles struct {
	Held, Refused []trouble

	Restricted int // items that are kept for stewards alone
}

// trouble is a reason, with the items that it holds for.
type trouble struct {
	Key    string
	Text   string
	Where  string // if it is the same for all
	Advice string
	Items  []int64 // their numbers in the deposit
	More   int
}

// itemsShown bounds the items that are named for one reason.
const itemsShown = 200

// troubles gathers items by the first of their reasons.
func troubles(items []delivery.Item) (t Troubles) {
	at := map[string]*trouble{}
	var held, refused []*trouble
	for _, i := range items {
		if i.State == policy.Restricted {
			t.Restricted++
			continue
		}
		r := custody.Reason{Text: "no reason was noted"}
		if len(i.Reasons) > 0 {
			r = custody.Reason(i.Reasons[0])
			if r.Code == "burned-in-text" || r.Code == "" {
				r.Where = "" // where the kind of image stands, which says nothing of the item
			}
		}
		key := r.Code + " " + r.Text
		if i.ID == 0 {
			key = "refused " + key
		}
		x := at[key]
		if x == nil {
			x = &trouble{Key: "reason-" + strconv.Itoa(len(at)+1), Text: strings.ToUpper(r.Text[:min(1, len(r.Text))]) + r.Text[min(1, len(r.Text)):], Where: r.Where, Advice: r.Advice()}
			at[key] = x
			if i.ID == 0 {
				refused = append(refused, x)
			} else {
				held = append(held, x)
			}
		}
		if x.Where != r.Where {
			x.Where = ""
		}
		if len(x.Items) < itemsShown {
			x.Items = append(x.Items, i.Ordinal)
		} else {
			x.More++
		}
	}
	list := func(of []*trouble) (out []trouble) {
		sort.SliceStable(of, func(i, j int) bool { return len(of[i].Items)+of[i].More > len(of[j].Items)+of[j].More })
		for _, x := range of {
			out = append(out, *x)
		}
		return out
	}
	t.Held, t.Refused = list(held), list(refused)
	return t
}

// Count is how many items the reason holds for.
func (t trouble) Count() int { return len(t.Items) + t.More }

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
	p := depositPage{depositRow: r.rowOf(f.Deposit, titles), Troubles: troubles(f.Items), Flow: flowOf(f.Counts), Steps: stepsOf(f.Deposit)}
	studies, err := d.Delivery.DepositStudies(r.Context(), r.delivery(), f.Deposit)
	if err != nil {
		return nil, err
	}
	for i, x := range studies {
		row := studyRow{StudyFate: x, Number: i + 1, Name: "Study"}
		if x.Study != nil {
			row.Name = studyName(x.Study)
		}
		p.Studies = append(p.Studies, row)
	}
	p.MayDecide = policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.DecideHeld, Collection: string(f.Collection), State: policy.Held}).Allow
	p.MaySend = f.Door == string(custody.DoorUpload) && f.Actor == r.caller.Actor && r.may(policy.Deposit, f.Collection)
	return &page{file: "deposit", title: "Deposit of " + moment(f.Started), section: "/deposits", help: "follow", data: p}, nil
}

// may asks policy about an action that concerns no object.
func (r *request) may(a policy.Action, c collection.ID) bool {
	return policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: a, Collection: string(c)}).Allow
}

type newDepositPage struct{ Collections []collection.Collection }

// newDeposit lets choose where to send images; who has one collection has no choice to make.
func (d *Door) newDeposit(r *request) (*page, error) {
	all, err := d.mine(r)
	if err != nil {
		return nil, err
	}
	var p newDepositPage
	for _, c := range all {
		if r.may(policy.Deposit, c.ID) && c.State == collection.Open {
			p.Collections = append(p.Collections, c)
		}
	}
	if len(p.Collections) == 1 {
		return &page{to: "/collections/" + string(p.Collections[0].ID) + "/upload"}, nil
	}
	return &page{file: "newdeposit", title: "Send images", section: "/deposits", help: "deposit", data: p}, nil
}

type uploadPage struct {
	collection.Collection
	Who string // whom what the browser remembers belongs to
}

// uploadPage is where images are sent from a browser.
func (d *Door) uploadPage(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil || !r.caller.Knows(string(id)) {
		return nil, fault.New(fault.NotFound, "send images", "", "there is no such collection that you have a role in")
	}
	if dec := policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.Deposit, Collection: string(id)}); !dec.Allow {
		return nil, fault.New(fault.Denied, "send images", "collection "+string(id), strings.Join(dec.Reasons, "; "))
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	title := c.Title
	if title == "" {
		title = string(c.ID)
	}
	return &page{file: "upload", title: "Send images to " + title, section: "/deposits", help: "deposit", data: uploadPage{c, r.caller.Actor}}, nil
}
