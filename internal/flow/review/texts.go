package review

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// A steward who wants to be sure of what a collection shows need not open its images: all texts that stand in them are few, once each is listed once. They are gathered from
// the records themselves, not from the catalogue, which has some of them; and kept in memory alone.

// Text is one that stands in objects of a collection.
type Text struct {
	Element string               `json:"element"` // path, without the numbers of items
	Name    string               `json:"name,omitempty"`
	Value   string               `json:"value"`
	Cut     bool                 `json:"cut,omitempty"` // there is more of it
	Plain   bool                 `json:"plain"`         // nothing but words of the vocabulary and of makers
	Objects int64                `json:"objects"`
	First   catalogue.InstanceID `json:"-"`
	study   catalogue.StudyUID
}

// Study is that of the first object that has it.
func (t *Text) Study() catalogue.StudyUID { return t.study }

// Survey is every text of a collection's objects that are admitted or released, each once: what the vocabulary does not know first, then by element, the rare ones first.
type Survey struct {
	Running bool      `json:"running"`
	Failed  bool      `json:"failed,omitempty"`
	Begun   time.Time `json:"begun,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Objects int64     `json:"objects"` // looked through by now
	Texts   []Text    `json:"texts"`
	Full    bool      `json:"full,omitempty"` // there are more than are listed
}

const (
	maxTexts  = 20_000 // of one survey
	maxShown  = 240    // characters of a text
	maxKept   = 8      // surveys in memory
	surveying = 30 * time.Minute
)

// Texts is the last survey of a collection; it begins one if there is none, or with again a new one. Every look is in the audit log.
func (f *Flow) Texts(ctx context.Context, who Caller, c collection.ID, again bool) (Survey, error) {
	if err := allowed(who, policy.DecideHeld, c, policy.Held); err != nil {
		return Survey{}, err
	}
	if _, err := f.Collections.Get(ctx, c); err != nil {
		return Survey{}, err
	}
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "look through texts", Object: "collection " + string(c), Collection: string(c), Outcome: "done"})
	})
	if err != nil {
		return Survey{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.surveys[c]
	if s != nil && (s.Running || !again) {
		return *s, nil
	}
	running := 0
	var oldest collection.ID
	for id, o := range f.surveys {
		if o.Running {
			running++
		} else if oldest == "" || o.Ended.Before(f.surveys[oldest].Ended) {
			oldest = id
		}
	}
	if running > 0 {
		return Survey{}, fault.New(fault.Unavailable, "look through texts", "collection "+string(c), "those of another collection are being gathered; try again when they are")
	}
	if len(f.surveys) >= maxKept {
		delete(f.surveys, oldest)
	}
	s = &Survey{Running: true, Begun: time.Now().UTC()}
	f.surveys[c] = s
	f.work.Go(func() { f.survey(c, s) })
	return *s, nil
}

// survey gathers until it is done, its time is over, or the node ends.
func (f *Flow) survey(c collection.ID, s *Survey) {
	ctx, cancel := context.WithTimeout(f.life, surveying)
	defer cancel()
	texts, full, err := f.gather(ctx, c, func(n int64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		s.Objects += n
	})
	if err != nil && ctx.Err() == nil {
		f.Log.Error("the texts of a collection could not be gathered", "collection", c, "error", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Running, s.Failed, s.Ended, s.Full = false, err != nil, time.Now().UTC(), full
	if err == nil {
		s.Texts = texts
	}
}

func (f *Flow) gather(ctx context.Context, c collection.ID, progress func(int64)) (out []Text, full bool, err error) {
	type key struct{ element, value string }
	at := map[key]int{}
	var after catalogue.InstanceID
	for {
		page, err := f.Catalogue.InSight(ctx, c, after, catalogue.MaxLimit)
		if err != nil {
			return nil, false, err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		for _, l := range page {
			err := f.Custody.Header(ctx, l, func(ds *dicom.Dataset) error {
				met := map[key]bool{}
				deid.Texts(ds, func(t deid.Text) bool {
					k := key{withoutItems(ds.Path(t.Entry)), t.Value}
					if met[k] {
						return true
					}
					met[k] = true
					if i, ok := at[k]; ok {
						out[i].Objects++
						return true
					}
					if len(out) >= maxTexts {
						full = true
						return true
					}
					at[k] = len(out)
					x := Text{Element: k.element, Value: t.Value, Plain: t.Plain, Objects: 1, First: l.ID, study: l.Study}
					if e, ok := dicom.LookupTag(ds.At(t.Entry).Tag); ok {
						x.Name = e.Name
					}
					if utf8.RuneCountInString(x.Value) > maxShown {
						x.Value, x.Cut = string([]rune(x.Value)[:maxShown]), true
					}
					out = append(out, x)
					return true
				})
				return nil
			})
			if err != nil && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
				return nil, false, err
			}
		}
		progress(int64(len(page)))
	}
	slices.SortFunc(out, func(a, b Text) int {
		if a.Plain != b.Plain {
			if b.Plain {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Element, b.Element), cmp.Compare(a.Objects, b.Objects), strings.Compare(a.Value, b.Value))
	})
	return out, full, nil
}
