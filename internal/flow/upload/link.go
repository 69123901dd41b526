package upload

import (
	"context"
	"io"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// linkWait is how long pieces that come by a link wait for the next: people outside send over bad lines, and come back when they can. The link's quota bounds what lies there.
const linkWait = 7 * 24 * time.Hour

func (f *Flow) wait(link string) time.Duration {
	if link == "" {
		return f.Limits.Wait
	}
	return max(f.Limits.Wait, linkWait)
}

// inForce refuses what comes by a link that has ended meanwhile. It asks the record each time: an end is felt at once.
func (f *Flow) inForce(ctx context.Context, link string) error {
	if link == "" {
		return nil
	}
	l, err := f.Uploads.Link(ctx, link)
	if err == nil && !l.InForce(time.Now()) {
		err = fault.Wrap(fault.Denied, attempt, "", upload.ErrEnded)
	}
	return err
}

// checkEvery is how often it is asked whether a link is in force still, while the body of one request arrives.
const checkEvery = time.Second

// while reads on for as long as a link is in force.
func (f *Flow) while(ctx context.Context, link string, r io.Reader) io.Reader {
	if link == "" {
		return r
	}
	return &whileInForce{f: f, ctx: ctx, link: link, r: r, next: time.Now().Add(checkEvery)}
}

type whileInForce struct {
	f    *Flow
	ctx  context.Context
	link string
	r    io.Reader
	next time.Time
}

func (w *whileInForce) Read(p []byte) (int, error) {
	if now := time.Now(); now.After(w.next) {
		if err := w.f.inForce(w.ctx, w.link); err != nil {
			return 0, err
		}
		w.next = now.Add(checkEvery)
	}
	return w.r.Read(p)
}
