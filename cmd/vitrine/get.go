package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/client"
)

type getCmd struct {
	serverFlags
	patienceFlags
	What        []string `arg:"" name:"what" help:"A release, DATASET@VERSION or DATASET@latest; or UIDs of studies, series or instances; or a query as for find (Modality=CT StudyDate=2024..); or a manifest: a file with a UID, or study/series/instance, on each line."`
	To          string   `required:"" placeholder:"DIR" help:"Folder to write to; run again, it is completed."`
	Collection  string   `placeholder:"ID" help:"From this collection alone."`
	Connections int      `default:"4" placeholder:"N" help:"Connections at a time. Default: ${default}."`
	SignIn      bool     `name:"sign-in" help:"Of a release: sign in as a person, by a code that works once, in place of a token; the code is asked for, or read from standard input."`
	Layout      string   `placeholder:"TEMPLATE" help:"Of a release: where each object goes, as {split}/{subject}/{study}/{series}/{instance}.dcm; without it, as the manifest has it. {modality} and {drs} are known too."`

	DeleteWithdrawn bool `name:"delete-withdrawn" help:"Of a release: delete here what an earlier run brought and whose person has withdrawn since."`
}

func (c *getCmd) Help() string {
	return `A release comes whole and proven: its manifest is held to the root that the release's page names, each object to the digest in the manifest. What broke off is taken up where it ended; what is there is not
fetched again.

Otherwise files are written as PatientID/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm, and their digests to SHA256SUMS (check them at any time with
sha256sum -c SHA256SUMS). Each file is checked against the digest that the node gives. What is there already and unchanged is not fetched again.`
}

// wanted is an instance to fetch.
type wanted struct {
	ref  client.Ref
	path string // below the folder
}

// Run fetches.
func (c *getCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	if c.Connections < 1 || c.Connections > 64 {
		return usage("--connections is 1 to 64")
	}
	cl, err := c.client(c.Connections)
	if err != nil {
		return err
	}
	defer cl.Close()
	if c.SignIn {
		if cl, err = c.ticket(ctx, s); err != nil {
			return err
		}
		defer cl.Close()
	}
	if len(c.What) == 1 && strings.Contains(c.What[0], "@") && !isFile(c.What[0]) {
		return c.release(ctx, cli, s, cl)
	}
	if c.Layout != "" || c.DeleteWithdrawn {
		return usage("--layout and --delete-withdrawn are of a release: DATASET@VERSION")
	}
	g := &getting{cmd: c, client: cl, std: s, quiet: cli.Quiet}
	if err := g.resolve(ctx); err != nil {
		return err
	}
	if len(g.list) == 0 {
		return &exit{exitFailed, errors.New("nothing matches, or nothing that you may fetch")}
	}
	if g.sums, err = openSums(c.To); err != nil {
		return err
	}
	g.bar = s.progress(cli, "fetching", int64(len(g.list)), unitFiles)
	err = g.fetch(ctx)
	g.bar.done()
	if err2 := g.sums.close(); err == nil {
		err = err2
	}
	if err2 := g.summary(); err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	if len(g.failed) > 0 {
		return failed
	}
	return nil
}

type getting struct {
	cmd    *getCmd
	client *client.Client
	std    *streams
	quiet  bool
	bar    *progress
	sums   *sums
	list   []wanted

	mu         sync.Mutex
	fetched    int
	there      int
	unverified int
	bytes      int64
	failed     []failure
}

type failure struct {
	Instance string `json:"instance"`
	Reason   string `json:"reason"`
}

var headingForm = regexp.MustCompile(`^[A-Za-z][A-Za-z _,]*$`)

var uidForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// resolve finds the instances that the arguments name.
func (g *getting) resolve(ctx context.Context) error {
	seen := map[client.Ref]bool{}
	add := func(q client.Query) (int, error) {
		n := 0
		q.Collection, q.Level = g.cmd.Collection, client.Instance
		for _, t := range []dicom.Tag{dicom.TagPatientID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID, dicom.TagSOPInstanceUID} {
			q.Include = append(q.Include, t.Hex())
		}
		err := g.client.Search(ctx, q, func(a client.Attributes) error {
			ref := client.Ref{Study: a.String(dicom.TagStudyInstanceUID), Series: a.String(dicom.TagSeriesInstanceUID), Instance: a.String(dicom.TagSOPInstanceUID)}
			if ref.Study == "" {
				ref.Study = q.Study
			}
			if ref.Series == "" {
				ref.Series = q.Series
			}
			if ref.Study == "" || ref.Series == "" || ref.Instance == "" {
				return errors.New("the server does not say to which study and series an instance belongs")
			}
			n++
			if !seen[ref] {
				seen[ref] = true
				path := filepath.Join(segment(a.String(dicom.TagPatientID), "unknown"), segment(ref.Study, "study"), segment(ref.Series, "series"), segment(ref.Instance, "instance")+".dcm")
				g.list = append(g.list, wanted{ref, path})
			}
			return nil
		})
		return n, err
	}
	var words, uids []string
	for _, w := range g.cmd.What {
		switch {
		case uidForm.MatchString(w) || uidPath(w) != nil:
			uids = append(uids, w)
		case strings.Contains(w, "=") && !isFile(w):
			words = append(words, w)
		case isFile(w):
			more, err := readManifest(w)
			if err != nil {
				return usage("%s: %w", w, err)
			}
			uids = append(uids, more...)
		default:
			return usage("%q is neither a UID, nor a query such as Modality=CT, nor a manifest file", w)
		}
	}
	if len(words) > 0 {
		if err := g.resolveQuery(ctx, words, add); err != nil {
			return err
		}
	}
	for _, u := range uids {
		var n int
		var err error
		if p := uidPath(u); p != nil {
			q := client.Query{Study: p[0], Match: url.Values{}}
			if len(p) > 1 {
				q.Series = p[1]
			}
			if len(p) > 2 {
				q.Match.Set("SOPInstanceUID", p[2])
			}
			n, err = add(q)
		} else {
			// A UID does not say what it is of.
			for _, name := range []string{"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"} {
				if n, err = add(client.Query{Match: url.Values{name: {u}}}); err != nil || n > 0 {
					break
				}
			}
		}
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusNotFound {
			n, err = 0, nil
		}
		if err != nil {
			return err
		}
		if n == 0 {
			g.failed = append(g.failed, failure{u, "the node does not have it, or not for you"})
		}
	}
	return nil
}

// ofStudy are the attributes that a study has, and its series and instances have not themselves: servers match them at the level of studies (PS3.18 Table 10.6.1-5).
var ofStudy = map[string]bool{
	"StudyInstanceUID": true, "StudyDate": true, "StudyTime": true, "AccessionNumber": true, "ModalitiesInStudy": true, "SOPClassesInStudy": true, "ReferringPhysicianName": true,
	"StudyDescription": true, "PatientName": true, "PatientID": true, "PatientBirthDate": true, "PatientSex": true, "StudyID": true,
}

// resolveQuery finds the studies by what is theirs, and in them the instances by the rest.
func (g *getting) resolveQuery(ctx context.Context, words []string, add func(client.Query) (int, error)) error {
	match, err := parseQuery(words, client.Instance)
	if err != nil {
		return err
	}
	studies, rest := url.Values{}, url.Values{}
	for k, v := range match {
		if ofStudy[k] {
			studies[k] = v
		} else {
			rest[k] = v
		}
	}
	if len(studies) == 0 {
		_, err = add(client.Query{Match: rest})
		return err
	}
	var uids []string
	err = g.client.Search(ctx, client.Query{Collection: g.cmd.Collection, Level: client.Study, Match: studies}, func(a client.Attributes) error {
		uids = append(uids, a.String(dicom.TagStudyInstanceUID))
		return nil
	})
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if _, err := add(client.Query{Study: uid, Match: rest}); err != nil {
			return err
		}
	}
	return nil
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// uidPath is study/series or study/series/instance.
func uidPath(s string) []string {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == ',' || r == ';' || r == '\t' || r == ' ' })
	if len(parts) < 2 || len(parts) > 3 {
		return nil
	}
	for _, p := range parts {
		if !uidForm.MatchString(p) {
			return nil
		}
	}
	return parts
}

const maxManifest = 10_000_000

// readManifest reads UIDs, one a line. Lines of other kinds are those of manifests that other archives write: settings (name=value), comments and headings.
func readManifest(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var uids []string
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := strings.Trim(strings.TrimSpace(sc.Text()), `"`)
		switch {
		case line == "" || strings.HasPrefix(line, "#") || strings.Contains(line, "="):
		case uidForm.MatchString(line) || uidPath(line) != nil:
			uids = append(uids, line)
		case len(uids) == 0 && headingForm.MatchString(line):
		default:
			return nil, fmt.Errorf("line %d is no UID", n)
		}
		if len(uids) > maxManifest {
			return nil, errors.New("it has more than ten million lines")
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(uids) == 0 {
		return nil, errors.New("it names nothing")
	}
	return uids, nil
}

// segment is one part of a path: whatever a server sends stays in its place.
func segment(s, otherwise string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, s)
	s = strings.TrimLeft(s, ".")
	if s == "" {
		return otherwise
	}
	return s[:min(len(s), 100)]
}

// fetch fetches everything on the list. A failure of one instance does not stop the others.
func (g *getting) fetch(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan wanted)
	var wg sync.WaitGroup
	for range g.cmd.Connections {
		wg.Go(func() {
			for w := range work {
				if err := g.one(ctx, w); err != nil {
					cancel(err)
					return
				}
				g.bar.add(1)
			}
		})
	}
feed:
	for _, w := range g.list {
		select {
		case work <- w:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

func (g *getting) one(ctx context.Context, w wanted) error {
	if g.sums.unchanged(w.path) {
		g.mu.Lock()
		g.there++
		g.mu.Unlock()
		return nil
	}
	path := filepath.Join(g.cmd.To, w.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var rec client.Received
	var stuck stuck
	err := client.Retry(ctx, patience(g.cmd.Patience, g.quiet, g.bar, g.std), func() (err error) {
		var n int64
		rec, n, err = g.download(ctx, w.ref, path)
		return stuck.judge(err, n)
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == nil:
		g.fetched++
		g.bytes += rec.Size
		if !rec.Verified {
			g.unverified++
		}
		return g.sums.add(w.path, rec.SHA256)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isLocal(err):
		return err // a full disk stays full
	}
	var un *client.Unreachable
	if errors.As(err, &un) {
		return fmt.Errorf("%w\nWhat was fetched is kept; run the command again to go on", err)
	}
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusUnauthorized {
		return err
	}
	g.failed = append(g.failed, failure{w.ref.Instance, err.Error()})
	return nil
}

// stuck notices an instance that a node which answers cannot give: waiting mends a line, not damage.
type stuck struct {
	after int64 // bytes
	times int
}

const maxStuck = 3

// judge takes a failure for good when the node itself failed, or broke off, so many times after the same number of bytes.
func (s *stuck) judge(err error, n int64) error {
	p, said := errors.AsType[*client.Problem](err)
	if !(said && p.Status == http.StatusInternalServerError) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, client.ErrDigest) {
		s.times = 0
		return err
	}
	if n != s.after {
		s.after, s.times = n, 0
	}
	if s.times++; s.times < maxStuck {
		return err
	}
	return &brokenOff{after: n, times: s.times}
}

// brokenOff is an instance that a node has, and cannot give.
type brokenOff struct {
	after int64
	times int
}

func (e *brokenOff) Error() string {
	return fmt.Sprintf("the node broke off after %s, %d times: it may be damaged there; ask its administrator to run vitrine verify", bytesText(e.after), e.times)
}

func isLocal(err error) bool {
	_, ok := errors.AsType[*os.PathError](err)
	return ok
}

// download fetches one instance under a temporary name.
func (g *getting) download(ctx context.Context, ref client.Ref, path string) (rec client.Received, n int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".vitrine-*.part")
	if err != nil {
		return rec, 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if rec, err = g.client.Instance(ctx, g.cmd.Collection, ref, f, func(k int) { n += int64(k) }); err != nil {
		return rec, n, err
	}
	if err = f.Chmod(0o644); err != nil {
		return rec, n, err
	}
	if err = f.Close(); err != nil {
		return rec, n, err
	}
	// What came has to be what was asked for, also where a server gives no digest.
	d, err := dicom.Open(f.Name(), dicom.Limits{})
	if err != nil {
		return rec, n, errors.New("what came is no DICOM file: " + describeUnreadable(err))
	}
	uid := d.Data.UID(dicom.TagSOPInstanceUID)
	d.Close()
	if uid != ref.Instance {
		return rec, n, errors.New("the server sent another instance than was asked for")
	}
	return rec, n, os.Rename(f.Name(), path)
}

func (g *getting) summary() error {
	s := g.std
	if g.failed == nil {
		g.failed = []failure{}
	}
	if s.json {
		return s.value(map[string]any{"fetched": g.fetched, "bytes": g.bytes, "present": g.there, "unverified": g.unverified, "failed": g.failed})
	}
	line := fmt.Sprintf("%s fetched (%s)", count(g.fetched, "instance"), bytesText(g.bytes))
	if g.there > 0 {
		line += fmt.Sprintf(", %d were there already", g.there)
	}
	if n := len(g.failed); n > 0 {
		line += fmt.Sprintf(", %d failed", n)
	}
	fmt.Fprintln(s.out, line)
	if g.unverified > 0 {
		s.say("The server gave no digest for %s: only their form was checked.", count(g.unverified, "instance"))
	}
	t := &table{head: []string{"FAILED", "REASON"}}
	for i, f := range g.failed {
		if i == 20 {
			s.say("... and %d more; --output json lists all.", len(g.failed)-20)
			break
		}
		t.add(f.Instance, f.Reason)
	}
	if len(t.rows) == 0 {
		return nil
	}
	return s.print(t)
}
