package release

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func each(t *testing.T, test func(t *testing.T, d *db.DB, r *Record)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if _, err := subject.OpenRecord(t.Context(), d); err != nil { // who has withdrawn is asked there
			t.Fatal(err)
		}
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d, r)
	})
}

func write(t testing.TB, d *db.DB, do func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

// refusal is the failure of a transaction that has to fail.
func refusal(t testing.TB, d *db.DB, kind fault.Kind, do func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.Background(), do); !fault.Is(err, kind) {
		t.Errorf("%v, want %v", err, kind)
	}
}

// object is the nth object of a person, in the order that a manifest wants.
func object(person, n int) Entry {
	label := fmt.Sprintf("P%03d", person)
	e := Entry{Subject: subject.ID(person), Instance: catalogue.InstanceID(1000*person + n)}
	e.Ref.Pack[0], e.Ref.Offset = byte(person), int64(n)
	e.Entry = describe.Entry{DRS: fmt.Sprintf("%032x", 1000*person+n), Subject: label, Study: fmt.Sprintf("2.25.%d", person), Series: "2.25.7", Instance: fmt.Sprintf("2.25.%d%03d", person, n), Modality: "CT", Split: "train",
		SHA256: strings.Repeat(fmt.Sprintf("%02x", person), 32), Size: int64(100 + n), Format: "application/dicom", Path: fmt.Sprintf("images/%s/%d.dcm", label, n), Rows: 512, KVP: 120, StudyDescription: "Thorax"}
	return e
}

func dataset(t testing.TB, d *db.DB, r *Record, id string) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error {
		return r.AddDataset(tx, Dataset{ID: id, Collection: "north", About: []byte(`{"title":"North"}`), Actor: "operator"})
	})
}

// freezing adds so many objects of each person.
func freezing(t testing.TB, r *Record, people, objects int) *Freezing {
	t.Helper()
	f, err := r.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for p := 1; p <= people; p++ {
		for n := range objects {
			if err := f.Add(t.Context(), object(p, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// draft freezes a version.
func draft(t testing.TB, d *db.DB, r *Record, id, version, previous string, people, objects int) Release {
	t.Helper()
	f := freezing(t, r, people, objects)
	x := Release{Dataset: id, Version: version, Collection: "north", Facts: []byte(`{"people":1}`), Previous: previous, Actor: "operator", Cutoff: time.Now()}
	write(t, d, func(tx *db.Tx) error { return f.End(tx, &x) })
	return x
}

func published(t testing.TB, d *db.DB, r *Record, x Release) Release {
	t.Helper()
	write(t, d, func(tx *db.Tx) error { return r.Publish(tx, &x) })
	return x
}

func get(t testing.TB, r *Record, id, version string) Release {
	t.Helper()
	x, err := r.Get(t.Context(), id, version)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// entries are those of a release, and the root that they have together.
func entries(t testing.TB, r *Record, id int64) (all []Entry, root string) {
	t.Helper()
	var tree describe.Tree
	for e, err := range r.Entries(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
		if err := tree.Add(e.Entry); err != nil {
			t.Fatal(err)
		}
	}
	return all, tree.Root()
}

func TestFreezeAndPublish(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		dataset(t, d, r, "set")
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error { return r.AddDataset(tx, Dataset{ID: "set", Collection: "other"}) })
		if _, err := r.Latest(t.Context(), "set"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		// More than a statement takes, and more than a page reads.
		first := draft(t, d, r, "set", "1.0.0", "", 3, 401)
		all, root := entries(t, r, first.ID)
		if len(all) != 1203 || root != first.Root || first.Entries != 1203 || first.Bytes != 3*(401*100+401*400/2) {
			t.Errorf("%d entries, root %s of %s, %d bytes", len(all), root, first.Root, first.Bytes)
		}
		for i, e := range all {
			want := object(int(e.Subject), i%401)
			want.Release, want.N = first.ID, int64(i)
			if e != want {
				t.Fatalf("%+v\n%+v", e, want)
			}
		}
		if got := get(t, r, "set", "1.0.0"); got.State != Draft || got.State.Served() || got.Root != first.Root || string(got.Facts) != `{"people":1}` || !got.Published.IsZero() || got.DOI != "" {
			t.Errorf("%+v", got)
		}
		if _, err := r.Latest(t.Context(), "set"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a draft is the latest: %v", err)
		}
		// A version is frozen once, and what was written for another of its name goes.
		f := freezing(t, r, 1, 1)
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error {
			return f.End(tx, &Release{Dataset: "set", Version: "1.0.0", Collection: "north"})
		})
		if err := f.Abandon(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, _ := entries(t, r, f.id); len(left) > 0 {
			t.Error("what was abandoned is there")
		}
		published(t, d, r, first)
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error { x := first; return r.Publish(tx, &x) })
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error { return r.Discard(tx, first) })
		second := published(t, d, r, draft(t, d, r, "set", "1.1.0", "1.0.0", 2, 2))
		if got := get(t, r, "set", "1.0.0"); got.State != Superseded || got.Next != "1.1.0" || got.State.Served() {
			t.Errorf("%+v", got)
		}
		if got, err := r.Latest(t.Context(), "set"); err != nil || got.ID != second.ID || got.Previous != "1.0.0" {
			t.Errorf("%+v, %v", got, err)
		}
		if all, err := r.Releases(t.Context(), "set"); err != nil || len(all) != 2 || all[0].Version != "1.1.0" {
			t.Errorf("%v, %v", all, err)
		}
		// The same object is found in every version, the latest first.
		if by, err := r.ByDRS(t.Context(), object(1, 0).DRS); err != nil || len(by) != 2 || by[0].Release < by[1].Release {
			t.Errorf("%v, %v", by, err)
		}
		third := draft(t, d, r, "set", "2.0.0", "1.1.0", 1, 1)
		write(t, d, func(tx *db.Tx) error { return r.Discard(tx, third) })
		if left, _ := entries(t, r, third.ID); len(left) > 0 {
			t.Error("what was discarded is there")
		}
		if _, err := r.Get(t.Context(), "set", "2.0.0"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		again := draft(t, d, r, "set", "2.0.0", "1.1.0", 1, 1) // a version that nobody was given can be made anew
		write(t, d, func(tx *db.Tx) error { return r.SetDOI(tx, again, "10.1234/abc", false) })
		if got := get(t, r, "set", "2.0.0"); got.DOI != "10.1234/abc" || got.Registered {
			t.Errorf("%+v", got)
		}
		write(t, d, func(tx *db.Tx) error { return r.SetDOI(tx, again, "10.1234/abc", true) })
		if got := get(t, r, "set", "2.0.0"); !got.Registered || got.Root != again.Root {
			t.Errorf("%+v", got)
		}
	})
}

// What broke off is swept, and nothing else.
func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		dataset(t, d, r, "set")
		kept, broken := draft(t, d, r, "set", "1.0.0", "", 1, 2), freezing(t, r, 2, 2)
		f := freezing(t, r, 1, 1)
		if err := f.Abandon(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, _ := entries(t, r, broken.id); len(left) != 4 {
			t.Errorf("abandoning one takes another's: %d left", len(left))
		}
		began := time.Now()
		write(t, d, func(tx *db.Tx) error { return r.Sweep(tx, began.Add(-time.Hour)) })
		if left, _ := entries(t, r, broken.id); len(left) != 4 {
			t.Errorf("what may be at work yet is swept: %d left", len(left))
		}
		write(t, d, func(tx *db.Tx) error { return r.Sweep(tx, began.Add(time.Second)) })
		if left, _ := entries(t, r, broken.id); len(left) != 0 {
			t.Errorf("%d left", len(left))
		}
		if left, _ := entries(t, r, kept.ID); len(left) != 2 {
			t.Errorf("of a draft, %d are left", len(left))
		}
		// Abandoning what has become a release takes nothing.
		ended := freezing(t, r, 1, 1)
		x := Release{Dataset: "set", Version: "1.1.0", Collection: "north"}
		write(t, d, func(tx *db.Tx) error { return ended.End(tx, &x) })
		if err := ended.Abandon(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, _ := entries(t, r, x.ID); len(left) != 1 {
			t.Error("a release was abandoned")
		}
	})
}

func TestWithdraw(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		dataset(t, d, r, "set")
		first := published(t, d, r, draft(t, d, r, "set", "1.0.0", "", 3, 2))
		second := published(t, d, r, draft(t, d, r, "set", "1.1.0", "1.0.0", 3, 2))
		waiting := draft(t, d, r, "set", "1.2.0", "1.1.0", 3, 1)
		without := draft(t, d, r, "set", "1.3.0", "1.1.0", 1, 1)
		running := freezing(t, r, 2, 1)
		var touched []Release
		write(t, d, func(tx *db.Tx) (err error) { touched, err = r.Withdraw(tx, 2); return err })
		states := map[string]State{}
		for _, x := range touched {
			states[x.Version] = x.State
		}
		if len(states) != 3 || states["1.0.0"] != Superseded || states["1.1.0"] != Amended || states["1.2.0"] != Draft {
			t.Errorf("%v", states)
		}
		for _, x := range []Release{first, second} {
			got := get(t, r, "set", x.Version)
			now, root := entries(t, r, x.ID)
			if root != x.Root || got.Root != x.Root || got.Withdrawn != 2 || got.Entries != 6 {
				t.Errorf("%s: the root is %s, it was %s; %d withdrawn", x.Version, root, x.Root, got.Withdrawn)
			}
			for _, e := range now {
				if gone := e.Subject == 2; e.Entry.Withdrawn != gone || e.Withdrawn.IsZero() == gone || gone && (e.SHA256 != "" || e.Path != "" || e.Entry.Subject != "" || e.StudyDescription != "") {
					t.Errorf("%+v", e)
				}
			}
		}
		if got, err := r.Latest(t.Context(), "set"); err != nil || got.State != Amended || !got.State.Served() {
			t.Errorf("%+v, %v", got, err)
		}
		var left int
		if err := d.QueryRow(t.Context(), `SELECT COUNT(*) FROM release_entry WHERE subject = 2 AND body <> ''`).Scan(&left); err != nil || left != 0 {
			t.Errorf("of who has withdrawn, %d entries still say something: %v", left, err)
		}
		// Whoever withdraws while a version is frozen, or waits, keeps it from becoming one.
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error {
			return running.End(tx, &Release{Dataset: "set", Version: "1.4.0", Collection: "north"})
		})
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error { x := waiting; return r.Publish(tx, &x) })
		late := freezing(t, r, 3, 1) // its entries were written after the withdrawal, which could not see them
		write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO subject (id, collection, link, pseudonym, key_id, lexicon_version, withdrawn, created) VALUES (2, 'north', ?, 'P002', ?, 0, 1, 1)`, []byte{1}, []byte{1})
			return err
		})
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error {
			return late.End(tx, &Release{Dataset: "set", Version: "1.5.0", Collection: "north"})
		})
		published(t, d, r, without)
		write(t, d, func(tx *db.Tx) (err error) { touched, err = r.Withdraw(tx, 2); return err })
		if len(touched) != 0 {
			t.Errorf("withdrawn twice: %v", touched)
		}
	})
}

func TestBury(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		dataset(t, d, r, "set")
		waiting := draft(t, d, r, "set", "1.0.0", "", 2, 2)
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error { return r.Bury(tx, waiting, []byte(`{"code":"error"}`)) })
		if got := get(t, r, "set", "1.0.0"); got.State != Draft {
			t.Errorf("a draft was taken back: %+v", got)
		}
		if now, _ := entries(t, r, waiting.ID); now[0].Entry.Withdrawn {
			t.Error("taking a draft back erased what it says, and it is a draft still")
		}
		x := published(t, d, r, draft(t, d, r, "set", "1.1.0", "1.0.0", 2, 2))
		write(t, d, func(tx *db.Tx) error { return r.Bury(tx, x, []byte(`{"code":"error"}`)) })
		got := get(t, r, "set", "1.1.0")
		if got.State != Tombstoned || got.State.Served() || got.Withdrawn != 4 || !bytes.Equal(got.Tombstone, []byte(`{"code":"error"}`)) {
			t.Errorf("%+v", got)
		}
		now, root := entries(t, r, x.ID)
		if root != x.Root {
			t.Error("the root has changed")
		}
		for _, e := range now {
			if !e.Entry.Withdrawn || e.SHA256 != "" {
				t.Errorf("%+v", e)
			}
		}
		refusal(t, d, fault.Conflict, func(tx *db.Tx) error { return r.Bury(tx, x, []byte(`{"code":"legal"}`)) })
		if got := get(t, r, "set", "1.1.0"); string(got.Tombstone) != `{"code":"error"}` {
			t.Error("why it was taken back has changed")
		}
		if _, err := r.Latest(t.Context(), "set"); !fault.Is(err, fault.NotFound) {
			t.Errorf("what was taken back is the latest: %v", err)
		}
	})
}

// Who was put into a part stays in it, whatever is asked for later.
func TestSplitsNeverMove(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			set := fmt.Sprintf("set-%d", run)
			want := map[subject.ID]int64{}
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				who, part := subject.ID(rapid.Int64Range(1, 6).Draw(rt, "who")), rapid.Int64Range(1, 3).Draw(rt, "part")
				if want[who] == 0 {
					want[who] = part
				}
				write(t, d, func(tx *db.Tx) error {
					if err := r.SetSplit(tx, set, who, part); err != nil {
						return err
					}
					return r.SetSplit(tx, "another", who, 3)
				})
			}
			var got map[subject.ID]int64
			if err := d.Snapshot(t.Context(), func(tx *db.Tx) (err error) { got, err = r.Splits(tx, set); return err }); err != nil {
				rt.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("%v, want %v", got, want)
			}
		})
	})
}

// Receipts of the same add up; those of others stand beside.
func TestReceipts(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		give := func(entitlement, release int64, who subject.ID, objects, size int64) {
			write(t, d, func(tx *db.Tx) error {
				return r.Give(tx, Receipt{Entitlement: entitlement, Release: release, Subject: who, Account: "imogen", Objects: objects, Bytes: size})
			})
		}
		give(1, 10, 5, 1, 100)
		give(1, 10, 5, 3, 400)
		give(1, 11, 5, 1, 7)
		give(2, 10, 5, 1, 9)
		give(1, 10, 6, 50, 1)
		all, err := r.Given(t.Context(), 5)
		if err != nil || len(all) != 3 {
			t.Fatalf("%v, %v", all, err)
		}
		for i, want := range []Receipt{{Entitlement: 1, Release: 10, Objects: 4, Bytes: 500}, {Entitlement: 1, Release: 11, Objects: 1, Bytes: 7}, {Entitlement: 2, Release: 10, Objects: 1, Bytes: 9}} {
			got := all[i]
			if got.First.IsZero() || got.Latest.Before(got.First) || got.Account != "imogen" || got.Subject != 5 {
				t.Errorf("%+v", got)
			}
			if got.Entitlement != want.Entitlement || got.Release != want.Release || got.Objects != want.Objects || got.Bytes != want.Bytes {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	})
}

// An entry says after it was stored what it said before; one whose columns are others, or whose name is another's, is not believed.
func TestEntryThereAndBack(t *testing.T) {
	e := object(1, 1)
	s, err := encode(&e.Entry)
	if err != nil {
		t.Fatal(err)
	}
	var back describe.Entry
	if err := decode(s, &back); err != nil || back != e.Entry {
		t.Errorf("%+v, %v", back, err)
	}
	if err := decode(`{"nobody_knows": 1}`, &back); !fault.Is(err, fault.Corrupt) {
		t.Error(err)
	}
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		dataset(t, d, r, "set")
		x := draft(t, d, r, "set", "1.0.0", "", 1, 1)
		write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE release_entry SET drs = 'another' WHERE release_id = ?`, x.ID)
			return err
		})
		for _, err := range r.Entries(t.Context(), x.ID) {
			if !fault.Is(err, fault.Corrupt) {
				t.Error(err)
			}
		}
	})
}
