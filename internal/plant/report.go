package plant

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
)

// PixelCodes are the reasons for which Vitrine holds an object for what its pixels may show. The offline command reads none; a node does.
var PixelCodes = []string{"burned-in-text", "burned-in-declared", "screen-capture", "photograph", "writing-found", "pixels-unsure"}

// ReadReport takes from Vitrine's report what became of each file. The report lists the inputs in the order of their paths; what it does not list is
// missing.
func (s *Set) ReadReport(dir string, report []byte) (*Output, error) {
	var r struct {
		Items []struct {
			Outcome string  `json:"outcome"`
			Output  *string `json:"output"`
			Reasons []struct {
				Code string `json:"code"`
			} `json:"reasons"`
		} `json:"items"`
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return nil, err
	}
	order := s.order()
	o := &Output{Dir: dir, Fates: make([]Fate, len(s.Files)), Said: report}
	for n, i := range order {
		if n >= len(r.Items) {
			break
		}
		it := r.Items[n]
		f := &o.Fates[i]
		switch {
		case it.Output != nil:
			f.Outcome, f.Path = Cleaned, filepath.FromSlash(*it.Output)
		case it.Outcome == "held" || it.Outcome == "refused":
			f.Outcome = Held
			f.Pixels = it.Outcome == "held" && len(it.Reasons) > 0
		}
		for _, why := range it.Reasons {
			f.Why = append(f.Why, why.Code)
			f.Pixels = f.Pixels && slices.Contains(PixelCodes, why.Code)
		}
	}
	return o, nil
}

// order is that of a walk through folders.
func (s *Set) order() []int {
	order := make([]int, len(s.Files))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return slices.Compare(strings.Split(s.Files[a].Name, "/"), strings.Split(s.Files[b].Name, "/"))
	})
	return order
}

// Paths are those of the files below a folder, in the order of a walk through it.
func (s *Set) Paths(dir string) []string {
	var out []string
	for _, i := range s.order() {
		out = append(out, filepath.Join(dir, filepath.FromSlash(s.Files[i].Name)))
	}
	return out
}
