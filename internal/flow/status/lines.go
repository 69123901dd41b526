package status

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/flow/backup"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// among is how far back in the audit log a verification is looked for.
const among = 200_000

// asking is one report being made.
type asking struct {
	*Desk
	r *Report
	f Facts
}

// one is a part with a single line.
func one(part, name string, s State, says, do string) []Line {
	return []Line{{Part: part, Name: name, State: s, Says: says, Do: do}}
}

const guide = "the guide for operators"

func (a *asking) database(ctx context.Context) []Line {
	begun := time.Now()
	n, err := a.DB.Size(ctx)
	took := time.Since(begun)
	engine := map[db.Engine]string{db.SQLite: "SQLite", db.PostgreSQL: "PostgreSQL"}[a.DB.Engine()]
	if err != nil {
		return one("database", "Database", Bad, engine+" does not answer.", "Look whether it runs and whether its disk is full; the node's log says more.")
	}
	a.r.Storage.Database = n
	l := one("database", "Database", Well, fmt.Sprintf("%s answers in %s; it holds %s.", engine, milliseconds(took), size(n)), "")
	if took > time.Second {
		l[0].State, l[0].Do = Watch, "It answers slowly: look at the load of the machine and of its disk."
	}
	return l
}

func (a *asking) packs(ctx context.Context) []Line {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	all, err := a.Packs.Packs(ctx)
	if err != nil {
		return one("packs", "Images", Bad, "The packs of images cannot be listed.", "Look whether the data folder is there and can be read, and whether the bucket answers.")
	}
	for _, p := range all {
		if p.Where&pack.Local != 0 {
			a.r.Storage.Packs++
			a.r.Storage.PackBytes += p.Size
		}
		if p.Where&pack.InBucket != 0 {
			a.r.Storage.Remote++
		}
	}
	sealed := 0
	for _, p := range all {
		if p.Sealed && p.Where&pack.InBucket == 0 {
			sealed++
		}
	}
	says := "Nothing is kept yet."
	if len(all) > 0 {
		says = fmt.Sprintf("%s, %s on this machine.", plural(int64(len(all)), "pack", "packs"), size(a.r.Storage.PackBytes))
	}
	lines := one("packs", "Images", Well, says, "")
	if a.f.Bucket {
		m := Line{Part: "mirror", Name: "Bucket", State: Well, Says: fmt.Sprintf("It answers; %s there.", plural(int64(a.r.Storage.Remote), "pack is", "packs are"))}
		if sealed > 0 {
			m.State, m.Says = Watch, m.Says+fmt.Sprintf(" %s not there yet.", plural(int64(sealed), "finished pack is", "finished packs are"))
			m.Do = "They are sent by and by. If the number grows, the bucket refuses them: the node's log says why."
		}
		lines = append(lines, m)
	}
	return lines
}

func (a *asking) mirror(context.Context) []Line {
	if a.f.Bucket || a.f.Mirror {
		return nil // told with the packs, and below
	}
	return one("mirror", "Bucket", Watch, "There is none: images are on this machine's disk alone.", "Name one with --store, or a mirror with --mirror: see "+guide+".")
}

// slowMirror is how long a sealed pack may wait for its copy.
const slowMirror = 3 * time.Hour

func (a *asking) second(context.Context) []Line {
	const name = "Mirror"
	if !a.f.Mirror {
		return nil
	}
	l, ok, err := a.Packs.MirrorLag()
	switch {
	case err != nil:
		return one("second", name, Bad, "How far it is behind cannot be told.", "Look whether the data folder is there and can be read.")
	case !ok:
		return one("second", name, Watch, "It has not answered yet.", "If that stays, the node's log says why.")
	}
	says := fmt.Sprintf("%s there.", plural(int64(l.Packs), "pack is", "packs are"))
	if l.Behind > 0 {
		says += fmt.Sprintf(" %s (%s) not there yet.", plural(int64(l.Behind), "finished pack is", "finished packs are"), size(l.Bytes))
	}
	line := Line{Part: "second", Name: name, State: Well, Says: says}
	switch {
	case !l.Failing.IsZero():
		line.State, line.Says, line.Do = Watch, says+" Copying has failed since "+moment(l.Failing)+".", "The node's log says why. It is tried again each minute."
	case !l.Since.IsZero() && a.clock().Sub(l.Since) > slowMirror:
		line.State, line.Do = Watch, "Copying takes long: look at the line to the mirror."
	}
	if n := a.Packs.FellBack(); n > 0 {
		line.State = Bad
		line.Says += fmt.Sprintf(" %s read from it, because the first copy is missing or damaged.", plural(n, "object or pack was", "objects or packs were"))
		line.Do = "Run: vitrine verify --mirror URL --data DIR, stop the node, put the mirror's copies of the packs that it names into DIR/packs, and start again."
	}
	return []Line{line}
}

func (a *asking) disk(context.Context) []Line {
	free, total, err := a.Room()
	if err != nil {
		return one("disk", "Disk", Watch, "Its free space is not known here.", "Watch it with the means of the system.")
	}
	a.r.Storage.Free, a.r.Storage.Disk = free, total
	l := one("disk", "Disk", Well, fmt.Sprintf("%s of %s are free.", size(free), size(total)), "")
	const gigabyte = 1_000_000_000
	switch {
	case free < gigabyte || free < total/50:
		l[0].State, l[0].Do = Bad, "Deposits will fail when it is full. Make room, or move the data to a larger disk."
	case free < 5*gigabyte || free < total/10:
		l[0].State, l[0].Do = Watch, "It will be full before long: plan for a larger one."
	}
	return l
}

func (a *asking) keys(ctx context.Context) []Line {
	if _, err := a.Ring.Collection(ctx, string(collection.Default)); err != nil {
		return one("keys", "Keys", Bad, "The ring of keys does not open: no image can be read.", "Look whether its database is there and whether this is the master key that it was made with.")
	}
	if a.f.KeyInside {
		return one("keys", "Keys", Watch, "The ring opens. The master key lies inside the data folder: whoever has the folder can read everything.", "A demonstration may do so. For real images, keep the key elsewhere and give it with --key.")
	}
	return one("keys", "Keys", Well, "The ring opens with the master key, which lies apart from the data.", "")
}

// forwarding says whether what is to go to other archives gets there; where there is no rule, nothing.
func (a *asking) forwarding(ctx context.Context) []Line {
	if a.Forwarding == nil {
		return nil
	}
	all, err := a.Forwarding.Rules(ctx)
	if err != nil {
		return one("forwarding", "Forwarding", Bad, "It cannot be looked at.", "The database has to answer first.")
	}
	if len(all) == 0 {
		return nil
	}
	var sent, waiting int64
	var left []string
	for _, r := range all {
		sent, waiting = sent+r.Sent, waiting+r.Waiting
		if r.Failures > 0 {
			left = append(left, fmt.Sprintf("%s to %s (%s, %s)", r.Collection, r.Peer, strings.ReplaceAll(r.Reason, "-", " "), plural(r.Failures, "time", "times")))
		}
	}
	says := fmt.Sprintf("%s, %s sent, %s waiting.", plural(int64(len(all)), "rule", "rules"), plural(sent, "instance", "instances"), plural(waiting, "study", "studies"))
	gone, more, err := a.Forwarding.Gone(ctx, 1000)
	if err != nil {
		return one("forwarding", "Forwarding", Bad, "It cannot be looked at.", "The database has to answer first.")
	}
	if n := 0; len(gone) > 0 {
		for _, g := range gone {
			n += len(g.Instances)
		}
		many := plural(int64(n), "copy", "copies")
		if more {
			many = "more than " + many
		}
		left = append(left, many+" of what is out of sight here by now in other archives, which nobody has told yet")
		return one("forwarding", "Forwarding", Watch, says+" To be looked at: "+strings.Join(left, "; ")+".",
			"`vitrine peer forward withdrawn` lists what whoever keeps those archives has to be asked to remove, and with --told notes that they were.")
	}
	if len(left) > 0 {
		return one("forwarding", "Forwarding", Watch, says+" Not everything gets there: "+strings.Join(left, "; ")+".",
			"It is tried again for as long as it takes. Look whether the application runs, at its registered address, and takes what it is sent.")
	}
	return one("forwarding", "Forwarding", Well, says, "")
}

// slowJob is how late a job may be before somebody should look.
const slowJob = 10 * time.Minute

func (a *asking) jobs(ctx context.Context) []Line {
	all, err := a.Jobs.Overview(ctx)
	if err != nil {
		return one("jobs", "Jobs", Bad, "They cannot be looked at.", "The database has to answer first.")
	}
	var waiting, running int64
	var late time.Time
	var gave []string
	for _, k := range all {
		waiting, running = waiting+k.Waiting, running+k.Running
		if !k.Due.IsZero() && (late.IsZero() || k.Due.Before(late)) {
			late = k.Due
		}
		if k.Failed > 0 {
			gave = append(gave, fmt.Sprintf("%d of %q, the first on %s", k.Failed, k.Name, moment(k.GaveUp)))
		}
	}
	says := fmt.Sprintf("%d waiting, %d running, none given up.", waiting, running)
	switch {
	case len(gave) > 0:
		return one("jobs", "Jobs", Bad, fmt.Sprintf("%d waiting, %d running. Given up: %s.", waiting, running, strings.Join(gave, "; ")),
			"They failed each time they were tried. The node's log says why; what caused them has to be asked for again once that is mended.")
	case !late.IsZero() && a.clock().Sub(late) > slowJob:
		return one("jobs", "Jobs", Watch, says+" One could have been done since "+moment(late)+".", "Too much is asked for at once, or the machine is too slow.")
	}
	return one("jobs", "Jobs", Well, says, "")
}

func (a *asking) intake(ctx context.Context) []Line {
	all, err := a.Collections.List(ctx)
	if err != nil {
		return one("intake", "Intake", Bad, "It cannot be counted.", "The database has to answer first.")
	}
	var received, pending, held int64
	for _, c := range all {
		n, err := a.Catalogue.Intake(ctx, c.ID)
		if err != nil {
			return one("intake", "Intake", Bad, "It cannot be counted.", "The database has to answer first.")
		}
		received, pending, held = received+n.Received, pending+n.Pending, held+n.Held
	}
	from := a.clock().UTC().Truncate(time.Hour).Add(-23 * time.Hour)
	by, err := a.Catalogue.ReceivedSince(ctx, from)
	if err != nil {
		return one("intake", "Intake", Bad, "It cannot be counted.", "The database has to answer first.")
	}
	for h := range 24 {
		at := from.Add(time.Duration(h) * time.Hour)
		a.r.Hours = append(a.r.Hours, Hour{at, by[at.Unix()/3600]})
	}
	for _, n := range by {
		a.r.Came += n
	}
	says := fmt.Sprintf("%s received in all, %s in the last day; %s on their way.", number(received), number(a.r.Came), number(pending))
	if held > 0 {
		return []Line{{Part: "intake", Name: "Intake", State: Watch, Says: says + " " + plural(held, "is held and waits", "are held and wait") + " for a steward.", Do: "Decide on what is held.", Where: "/held"}}
	}
	return one("intake", "Intake", Well, says, "")
}

// slowReading is how long what came may go unread before somebody should look.
const slowReading = 2 * time.Hour

// reading is how far the pixels of what came have been read.
func (a *asking) reading(ctx context.Context) []Line {
	open, waiting, since, err := a.Catalogue.ToRead(ctx)
	if err != nil {
		return one("reading", "Reading of pixels", Bad, "What is unread cannot be counted.", "The database has to answer first.")
	}
	n := open + waiting
	switch {
	case !a.f.Reads && n > 0:
		return []Line{{Part: "reading", Name: "Reading of pixels", State: Watch, Says: "This node was started without what reads pixels; " + plural(n, "image was to be read, and is", "images were to be read, and are") + " held.",
			Do: "Start it with vitrine serve as before: it reads them then, and answers for what shows nothing. Or a steward decides on each.", Where: "/held?reason=pixels-unread"}}
	case !a.f.Reads:
		return one("reading", "Reading of pixels", Watch, "This node reads no pixels: kinds of images that often show text wait for a steward, and nobody looks for faces.", "Start it with vitrine serve to have them read.")
	case n > 0 && a.clock().Sub(since) > slowReading:
		return one("reading", "Reading of pixels", Watch, plural(n, "image is", "images are")+" to be read; the first came on "+moment(since)+".",
			"While senders send, reading gives way. If nothing comes and the number stays, the node's log says why.")
	case n > 0:
		return one("reading", "Reading of pixels", Well, plural(n, "image is", "images are")+" to be read."+a.by(), "")
	}
	return one("reading", "Reading of pixels", Well, "Everything that came has been read."+a.by(), "")
}

// by says what looks for text.
func (a *asking) by() string {
	if a.f.Readers == "" {
		return ""
	}
	return " What looks for text: " + a.f.Readers + "."
}

// unsigned is how long the end of the audit log may go unsigned: it is signed every hour.
const unsigned = 2 * time.Hour

func (a *asking) log(ctx context.Context) []Line {
	n, err := a.Audit.Size(ctx)
	if err != nil {
		return one("audit", "Audit log", Bad, "It does not answer; nothing can be done that has to be logged.", "The database has to answer first.")
	}
	s, ok, err := a.Audit.LastSigned(ctx)
	l := Line{Part: "audit", Name: "Audit log", State: Well, Where: "/audit"}
	switch {
	case err != nil:
		l.State, l.Says = Bad, "Its checkpoints cannot be read."
	case !ok:
		l.State, l.Says, l.Do = Watch, plural(n, "entry", "entries")+", none of them signed yet.", "It is signed when the node starts and every hour. The node's log says what is in the way."
	default:
		l.Says = fmt.Sprintf("%s; signed on %s, %s since.", plural(n, "entry", "entries"), moment(s.At), plural(n-s.Size, "entry", "entries"))
		if n > s.Size && a.clock().Sub(s.At) > unsigned {
			l.State, l.Do = Watch, "It should be signed every hour. The node's log says what is in the way."
		}
	}
	return []Line{l}
}

// verifyEvery is how often everything should be re-hashed.
const verifyEvery = 31 * 24 * time.Hour

func (a *asking) verification(ctx context.Context) []Line {
	g, ok, err := a.Audit.Latest(ctx, policy.Verify.String(), among)
	switch {
	case err != nil:
		return one("verify", "Verification", Bad, "When everything was last re-hashed cannot be looked up.", "The database has to answer first.")
	case !ok:
		return one("verify", "Verification", Watch, "No verification of everything that is stored is in the latest entries of the audit log.", "Run: vitrine verify --data DIR (it works while the node runs).")
	case g.Outcome != "done":
		return one("verify", "Verification", Bad, "The last one, on "+moment(g.At)+", found "+g.Outcome+".", "Run: vitrine verify --data DIR and read what it names: something stored is not what was stored.")
	case a.clock().Sub(g.At) > verifyEvery:
		return one("verify", "Verification", Watch, "The last one was on "+moment(g.At)+", and found everything as it was stored.", "Run: vitrine verify --data DIR once a month.")
	}
	return one("verify", "Verification", Well, "On "+moment(g.At)+" everything was as it was stored.", "")
}

// backUpEvery is how old the last backup may be, and drillEvery the last proof that one can be restored.
const (
	backUpEvery = 2 * 24 * time.Hour
	drillEvery  = 92 * 24 * time.Hour
)

func (a *asking) backups(ctx context.Context) []Line {
	const name = "Backups"
	const how = "Run: vitrine backup make --data DIR --to PLACE --keys PLACE, from a timer, once a day: see " + guide + "."
	g, ok, err := a.Audit.Latest(ctx, backup.Action, among)
	switch {
	case err != nil:
		return one("backups", name, Bad, "When the last one was made cannot be looked up.", "The database has to answer first.")
	case !ok:
		return one("backups", name, Watch, "No backup is in the latest entries of the audit log; those that the system makes cannot be seen here.", how)
	case g.Outcome != "done":
		return one("backups", name, Bad, "The last one, on "+moment(g.At)+": "+g.Outcome+".", "Run: vitrine verify --data DIR and read what it names.")
	case a.clock().Sub(g.At) > backUpEvery:
		return one("backups", name, Watch, "The last one was made on "+moment(g.At)+".", how)
	}
	return one("backups", name, Well, "The last one was made on "+moment(g.At)+".", "")
}

func (a *asking) drills(ctx context.Context) []Line {
	const name = "Restore drill"
	const how = "Run: vitrine backup drill --data DIR --to PLACE --keys PLACE, once a month."
	g, ok, err := a.Audit.Latest(ctx, backup.DrillAction, among)
	switch {
	case err != nil:
		return one("drill", name, Bad, "When the last one was cannot be looked up.", "The database has to answer first.")
	case !ok:
		return one("drill", name, Watch, "That a backup can be restored has not been proven.", how)
	case g.Outcome != "done":
		return one("drill", name, Bad, "The last one, on "+moment(g.At)+", found "+g.Outcome+": that backup is not what it should be.", "Make another backup, into an empty place if need be, and have it proven.")
	case a.clock().Sub(g.At) > drillEvery:
		return one("drill", name, Watch, "The last one was on "+moment(g.At)+", and found everything as it was stored.", how)
	}
	return one("drill", name, Well, "On "+moment(g.At)+" a backup was restored, and everything was as it was stored.", "")
}

// renew is how long before its end a certificate should be renewed.
const renew = 14 * 24 * time.Hour

func (a *asking) certificate(context.Context) []Line {
	const name = "Certificate"
	end := a.f.Certificate
	left := end.Sub(a.clock())
	switch {
	case end.IsZero() && a.f.Exposed:
		return one("certificate", name, Bad, "The node is open to other machines without TLS: what goes over it can be read on the way.", "Give --tls-cert and --tls-key, or listen on 127.0.0.1 behind what speaks TLS.")
	case end.IsZero():
		return one("certificate", name, Well, "None here: the node is reached from this machine alone, or through a proxy on it.", "")
	case left <= 0:
		return one("certificate", name, Bad, "It ended on "+moment(end)+": browsers and senders refuse the node.", "Renew it, and start the node again.")
	case left < renew:
		return one("certificate", name, Watch, "It ends on "+moment(end)+".", "Renew it, and start the node again.")
	}
	return one("certificate", name, Well, "It is good until "+moment(end)+".", "")
}

func (a *asking) listeners(context.Context) []Line {
	say := func(name, address string) string {
		if address == "" {
			return name + " is off"
		}
		return name + " at " + address
	}
	says := say("HTTP", a.f.HTTP) + "; " + say("DICOM", a.f.DICOM) + "; " + say("SFTP", a.f.SFTP) + "."
	if a.f.PublicURL != "" {
		says += " People come by " + a.f.PublicURL + "."
	}
	return one("listeners", "Listeners", Well, says, "")
}

// answerWithin is how long a question may wait.
const answerWithin = 3 * 24 * time.Hour

func (a *asking) questions(ctx context.Context) []Line {
	if a.Questions == nil {
		return nil
	}
	n, since, err := a.Questions(ctx)
	l := Line{Part: "questions", Name: "Questions", State: Well, Where: "/questions"}
	switch {
	case err != nil:
		l.State, l.Says = Bad, "They cannot be counted."
	case n == 0:
		l.Says = "None waits for an answer."
	default:
		l.Says = fmt.Sprintf("%s for an answer, the oldest since %s.", plural(n, "waits", "wait"), moment(since))
		if a.clock().Sub(since) > answerWithin {
			l.State, l.Do = Watch, "The stewards of the collections, or the node's administrators, should answer."
		}
	}
	return []Line{l}
}

func moment(t time.Time) string { return t.UTC().Format("Mon 2006-01-02 15:04") }

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int64) string {
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 5 {
		v, unit = v/1000, unit+1
	}
	digits := 0
	if unit > 0 && v < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + [...]string{"bytes", "kB", "MB", "GB", "TB", "PB"}[unit]
}
