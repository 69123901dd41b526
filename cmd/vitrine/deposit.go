package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/client"
)

type depositCmd struct {
	serverFlags
	patienceFlags
	Src         []string `arg:"" name:"src" help:"DICOM files, or folders of them, or archives (zip, tar, tar.gz)."`
	Collection  string   `placeholder:"ID" help:"Collection to give them to."`
	Link        string   `placeholder:"LINK" help:"The link that a steward has sent you, in place of --server, --token and --collection. Better given as VITRINE_LINK: other users of a machine can see command lines."`
	Connections int      `default:"4" placeholder:"N" help:"Connections at a time. Default: ${default}."`
	Report      string   `placeholder:"FILE" help:"Write what became of each file as JSON; files are named by their ordinals alone."`
	Map         string   `placeholder:"FILE" help:"Write which ordinal is which file as TSV. CONFIDENTIAL: file names can name patients."`
	Disc        bool     `help:"The source is a disc or stick as archives write them (DICOM media): its index (DICOMDIR) and what is no image on it, such as a viewer, are left aside."`
	Again       bool     `help:"Send also what the node has acknowledged before; it takes no harm from it."`
}

func (c *depositCmd) Help() string {
	return `The node cleans what it receives by the collection's profile. What it acknowledges is on stable storage there. After an interruption (Ctrl-C, a lost
connection, a crash), run the same command again: it goes on where it ended, in the middle of a large file too.

Exit code 3 says that some files were held (the node keeps them, and a steward looks at them) or refused.`
}

// The outcomes of a deposit.
const (
	fateKept    = "kept"    // cleaned, on stable storage, and on its way to the catalogue
	fateHeld    = "held"    // kept, and waits for a worker or a steward
	fateRefused = "refused" // not kept
	fateFailed  = "failed"  // not sent, or no answer came: run again
)

// depositItem is what became of a file.
type depositItem struct {
	Item    int             `json:"item"`
	Outcome string          `json:"outcome"`
	Earlier bool            `json:"earlier,omitempty"` // acknowledged in an earlier run
	Reasons []depositReason `json:"reasons"`
}

type depositReason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// A request holds so many files or bytes, or one larger file.
const (
	depositFiles = 50
	depositBytes = 32 << 20
)

// Run gives the sources to the collection.
func (c *depositCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	if c.Connections < 1 || c.Connections > 64 {
		return usage("--connections is 1 to 64")
	}
	if err := targets("", c.Report, c.Map); err != nil {
		return err
	}
	files, err := inputs(c.Src)
	if err != nil {
		return err
	}
	if c.Disc {
		var aside int
		if files, aside = images(files); aside > 0 && !cli.Quiet {
			s.say("%s on the disc left aside: no images.", count(aside, "file"))
		}
	}
	if len(files) == 0 {
		return usage("there is no file in the sources")
	}
	cl, j, away, err := c.reach(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	defer j.close()
	d := &deposit{cmd: c, client: cl, journal: j, files: files, items: make([]depositItem, len(files)), quiet: cli.Quiet, std: s}
	var total int64
	for i, f := range files {
		d.items[i] = depositItem{Item: i + 1}
		if l, ok := j.known(j.id(f)); ok && !c.Again && f.why == "" {
			d.set(i, l.Outcome, l.Code, l.Text)
			d.items[i].Earlier = true
			continue
		}
		total += f.size
	}
	// An address that nobody answers at is told at once; patience is for a node that was there.
	if err := away; err != nil && total > 0 {
		for i := range d.items {
			if d.items[i].Outcome == "" {
				d.set(i, fateFailed, "not-sent", "it was not sent; run the command again")
			}
		}
		return errors.Join(fmt.Errorf("%w\nIs --server right, and is the node running? Then run the command again to go on", err), d.write())
	}
	d.bar = s.progress(cli, "depositing", total, unitBytes)
	err = d.run(ctx)
	d.bar.done()
	if err == nil {
		d.endPieces(ctx)
	}
	if err2 := d.write(); err == nil {
		err = err2
	}
	if err := d.summary(ctx); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	for i := range d.items {
		if d.items[i].Outcome != fateKept {
			return partial
		}
	}
	return nil
}

// reach opens the way to the node, and the journal of what was given there before. away is why it does not answer; nil: it does.
func (c *depositCmd) reach(ctx context.Context) (cl *client.Client, j *journal, away, err error) {
	dir, err := stateFolder()
	if err != nil {
		return nil, nil, nil, err
	}
	open := func(server, to string) (*journal, error) {
		j, err := openJournal(dir, server, to)
		if err != nil {
			err = fmt.Errorf("the journal of deposits in %s cannot be opened: %w", dir, err)
		}
		return j, err
	}
	if c.Link == "" {
		if c.Collection == "" {
			return nil, nil, nil, usage("say where to: --collection ID, or --link with the link that you were sent")
		}
		if cl, err = c.client(c.Connections); err != nil {
			return nil, nil, nil, err
		}
		if j, err = open(cl.Server(), c.Collection); err != nil {
			return nil, nil, nil, err
		}
		var col struct {
			Created string `json:"created"`
		}
		away = cl.JSON(ctx, http.MethodGet, nil, nil, &col, "api", "collections", c.Collection)
		j.made = col.Created
	} else {
		if c.Collection != "" {
			return nil, nil, nil, usage("--link says into which collection; leave --collection out")
		}
		server, secret, err := client.ParseLink(c.Link)
		if err != nil {
			return nil, nil, nil, usage("--link: %w", err)
		}
		if j, err = open(server, "link "+secret); err != nil {
			return nil, nil, nil, err
		}
		cl, err = client.New(server, "", client.Options{PlainHTTP: c.PlainHTTP, Connections: c.Connections, Agent: "vitrine/" + versionText(), Header: client.LinkHeader(secret, j.visitOf(secret))})
		if err != nil {
			return nil, nil, nil, errors.Join(usage("--link: %w", err), j.close())
		}
		var l client.Link
		l, away = cl.OwnLink(ctx)
		j.made = l.ID
	}
	if p, ok := errors.AsType[*client.Problem](away); ok {
		err := error(p)
		if strings.HasPrefix(p.Code, "link-") {
			err = errors.New(p.Detail + " " + p.Advice)
		}
		return nil, nil, nil, errors.Join(err, j.close())
	}
	return cl, j, away, nil
}

// deposit is a run of the command.
type deposit struct {
	cmd     *depositCmd
	client  *client.Client
	journal *journal
	files   []input
	bar     *progress
	std     *streams
	quiet   bool

	mu      sync.Mutex
	items   []depositItem
	batch   string // of what goes in pieces; empty: nothing did
	ordinal int64  // of the last file in it
}

func (d *deposit) set(i int, outcome, code, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	it := &d.items[i]
	it.Outcome = outcome
	if code != "" {
		it.Reasons = append(it.Reasons, depositReason{code, text})
	}
}

// batch is what goes in one request: files whose SOP Instance UIDs differ, because the answer names files by them.
type batch struct {
	index  []int
	uids   []string
	size   int64
	pieces bool // one file, in pieces
}

// run sends what was not acknowledged before. An error is one that will not go away by itself; files that could not be sent are marked, and do not stop others.
func (d *deposit) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *batch)
	var wg sync.WaitGroup
	for range d.cmd.Connections {
		wg.Go(func() {
			for b := range work {
				var err error
				if b.pieces {
					err = d.sendPieces(ctx, b.index[0])
				} else {
					err = d.send(ctx, b)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	give := func(b *batch) bool {
		if len(b.index) == 0 {
			return true
		}
		select {
		case work <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}
	cur := &batch{}
	seen := map[string]bool{}
	for i := range d.files {
		if d.items[i].Outcome != "" {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		uid, ok := "", d.files[i].why == "" && archive(d.files[i].path)
		unpack := ok
		if !ok {
			uid, ok = d.look(i)
		}
		if !ok {
			continue
		}
		if unpack || d.cmd.Link != "" || d.files[i].size > depositBytes {
			if !give(&batch{index: []int{i}, pieces: true}) {
				break
			}
			continue
		}
		if size := d.files[i].size; len(cur.index) >= depositFiles || len(cur.index) > 0 && cur.size+size > depositBytes || seen[uid] {
			if !give(cur) {
				break
			}
			cur, seen = &batch{}, map[string]bool{}
		}
		seen[uid] = true
		cur.index = append(cur.index, i)
		cur.uids = append(cur.uids, uid)
		cur.size += d.files[i].size
	}
	if ctx.Err() == nil {
		give(cur)
	}
	close(work)
	wg.Wait()
	err := context.Cause(ctx)
	if err != nil {
		for i := range d.items {
			if d.items[i].Outcome == "" {
				d.set(i, fateFailed, "not-sent", "it was not sent; run the command again")
			}
		}
	}
	return err
}

// look reads the header of a file. What is no DICOM is not sent.
func (d *deposit) look(i int) (uid string, ok bool) {
	in := d.files[i]
	refuse := func(code, text string) (string, bool) {
		d.set(i, fateRefused, code, text)
		d.bar.add(int(in.size))
		return "", false
	}
	if in.why != "" {
		return refuse("unreadable-file", in.why)
	}
	f, err := dicom.Open(in.path, dicom.Limits{})
	if err != nil {
		code := "unreadable"
		if errors.Is(err, dicom.ErrNotDICOM) {
			code = "not-dicom"
		}
		return refuse(code, describeUnreadable(err))
	}
	defer f.Close()
	if f.Data.Has(dicom.TagDirectoryRecordSequence) {
		return refuse("directory", "a media directory is no image: deposit the files that it lists")
	}
	if uid = f.Data.UID(dicom.TagSOPInstanceUID); uid == "" {
		return refuse("missing-uid", "it has no SOP Instance UID")
	}
	return uid, true
}

// send sends a batch until it is answered, and writes down the answer.
func (d *deposit) send(ctx context.Context, b *batch) error {
	left := b
	var last error
	err := client.Retry(ctx, patience(d.cmd.Patience, d.quiet, d.bar, d.std), func() error {
		var parts []client.Part
		for _, i := range left.index {
			parts = append(parts, client.Part{Size: d.files[i].size, Open: func() (io.ReadCloser, error) { return os.Open(d.files[i].path) }})
		}
		sent := 0
		answer, err := d.client.Store(ctx, d.cmd.Collection, parts, func(n int) { sent += n; d.bar.add(n) })
		if err != nil {
			d.bar.add(-sent)
			return err
		}
		left, last = d.settle(left, answer)
		if len(left.index) > 0 {
			return last
		}
		return nil
	})
	var p *client.Problem
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &p) && (p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden || p.Status == http.StatusNotFound):
		return err // it will be the same for every batch
	case client.Temporary(err):
		return fmt.Errorf("%w\nWhat was acknowledged is kept; run the command again to go on", err)
	}
	// This request, and it alone, does not work: each file by itself tells which.
	if len(left.index) > 1 {
		for k := range left.index {
			if err := d.send(ctx, &batch{index: left.index[k : k+1], uids: left.uids[k : k+1]}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, i := range left.index {
		text := cause(err)
		if errors.As(err, &p) || errors.Is(err, client.ErrChanged) || errors.Is(err, errUnanswered) {
			text = err.Error()
		}
		d.set(i, fateRefused, "not-taken", text)
	}
	return nil
}

// patience is how long a server that does not answer is waited for.
func patience(most time.Duration, quiet bool, bar *progress, s *streams) client.Patience {
	return client.Patience{For: most, First: 500 * time.Millisecond, Longest: 30 * time.Second, Waiting: func(err error, wait time.Duration) {
		if !quiet && wait > 2*time.Second {
			bar.note(s.err, fmt.Sprintf("%v; trying again in %s", err, wait.Round(time.Second)))
		}
	}}
}

// settle takes a server's answer to a batch. What it could not take now is left for another attempt.
func (d *deposit) settle(b *batch, a *client.Stored) (left *batch, err error) {
	left = &batch{}
	kept := map[string]client.StoredInstance{}
	for _, k := range a.Kept {
		kept[k.SOPInstanceUID] = k
	}
	failed := map[string]client.StoredInstance{}
	for _, f := range a.Failed {
		failed[f.SOPInstanceUID] = f
	}
	var lines []journalLine
	var unanswered []int
	for k, i := range b.index {
		uid := b.uids[k]
		if r, ok := kept[uid]; ok {
			l := journalLine{File: d.journal.id(d.files[i]), Outcome: fateKept}
			switch r.Reason {
			case 0:
			case client.WarningConflict:
				l.Outcome, l.Code, l.Text = fateHeld, "conflict", "the node has other content under its SOP Instance UID"
			default:
				l.Outcome, l.Code, l.Text = fateHeld, "held", cmp.Or(r.Text, "a worker or a steward has to look at it")
			}
			d.set(i, l.Outcome, l.Code, l.Text)
			lines = append(lines, l)
			continue
		}
		if r, ok := failed[uid]; ok {
			if r.Reason == client.FailureResources {
				left.index, left.uids = append(left.index, i), append(left.uids, uid)
				continue
			}
			d.set(i, fateRefused, fmt.Sprintf("failure-%04X", r.Reason), cmp.Or(r.Text, "the node does not say why"))
			continue
		}
		unanswered = append(unanswered, k)
	}
	for n, k := range unanswered {
		i := b.index[k]
		// One failure that could not be told by its UID, and one file without an answer, belong together.
		if len(b.index) == 1 && len(a.Unnamed) == 1 && a.Unnamed[0].Reason != client.FailureResources {
			d.set(i, fateRefused, fmt.Sprintf("failure-%04X", a.Unnamed[n].Reason), cmp.Or(a.Unnamed[n].Text, "the node does not say why"))
			continue
		}
		left.index, left.uids = append(left.index, i), append(left.uids, b.uids[k])
	}
	if err := d.journal.note(lines); err != nil {
		return left, err
	}
	if len(unanswered) > 0 && len(left.index) > 0 && (len(b.index) > 1 || len(a.Unnamed) == 0) {
		return left, errUnanswered // one by one
	}
	return left, &client.Problem{Status: http.StatusServiceUnavailable, Title: "the node cannot take it now"}
}

var errUnanswered = errors.New("the node does not say what became of it")

// write writes report and map.
func (d *deposit) write() error {
	for i := range d.items {
		if d.items[i].Reasons == nil {
			d.items[i].Reasons = []depositReason{}
		}
	}
	if d.cmd.Report != "" {
		err := writeFile(d.cmd.Report, 0o644, func(w io.Writer) error { return (&streams{out: w}).value(d.report()) })
		if err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if d.cmd.Map != "" {
		err := writeFile(d.cmd.Map, 0o600, func(w io.Writer) error {
			b := bufio.NewWriter(w)
			fmt.Fprint(b, "item\tinput\toutcome\n")
			for i, f := range d.files {
				fmt.Fprintf(b, "%d\t%s\t%s\n", i+1, tsv(f.path), d.items[i].Outcome)
			}
			return b.Flush()
		})
		if err != nil {
			return fmt.Errorf("--map: %w", err)
		}
	}
	return nil
}

func (d *deposit) report() any {
	return struct {
		Collection string         `json:"collection"`
		Counts     map[string]int `json:"counts"`
		Items      []depositItem  `json:"items"`
	}{d.cmd.Collection, d.counts(), d.items}
}

func (d *deposit) counts() map[string]int {
	n := map[string]int{fateKept: 0, fateHeld: 0, fateRefused: 0, fateFailed: 0}
	for _, it := range d.items {
		n[it.Outcome]++
	}
	return n
}

const maxPaths = 20

// summary tells the depositor; paths are for their own terminal, and for nothing else.
func (d *deposit) summary(ctx context.Context) error {
	s := d.std
	if s.json {
		return s.value(d.report())
	}
	n := d.counts()
	earlier := 0
	var why reasonTable
	for _, it := range d.items {
		if it.Earlier {
			earlier++
		}
		for _, r := range it.Reasons {
			why.add(it.Outcome, r.Code, r.Text, it.Item)
		}
	}
	line := fmt.Sprintf("%s: %d kept, %d held, %d refused", count(len(d.items), "file"), n[fateKept], n[fateHeld], n[fateRefused])
	if n[fateFailed] > 0 {
		line += fmt.Sprintf(", %d not sent", n[fateFailed])
	}
	if earlier > 0 {
		line += fmt.Sprintf(" (%d of them acknowledged in an earlier run)", earlier)
	}
	fmt.Fprintln(s.out, line)
	why.print(s)
	if d.quiet {
		return nil
	}
	if s.terminal() && n[fateRefused] > 0 {
		s.say("Refused files:")
		shown := 0
		for i, it := range d.items {
			if it.Outcome != fateRefused {
				continue
			}
			if shown == maxPaths {
				s.say("  and %d more; --map FILE lists all", n[fateRefused]-shown)
				break
			}
			s.say("  %d  %s", it.Item, cellPath(d.files[i].path))
			shown++
		}
	} else if n[fateRefused]+n[fateHeld] > 0 && d.cmd.Map == "" {
		s.say("--map FILE says which file an item is.")
	}
	return nil
}
