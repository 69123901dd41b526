package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
)

const manifestFile = "manifest.jsonl"

// releaseGetting fetches a release.
type releaseGetting struct {
	cmd    *getCmd
	client *client.Client
	std    *streams
	bar    *progress
	header describe.Header

	mu      sync.Mutex
	fetched int64
	there   int64
	gone    int64
	bytes   int64
	failed  []failure
	why     map[string]bool // of refusals, each told once
}

// release fetches a release whole: its manifest, proven by its root, and every object, proven by its digest.
func (c *getCmd) release(ctx context.Context, cli *CLI, s *streams, cl *client.Client) error {
	dataset, version, err := release.Parse(c.What[0])
	if err != nil {
		return usage("%w", err)
	}
	if err := os.MkdirAll(c.To, 0o750); err != nil {
		return usage("--to: %w", err)
	}
	g := &releaseGetting{cmd: c, client: cl, std: s, why: map[string]bool{}}
	before, err := g.before()
	if err != nil {
		return err
	}
	fresh := filepath.Join(c.To, manifestFile+".part")
	if err := g.manifest(ctx, fresh, dataset, version); err != nil {
		return err
	}
	withdrawn, err := g.withdrawn(fresh, before)
	if err != nil {
		return err
	}
	g.bar = s.progress(cli, "fetching", g.header.Entries, unitFiles)
	err = g.fetch(ctx, fresh)
	g.bar.done()
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, filepath.Join(c.To, manifestFile)); err != nil {
		return usage("--to: %w", err)
	}
	return g.summary(withdrawn)
}

// before are the paths of what an earlier run brought, by the hash of their lines.
func (g *releaseGetting) before() (map[string]string, error) {
	f, err := os.Open(filepath.Join(g.cmd.To, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, usage("--to: %w", err)
	}
	defer f.Close()
	_, entries, err := describe.ReadManifest(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, &exit{exitFailed, fmt.Errorf("%s: %w", filepath.Join(g.cmd.To, manifestFile), err)}
	}
	all := map[string]string{}
	for e, err := range entries {
		if err != nil {
			return nil, &exit{exitFailed, fmt.Errorf("%s: %w", filepath.Join(g.cmd.To, manifestFile), err)}
		}
		if e.Withdrawn {
			continue
		}
		leaf, err := describe.LeafHash(e)
		if err != nil {
			return nil, err
		}
		all[leaf] = g.place(&e)
	}
	return all, nil
}

// manifest fetches the manifest, and holds it to its root and to that of the release's page.
func (g *releaseGetting) manifest(ctx context.Context, path, dataset, version string) error {
	var page release.ReleaseView
	if err := g.client.JSON(ctx, http.MethodGet, nil, nil, &page, "api", "datasets", dataset, "releases", version); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o640)
	if err != nil {
		return usage("--to: %w", err)
	}
	defer f.Close()
	if err := g.client.Raw(ctx, f, "api", "datasets", dataset, "releases", page.Version, string(release.Manifest)); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if g.header, err = describe.VerifyManifest(f); err != nil {
		return &exit{exitFailed, fmt.Errorf("the manifest is not what its root says: %w", err)}
	}
	if g.header.Root != page.Root || g.header.Dataset != dataset || g.header.Version != page.Version {
		return &exit{exitFailed, errors.New("the manifest is another release's than the page says")}
	}
	return nil
}

// withdrawn are the files of an earlier run whose persons have withdrawn since.
func (g *releaseGetting) withdrawn(path string, before map[string]string) ([]string, error) {
	if len(before) == 0 {
		return nil, nil
	}
	var all []string
	err := g.each(path, func(e *describe.Entry) error {
		if e.Withdrawn {
			if p, ok := before[e.Leaf]; ok {
				if _, err := os.Stat(filepath.Join(g.cmd.To, p)); err == nil {
					all = append(all, p)
				}
			}
		}
		return nil
	})
	return all, err
}

func (g *releaseGetting) each(path string, do func(*describe.Entry) error) error {
	f, err := os.Open(path)
	if err != nil {
		return usage("--to: %w", err)
	}
	defer f.Close()
	_, entries, err := describe.ReadManifest(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return err
	}
	for e, err := range entries {
		if err != nil {
			return err
		}
		if err := do(&e); err != nil {
			return err
		}
	}
	return nil
}

// place is where an object goes below the folder: by the template, or as the manifest has it.
func (g *releaseGetting) place(e *describe.Entry) string {
	if g.cmd.Layout == "" {
		return filepath.FromSlash(e.Path)
	}
	p := strings.NewReplacer("{subject}", segment(e.Subject, "unknown"), "{split}", segment(e.Split, "all"), "{study}", segment(e.Study, "study"), "{series}", segment(e.Series, "series"), "{instance}", segment(e.Instance, e.DRS),
		"{modality}", segment(e.Modality, "other"), "{drs}", e.DRS).Replace(g.cmd.Layout)
	return filepath.FromSlash(p)
}

func (g *releaseGetting) fetch(ctx context.Context, path string) error {
	work := make(chan describe.Entry)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	for range g.cmd.Connections {
		wg.Go(func() {
			for e := range work {
				if err := g.one(ctx, &e); err != nil {
					once.Do(func() { failed = err; stop() })
				}
				g.bar.add(1)
			}
		})
	}
	err := g.each(path, func(e *describe.Entry) error {
		if e.Withdrawn {
			g.mu.Lock()
			g.gone++
			g.mu.Unlock()
			return nil
		}
		select {
		case work <- *e:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(work)
	wg.Wait()
	if failed != nil {
		return failed
	}
	return err
}

// one brings an object, from where an earlier run broke off.
func (g *releaseGetting) one(ctx context.Context, e *describe.Entry) error {
	to := filepath.Join(g.cmd.To, g.place(e))
	if same, err := g.has(to, e); err != nil || same {
		if same {
			g.mu.Lock()
			g.there++
			g.mu.Unlock()
		}
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return usage("--to: %w", err)
	}
	began := time.Now()
	for pause := time.Second; ; pause = min(2*pause, 20*time.Second) {
		err := g.bring(ctx, to, e)
		var refused *client.Refused
		switch {
		case err == nil:
			g.mu.Lock()
			g.fetched++
			g.bytes += e.Size
			g.mu.Unlock()
			return nil
		case errors.Is(err, client.ErrGone):
			_ = os.Remove(to + ".part")
			g.mu.Lock()
			g.gone++
			g.mu.Unlock()
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused) && refused.Status/100 == 4 && refused.Status != http.StatusTooManyRequests:
			g.mu.Lock()
			g.failed = append(g.failed, failure{e.DRS, refused.Msg})
			g.mu.Unlock()
			return nil
		case errors.Is(err, errLocal):
			return err
		case time.Since(began) > g.cmd.Patience:
			g.mu.Lock()
			g.failed = append(g.failed, failure{e.DRS, err.Error()})
			g.mu.Unlock()
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errLocal = errors.New("the folder cannot be written to")

// has reports that a file is there, and what the manifest says.
func (g *releaseGetting) has(path string, e *describe.Entry) (bool, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, usage("--to: %w", err)
	}
	if fi.Size() != e.Size {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, usage("--to: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == e.SHA256, err
}

// bring fetches what is missing of an object, and puts it in place when it is what the manifest says.
func (g *releaseGetting) bring(ctx context.Context, to string, e *describe.Entry) error {
	local := func(err error) error { return fmt.Errorf("%w: %w", errLocal, err) }
	f, err := os.OpenFile(to+".part", os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return local(err)
	}
	defer f.Close()
	h := sha256.New()
	have, err := io.Copy(h, f)
	if err != nil {
		return local(err)
	}
	if have > e.Size {
		have = e.Size
	}
	if have == e.Size && hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
		have = 0
	}
	if have < e.Size || e.Size == 0 {
		body, from, err := g.client.Object(ctx, e.DRS, have)
		if err != nil {
			return err
		}
		defer body.Close()
		if from != have {
			h.Reset()
		}
		if err := f.Truncate(from); err != nil {
			return local(err)
		}
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return local(err)
		}
		if _, err := io.Copy(io.MultiWriter(&localWriter{f}, h), io.LimitReader(body, e.Size-from+1)); err != nil {
			return err
		}
	}
	if hex.EncodeToString(h.Sum(nil)) != e.SHA256 {
		_ = f.Truncate(0) // nothing of it can be trusted
		return client.ErrDigest
	}
	if err := f.Sync(); err != nil {
		return local(err)
	}
	if err := os.Rename(to+".part", to); err != nil {
		return local(err)
	}
	return nil
}

// localWriter names failures of the folder as such.
type localWriter struct{ f *os.File }

func (w *localWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", errLocal, err)
	}
	return n, err
}

func (g *releaseGetting) summary(withdrawn []string) error {
	removed := 0
	if g.cmd.DeleteWithdrawn {
		for _, p := range withdrawn {
			if err := os.Remove(filepath.Join(g.cmd.To, p)); err == nil {
				removed++
			}
		}
	}
	if g.std.json {
		err := g.std.value(map[string]any{"release": g.header.Dataset + "@" + g.header.Version, "root": g.header.Root, "fetched": g.fetched, "there": g.there, "gone": g.gone, "bytes": g.bytes, "failed": g.failed, "withdrawn": withdrawn, "removed": removed})
		if err != nil {
			return err
		}
	} else {
		fmt.Fprintf(g.std.out, "%s@%s: %d fetched (%s), %d there already, root %s\n", g.header.Dataset, g.header.Version, g.fetched, bytesText(g.bytes), g.there, g.header.Root)
		if g.gone > 0 {
			fmt.Fprintf(g.std.out, "%s of the release are served no more: their persons have withdrawn. Ask for the latest version.\n", count(int(g.gone), "object"))
		}
		t := &table{head: []string{"OBJECT", "WHY"}}
		for _, f := range g.failed[:min(len(g.failed), 20)] {
			t.add(f.Instance, f.Reason)
		}
		if len(t.rows) > 0 {
			if err := g.std.print(t); err != nil {
				return err
			}
		}
	}
	switch {
	case removed > 0:
		g.std.say("%s of people who have withdrawn were deleted.", count(removed, "file"))
	case len(withdrawn) > 0:
		g.std.say("%s here are of people who have withdrawn since: delete them (--delete-withdrawn does), and say so to whoever gave you the release.", count(len(withdrawn), "file"))
	}
	if len(g.failed) > 0 {
		return failed
	}
	return nil
}

// ticket signs a person in, has a ticket made, and gives a way to the node that bears it.
func (c *getCmd) ticket(ctx context.Context, s *streams) (*client.Client, error) {
	var made struct {
		Ticket string `json:"ticket"`
	}
	p := personFlags{Server: c.Server}
	err := p.as(ctx, s, func(cl *client.Client) error {
		return cl.JSON(ctx, http.MethodPost, nil, map[string]int{"days": 7}, &made, "api", "tickets")
	})
	if err != nil {
		return nil, err
	}
	return client.New(c.Server, made.Ticket, client.Options{PlainHTTP: c.PlainHTTP, Connections: c.Connections, Agent: "vitrine/" + versionText()})
}
