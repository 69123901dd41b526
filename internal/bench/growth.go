//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// Tests of the growth phase. Those of searches and retrievals are named as elsewhere.
const (
	growIngest  = "growth: C-STORE"
	growSettle  = "growth: admission behind it"
	growPublish = "growth: publishing"
	growFreeze  = "growth: freezing a release"
	growStart   = "growth: start"
	growAgain   = "growth: start after SIGKILL"
	growSize    = "growth: disk"
	findStudy   = "C-FIND study by UID"
	findPatient = "C-FIND by patient"
)

const (
	// piece is how many instances are sent between two looks at the clock: whole studies on each association.
	piece = 10000
	// page is how many entries an answer has at most, at every size alike: what grows is the archive, not the answer.
	page   = 10
	finder = "FINDER"
)

// growth fills a node through C-STORE, cleaned by the profile of its default collection, and at each size asks the same of it: how fast it still takes what
// comes, how long answers take, how long it takes to start, what it takes on disk. With SQLite, then with PostgreSQL.
func (b *bench) growth(ctx context.Context) error {
	for _, engine := range b.engines {
		g := &grown{bench: b, engine: engine, dir: filepath.Join(b.dir, "growth-"+engine), set: sample.SmallSet(smallSeed)}
		if b.full {
			g.set = sample.FullSet(fullSeed)
		}
		if b.keep != "" {
			g.dir = filepath.Join(b.keep, engine)
		}
		err := g.run(ctx)
		if err = errors.Join(err, g.close()); err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
	}
	all := b.report.all
	for _, name := range b.join {
		more, err := readMeasurements(name)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	growthTable(os.Stdout, all)
	if b.plot == "" {
		return nil
	}
	return os.WriteFile(b.plot, growthPicture(all), 0o644)
}

// grown is a node that grows.
type grown struct {
	*bench
	engine string
	dir    string
	set    *sample.Set
	s      *server
	pg     *postgres // nil with SQLite
	args   []string  // --data and so on, of every command
	token  string
	base   string // of HTTP
	total  int    // instances that are there
	next   int    // number of the instance that is sent next
	round  int    // of measurements: one for each size
}

func (g *grown) close() error {
	if g.s != nil {
		g.s.stop()
		if g.keepLogs {
			fmt.Println(g.s.failed("was stopped"))
		}
	}
	if g.pg != nil {
		g.pg.stop()
	}
	if g.keep != "" {
		return nil
	}
	return os.RemoveAll(g.dir)
}

func (g *grown) run(ctx context.Context) error {
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return err
	}
	data := filepath.Join(g.dir, "data")
	g.args = []string{"--data", data}
	if g.engine == "postgresql" {
		var err error
		if g.pg, err = startPostgres(ctx, g.dir); err != nil {
			return err
		}
		g.args = append(g.args, "--database", g.pg.url)
	}
	if _, err := g.start(ctx); err != nil {
		return err
	}
	token, err := g.command(ctx, "token", "create", "--name", "bench", "--role", "steward")
	if err != nil {
		return err
	}
	g.token = strings.TrimSpace(token)
	g.s.token = g.token
	c, err := g.counts(ctx)
	if err != nil {
		return err
	}
	if g.total = c.Received; g.total > 0 { // an archive that was kept; its last piece may have been cut off
		g.next = (g.total/piece + 2) * piece
	}
	for name, may := range map[string]string{"BENCH": "store", finder: "find"} {
		if _, err := g.command(ctx, "peer", "add", name, "--host", "127.0.0.1", "--port", "104", "--may", may); err != nil && g.total == 0 {
			return err
		}
	}
	for _, size := range g.steps {
		g.report.title(fmt.Sprintf("%s: %d instances in %d studies", g.engine, size, size/sample.PerStudy))
		for _, f := range []func(context.Context) error{func(ctx context.Context) error { return g.fill(ctx, size) }, g.settle, g.publish, g.freeze, g.ask, g.disk, g.restart} {
			if err := f(ctx); err != nil {
				return errors.Join(err, g.s.failed("was the server"))
			}
		}
		g.round++
	}
	return nil
}

// start starts the node, and gives the time from its beginning until it says that it is ready.
func (g *grown) start(ctx context.Context) (time.Duration, error) {
	said := &readyLine{line: make(chan string, 1)}
	began := time.Now()
	s, err := launch("vitrine", filepath.Join(g.dir, "node"), g.vitrine, said,
		append([]string{"serve", "--http", "127.0.0.1:0", "--dicom", "127.0.0.1:0", "--sftp", "off", "--level", "warn"}, g.args...)...)
	if err != nil {
		return 0, err
	}
	g.s = s
	var line string
	select {
	case line = <-said.line:
	case <-s.done:
		return 0, s.failed("ended at its start")
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(10 * time.Minute):
		return 0, s.failed("is not ready")
	}
	s.http = webClient(g.connections)
	g.base, s.dicom = parseReady(line)
	s.aet, s.token, s.web = "VITRINE", g.token, g.base+"/collections/default/dicomweb"
	resp, err := s.http.Get(g.base + "/readyz")
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("it said that it was ready and answers %s", resp.Status)
	}
	return time.Since(began), nil
}

// command runs a command of administration beside the node.
func (g *grown) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, g.vitrine, append(args, g.args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("vitrine %s: %w: %s", args[0], err, said.String())
	}
	return string(out), nil
}

// counts are those of the collection.
func (g *grown) counts(ctx context.Context) (c struct{ Received, Pending, Catalogued, Held, Refused int }, err error) {
	err = g.s.json(ctx, g.base+"/api/collections/default/intake", &c)
	return c, err
}

// meters measure the node and, where there is one, the server of its database.
func (g *grown) meters() func() (reading, time.Duration) {
	m, before := begin(g.s.cmd.Process.Pid), time.Duration(0)
	if g.pg != nil {
		before = processorTime(g.pg.pid)
	}
	return func() (reading, time.Duration) {
		r := m.end()
		var database time.Duration
		if g.pg != nil {
			database = processorTime(g.pg.pid) - before
			r.foreign = max(0, r.foreign-share(database, r.took))
		}
		return r, database
	}
}

func (g *grown) add(l measurement, database time.Duration) error {
	l.At, l.Database = g.total, database.Seconds()
	return g.report.add(l)
}

// fill sends what is lacking, and notes each piece.
func (g *grown) fill(ctx context.Context, size int) error {
	for g.total < size {
		n, from := min(piece, size-g.total), g.next
		end := g.meters()
		t, err := send(ctx, g.s, n, g.connections, func(i int) (*sample.Instance, error) { return g.set.Instance(from + i) })
		if err != nil {
			return err
		}
		took, _ := end()
		// Catalogued is what was acknowledged when a question is answered.
		c, err := g.counts(ctx)
		if err != nil {
			return err
		}
		r, database := end()
		l := line(growIngest, g.engine, g.round, t, r, took.took)
		if c.Received != g.total+n || t.failed > 0 {
			l.Note = quiet(fmt.Sprintf("%d are there, and not %d", c.Received, g.total+n), t.why)
		}
		g.total, g.next = c.Received, g.next+n
		if err := g.add(l, database); err != nil {
			return err
		}
		if g.total/(10*piece) != (g.total-n)/(10*piece) {
			fmt.Printf("  %d: %.0f a second, %.3f ms of CPU each and %.3f of the database's, peak %.0f MB, foreign %.0f %%\n", g.total, l.Rate, l.Each,
				1000*database.Seconds()/float64(n), l.Peak, 100*l.Foreign)
		}
	}
	return nil
}

// settle waits until everything is admitted.
func (g *grown) settle(ctx context.Context) error {
	end := g.meters()
	limit := time.Now().Add(g.patience)
	for {
		c, err := g.counts(ctx)
		if err != nil {
			return err
		}
		late := time.Now().After(limit)
		if c.Pending == 0 || late {
			r, database := end()
			l := line(growSettle, g.engine, g.round, &tally{ops: c.Catalogued}, r, r.took)
			if c.Held > 0 || c.Refused > 0 || late {
				l.Note = fmt.Sprintf("%d held, %d refused, %d waiting", c.Held, c.Refused, c.Pending)
			}
			return g.add(l, database)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// publish makes everything visible to the peer that asks by C-FIND.
func (g *grown) publish(ctx context.Context) error {
	end := g.meters()
	if _, err := g.command(ctx, "release", "publish", "--collection", "default"); err != nil {
		return err
	}
	r, database := end()
	return g.add(line(growPublish, g.engine, g.round, &tally{ops: g.total}, r, r.took), database)
}

// freeze makes a release of everything that is there: every object is read and hashed, and its line is in the tree.
func (g *grown) freeze(ctx context.Context) error {
	if g.round == 0 {
		if _, err := g.command(ctx, "consent", "basis", "add", "anonymised", "--collection", "default"); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("grown-%d", g.total)
	if _, err := g.command(ctx, "release", "create", name, "--collection", "default", "--title", "Grown", "--abstract", "Everything that is there.", "--split", "70/15/15"); err != nil {
		return err
	}
	end := g.meters()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+"/api/datasets/"+name+"/releases", strings.NewReader(`{"accept_risk": "The people were made up by a program."}`))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+g.token)
	r.Header.Set("Content-Type", "application/json")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	var frozen struct {
		Objects int
		Bytes   int64
		Detail  string
	}
	if err := json.NewDecoder(a.Body).Decode(&frozen); err != nil || a.StatusCode != http.StatusCreated {
		return errors.Join(fmt.Errorf("freezing: status %d, %s", a.StatusCode, frozen.Detail), err)
	}
	read, database := end()
	return g.add(line(growFreeze, g.engine, g.round, &tally{ops: frozen.Objects, bytes: frozen.Bytes}, read, read.took), database)
}

// A known study is one of those that are there, as searches show it.
type known struct {
	uid, patient, name, date string
}

// An entry of an answer, in the DICOM JSON model (PS3.18 F.2).
type entry map[string]struct{ Value []json.RawMessage }

// text is the first value of an attribute, of a name its alphabetic group; empty if there is none.
func text(e entry, tag dicom.Tag) (s string) {
	if v := e[fmt.Sprintf("%08X", uint32(tag))].Value; len(v) > 0 && json.Unmarshal(v[0], &s) != nil {
		var name struct{ Alphabetic string }
		_ = json.Unmarshal(v[0], &name)
		s = name.Alphabetic
	}
	return s
}

// known are studies from all over the archive.
func (g *grown) known(ctx context.Context) ([]known, error) {
	var out []known
	const pages = 20
	studies := g.total / sample.PerStudy
	for k := range min(pages, studies/page) {
		var found []entry
		if err := g.s.json(ctx, fmt.Sprintf("%s/studies?limit=%d&offset=%d", g.s.web, page, k*studies/pages), &found); err != nil {
			return nil, err
		}
		for _, f := range found {
			k := known{text(f, dicom.TagStudyInstanceUID), text(f, dicom.TagPatientID), text(f, dicom.TagPatientName), text(f, dicom.TagStudyDate)}
			if k.uid == "" || k.patient == "" || len(k.name) < 4 || len(k.date) != 8 {
				return nil, fmt.Errorf("a study is described too little to be searched for: %d, %d, %d, %d characters", len(k.uid), len(k.patient), len(k.name), len(k.date))
			}
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no study is there")
	}
	return out, nil
}

// questions are what is asked of an archive, of studies from all over it.
func (g *grown) questions(all []known) []question {
	var uids, patients, names, dates []string
	for _, k := range all {
		uids = append(uids, "/studies?StudyInstanceUID="+k.uid)
		patients = append(patients, "/studies?PatientID="+url.QueryEscape(k.patient))
		names = append(names, fmt.Sprintf("/studies?limit=%d&PatientName=%s*", page, url.QueryEscape(k.name[:len(k.name)-1])))
		dates = append(dates, fmt.Sprintf("/studies?limit=%d&StudyDate=%s0101-%s1231", page, k.date[:4], k.date[:4]))
	}
	return []question{{searchUID, uids}, {searchPatient, patients}, {searchDate, dates}, {searchModality, []string{fmt.Sprintf("/studies?limit=%d&ModalitiesInStudy=CT", page)}}, {searchName, names}}
}

// asked is how many questions of a kind are put, and for how long at most: enough for a p99.
const (
	asked   = 1000
	longest = 15 * time.Second
)

func (g *grown) ask(ctx context.Context) error {
	all, err := g.known(ctx)
	if err != nil {
		return err
	}
	note := func(test string, work func() (*tally, error)) error {
		if !strings.Contains(test, g.tests) {
			return nil
		}
		end := g.meters()
		t, err := work()
		if err != nil {
			return err
		}
		r, database := end()
		l := line(test, g.engine, g.round, t, r, r.took)
		if l.Note = t.why; t.ops > 0 {
			l.Matches = float64(t.matches) / float64(t.ops)
		}
		return g.add(l, database)
	}
	for _, q := range g.questions(all) {
		err := note(q.test, func() (*tally, error) {
			return get(ctx, g.s, ask{paths: q.paths, accept: acceptJSON, most: asked, longest: longest, connections: 1, count: true})
		})
		if err != nil {
			return err
		}
	}
	var instances []string
	for i, k := range all {
		var found []entry
		path := "/studies/" + k.uid + "/instances"
		if err := g.s.json(ctx, fmt.Sprintf("%s%s?limit=1&offset=%d", g.s.web, path, i*37%sample.PerStudy), &found); err != nil {
			return err
		}
		var series, instance string
		if len(found) == 1 {
			series, instance = text(found[0], dicom.TagSeriesInstanceUID), text(found[0], dicom.TagSOPInstanceUID)
		}
		if series == "" || instance == "" {
			return errors.New("an instance is not found in its study")
		}
		instances = append(instances, "/studies/"+k.uid+"/series/"+series+"/instances/"+instance)
	}
	err = note(getInstance, func() (*tally, error) {
		return get(ctx, g.s, ask{paths: instances, accept: acceptDICOM, most: asked, longest: longest, connections: 1})
	})
	if err != nil {
		return err
	}
	for _, x := range []struct {
		test string
		key  func(known) (dicom.Tag, string)
	}{
		{findStudy, func(k known) (dicom.Tag, string) { return dicom.TagStudyInstanceUID, k.uid }},
		{findPatient, func(k known) (dicom.Tag, string) { return dicom.TagPatientID, k.patient }},
	} {
		if err := note(x.test, func() (*tally, error) { return g.find(ctx, all, x.key) }); err != nil {
			return err
		}
	}
	return nil
}

// find asks by C-FIND at the level of studies.
func (g *grown) find(ctx context.Context, all []known, key func(known) (dicom.Tag, string)) (*tally, error) {
	syntax := dicom.ExplicitVRLittleEndian
	a, err := network.Dial(ctx, g.s.dicom, network.DialOptions{CallingAE: finder, CalledAE: g.s.aet,
		Contexts: []network.Proposal{{AbstractSyntax: network.StudyRootFindUID, TransferSyntaxes: []string{syntax.UID}}}})
	if err != nil {
		return nil, err
	}
	t := &tally{}
	until := time.Now().Add(longest)
	for i := 0; i < asked && time.Now().Before(until); i++ {
		by, value := key(all[i%len(all)])
		d := dicom.NewBuilder(syntax)
		d.String(dicom.TagQueryRetrieveLevel, "STUDY")
		for _, tag := range []dicom.Tag{dicom.TagStudyInstanceUID, dicom.TagPatientID, dicom.TagPatientName, dicom.TagStudyDate, dicom.TagModalitiesInStudy, dicom.TagNumberOfStudyRelatedInstances} {
			if tag == by {
				d.String(tag, value)
			} else {
				d.Empty(tag)
			}
		}
		identifier, err := d.Dataset()
		if err != nil {
			return nil, err
		}
		began, found := time.Now(), 0
		done, err := a.Find(ctx, &network.Query{SOPClassUID: network.StudyRootFindUID, TransferSyntaxUID: syntax.UID, Identifier: identifier.Bytes()}, func(network.Status, []byte) bool {
			found++
			return true
		})
		if err != nil {
			return nil, err
		}
		if !done.Status.Success() || found == 0 {
			t.fail(1, fmt.Sprintf("status %04X, %d found", done.Status.Code, found))
			continue
		}
		t.matches += found
		t.done(1, 0, time.Since(began))
	}
	return t, a.Release(ctx)
}

// disk adds up what lies in which folder.
func (g *grown) disk(ctx context.Context) error {
	sizes := map[string]int64{}
	data := filepath.Join(g.dir, "data")
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(data, path)
		where, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		where = strings.TrimSuffix(strings.TrimSuffix(where, "-wal"), "-shm")
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			sizes[where] += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		return err
	}
	if g.pg != nil {
		if sizes["PostgreSQL"], sizes["PostgreSQL, write-ahead log"], err = g.pg.sizes(ctx); err != nil {
			return err
		}
	}
	return g.report.add(measurement{Test: growSize, Contender: g.engine, Round: g.round, At: g.total, Count: g.total, Bytes: sizes})
}

// restart ends the node as an administrator does, and then as a power cut would, and starts it again each time.
func (g *grown) restart(ctx context.Context) error {
	for _, x := range []struct {
		test string
		end  func()
	}{
		{growStart, func() { g.s.stop() }},
		{growAgain, func() {
			g.s.http.CloseIdleConnections()
			_ = g.s.cmd.Process.Kill()
			<-g.s.done
		}},
	} {
		if x.test == growAgain { // there has to be something to be recovered
			if err := g.fill(ctx, g.total+4*sample.PerStudy); err != nil {
				return err
			}
		}
		began := time.Now()
		x.end()
		ended := time.Since(began)
		took, err := g.start(ctx)
		if err != nil {
			return err
		}
		l := measurement{Test: x.test, Contender: g.engine, Round: g.round, Count: 1, Seconds: took.Seconds(), CPU: processorTime(g.s.cmd.Process.Pid).Seconds(), Peak: peak(g.s.cmd.Process.Pid)}
		if x.test == growStart {
			l.Note = fmt.Sprintf("it ended in %.2f s", ended.Seconds())
		}
		if c, err := g.counts(ctx); err != nil || c.Received != g.total {
			return errors.Join(err, fmt.Errorf("%d instances are there, %d were sent", c.Received, g.total))
		}
		if err := g.add(l, 0); err != nil {
			return err
		}
	}
	return nil
}

// readMeasurements reads the lines of an earlier run.
func readMeasurements(name string) ([]measurement, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []measurement
	for d := json.NewDecoder(f); d.More(); {
		var m measurement
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("%s is no file of measurements: %w", name, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// sizesOf are the sizes that were measured of an engine, in order.
func sizesOf(all []measurement, engine string) []int {
	var out []int
	for _, m := range all {
		if m.Test == growSize && m.Contender == engine && !slices.Contains(out, m.At) {
			out = append(out, m.At)
		}
	}
	slices.Sort(out)
	return out
}
