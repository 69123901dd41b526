package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
)

type sendCmd struct {
	Src          []string `arg:"" name:"src" help:"DICOM files, or folders of them."`
	To           string   `required:"" placeholder:"AET@HOST:PORT" help:"Whom to send to."`
	From         string   `default:"VITRINE_SEND" placeholder:"AET" help:"Who sends."`
	Associations int      `default:"1" help:"Associations at a time."`
}

// toSend is a file with what its presentation context needs.
type toSend struct {
	item              int
	path              string
	class, sop, xfer  string
	size, prefix, len int64
}

// Run sends the sources by C-STORE, each instance in the transfer syntax that it has.
func (c *sendCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	called, addr, ok := strings.Cut(c.To, "@")
	if _, _, err := net.SplitHostPort(addr); !ok || err != nil || called == "" {
		return usage("--to is AET@HOST:PORT, such as VITRINE@127.0.0.1:11112")
	}
	if c.Associations < 1 || c.Associations > 64 {
		return usage("--associations is 1 to 64")
	}
	files, err := inputs(c.Src)
	if err != nil {
		return err
	}
	var refused reasonTable
	var all []toSend
	bad := 0
	for i, f := range files {
		t, why := prepareSend(f)
		if why != "" {
			bad++
			refused.add("refused", "unreadable", why, i+1)
			continue
		}
		t.item = i + 1
		all = append(all, t)
	}
	var total int64
	for _, t := range all {
		total += t.size
	}
	bar := s.progress(cli, "sending", total, unitBytes)
	var mu sync.Mutex
	taken := 0
	answered := func(t *toSend, why string) {
		mu.Lock()
		defer mu.Unlock()
		bar.add(int(t.size))
		if why == "" {
			taken++
			return
		}
		bad++
		refused.add("refused", "peer", why, t.item)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan []toSend)
	var wg sync.WaitGroup
	for range c.Associations {
		wg.Go(func() {
			for batch := range work {
				if err := c.associate(ctx, called, addr, batch, answered); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for _, batch := range sendBatches(all, c.Associations) {
		select {
		case work <- batch:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	wg.Wait()
	bar.done()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("sending to %s: %w\n%d of %s were taken", c.To, err, taken, count(len(all), "file"))
	}
	if s.json {
		if err := s.value(map[string]any{"files": len(files), "taken": taken, "refused": bad}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.out, "%s: %d taken, %d refused\n", count(len(files), "file"), taken, bad)
		refused.print(s)
	}
	if bad > 0 {
		return partial
	}
	return nil
}

// prepareSend reads the header of a file.
func prepareSend(in input) (t toSend, why string) {
	if in.why != "" {
		return t, in.why
	}
	f, err := dicom.Open(in.path, dicom.Limits{})
	if err != nil {
		return t, describeUnreadable(err)
	}
	defer f.Close()
	t = toSend{path: in.path, class: f.Data.UID(dicom.TagSOPClassUID), sop: f.Data.UID(dicom.TagSOPInstanceUID), xfer: f.Syntax().UID, size: in.size}
	if t.class == "" || t.sop == "" {
		return t, "it has no SOP Class UID or SOP Instance UID"
	}
	// The data set goes as it is, deflated if it is: what comes after preamble and file meta information.
	if f.Preamble != nil {
		t.prefix = int64(len(f.Preamble)) + 4
	}
	if f.Meta != nil {
		t.prefix += int64(len(f.Meta.Bytes()))
	}
	t.len = in.size - t.prefix
	return t, ""
}

// sendBatches are the files for one association each: no more presentation contexts than an association can have, and a share for each association.
func sendBatches(all []toSend, associations int) [][]toSend {
	slices.SortStableFunc(all, func(a, b toSend) int { return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.xfer, b.xfer)) })
	share := max(1, (len(all)+associations-1)/associations)
	const contexts = 120
	var batches [][]toSend
	for len(all) > 0 {
		seen := map[[2]string]bool{}
		n := 0
		for n < len(all) && n < share {
			seen[[2]string{all[n].class, all[n].xfer}] = true
			if len(seen) > contexts {
				break
			}
			n++
		}
		batches = append(batches, all[:n])
		all = all[n:]
	}
	return batches
}

// associate sends a batch over one association.
func (c *sendCmd) associate(ctx context.Context, called, addr string, batch []toSend, answered func(*toSend, string)) error {
	contexts := map[[2]string]network.Proposal{}
	for _, t := range batch {
		contexts[[2]string{t.class, t.xfer}] = network.Proposal{AbstractSyntax: t.class, TransferSyntaxes: []string{t.xfer}}
	}
	a, err := network.Dial(ctx, addr, network.DialOptions{CallingAE: c.From, CalledAE: called, Contexts: slices.Collect(maps.Values(contexts))})
	if err != nil {
		return err
	}
	if len(a.Contexts()) == 0 {
		for i := range batch {
			answered(&batch[i], "the peer takes none of these kinds of image from "+c.From+"; it may not know this AE title")
		}
		return a.Release(ctx)
	}
	for i := range batch {
		t := &batch[i]
		why, err := sendOne(ctx, a, t)
		if err != nil {
			a.Abort()
			return err
		}
		answered(t, why)
	}
	return a.Release(ctx)
}

func sendOne(ctx context.Context, a *network.Association, t *toSend) (why string, err error) {
	f, err := os.Open(t.path)
	if err != nil {
		return cause(err), nil
	}
	defer f.Close()
	st, err := a.Store(ctx, &network.Instance{
		SOPClassUID: t.class, SOPInstanceUID: t.sop, TransferSyntaxUID: t.xfer, Reader: io.NewSectionReader(f, t.prefix, t.len),
	})
	switch {
	case errors.Is(err, network.ErrNoContext):
		return "the peer does not take this SOP class in this transfer syntax", nil
	case err != nil:
		return "", err
	case !st.Done():
		return strings.TrimSpace("the peer answers " + st.String() + " " + st.Comment), nil
	}
	return "", nil
}

// describeUnreadable says why a file cannot be read as DICOM, without its name or anything out of it.
func describeUnreadable(err error) string {
	e, ok := errors.AsType[*dicom.Error](err)
	if !ok {
		return cause(err)
	}
	text := e.Reason
	if e.Kind != nil {
		text = e.Kind.Error()
		if e.Reason != "" {
			text += ": " + e.Reason
		}
	}
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	return text
}
