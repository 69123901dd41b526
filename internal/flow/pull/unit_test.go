package pull

import (
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

func TestWindow(t *testing.T) {
	at := func(s string) time.Time {
		m, err := time.ParseInLocation("2006-01-02 15:04", s, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	// 2026-11-27 is a Friday.
	for _, c := range []struct{ hours, now, until, next string }{
		{"22:00-06:00", "2026-11-27 23:00", "2026-11-28 06:00", "2026-11-28 22:00"},
		{"22:00-06:00", "2026-11-27 05:59", "2026-11-27 06:00", "2026-11-27 22:00"},
		{"22:00-06:00", "2026-11-27 06:00", "", "2026-11-27 22:00"},
		{"22:00-06:00 mon-fri", "2026-11-28 03:00", "2026-11-28 06:00", "2026-11-30 22:00"},
		{"22:00-06:00 mon-fri", "2026-11-28 23:00", "", "2026-11-30 22:00"},
		{"08-12 sat,sun", "2026-11-27 23:00", "", "2026-11-28 08:00"},
		{"08-12 sat-mon", "2026-11-30 11:59", "2026-11-30 12:00", "2026-12-05 08:00"},
		{"0-24", "2026-11-27 23:59", "2026-11-28 00:00", "2026-11-28 00:00"},
	} {
		w, err := parseWindow(c.hours)
		if err != nil {
			t.Errorf("%s: %v", c.hours, err)
			continue
		}
		until := ""
		if u := w.open(at(c.now)); !u.IsZero() {
			until = u.Format("2006-01-02 15:04")
		}
		if next := w.next(at(c.now)).Format("2006-01-02 15:04"); until != c.until || next != c.next {
			t.Errorf("%s at %s: open until %q, next %s; want %q, %s", c.hours, c.now, until, next, c.until, c.next)
		}
	}
	for _, bad := range []string{"night", "22:00", "22:00-25:00", "22:60-23:00", "22:00-06:00 someday", "22:00-06:00 mon fri", "1-2 mon-"} {
		if _, err := parseWindow(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if w, _ := parseWindow(" "); w.open(at("2026-11-27 12:00")).IsZero() {
		t.Error("without hours it is never open")
	}
}

// What an archive answers is what was asked for, or it is passed over.
func TestMatches(t *testing.T) {
	f := found{study: "1.2.3", patient: "P1", accession: "A1", date: "20260131", description: "Screening left", modalities: []string{"MG", "SR"}}
	for _, q := range []question{{}, {Study: "1.2.3"}, {Accession: "A1"}, {Patient: "P1"}, {Patient: "P1", Issuer: "X"}, {From: "20260131", To: "20260131"}, {Modalities: []string{"US", "MG"}}, {Described: "screen*"},
		{Described: "*LEFT"}, {Described: "S?reening*"}, {Described: "*e*n*g*l*"}} {
		if !q.matches(&f) {
			t.Errorf("%+v does not match", q)
		}
	}
	for _, q := range []question{{Study: "1.2.4"}, {Accession: "A"}, {Accession: "A11"}, {Patient: "p1"}, {From: "20260201"}, {To: "20260130"}, {Modalities: []string{"US"}}, {Described: "screen"}, {Described: "?"}} {
		if q.matches(&f) {
			t.Errorf("%+v matches", q)
		}
	}
	empty := found{study: "1.2.3"}
	for _, q := range []question{{Accession: "A1"}, {Patient: "P1"}, {From: "20200101"}, {Modalities: []string{"MG"}}, {Described: "a*"}} {
		if q.matches(&empty) {
			t.Errorf("%+v matches what says nothing", q)
		}
	}
	if (&question{}).matches(&found{study: "Winterbourne"}) {
		t.Error("a study without a UID is taken")
	}
	if like("a"+strings.Repeat("*a", 20)+"b", strings.Repeat("a", 60)) {
		t.Error("no match is one")
	}
}

func TestContexts(t *testing.T) {
	for _, way := range []pull.Way{pull.Move, pull.Get} {
		offer, roles := contexts(way)
		if len(offer) > maxContexts || way == pull.Get && (len(offer) < 100 || len(roles) != len(offer)-2) {
			t.Errorf("%s: %d contexts, %d roles", way, len(offer), len(roles))
		}
	}
	for _, want := range []string{"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.5.1.4.1.1.66.4",
		"1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.128"} {
		found := false
		for _, c := range getClasses() {
			found = found || c == want
		}
		if !found {
			t.Errorf("%s is not asked for", want)
		}
	}
}
