package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reasonTable groups what was held or refused by its reason, with the ordinals of the inputs.
type reasonTable struct{ rows []reasonRow }

var place = regexp.MustCompile(` \(byte [0-9]+\)$`)

type reasonRow struct {
	outcome, code, text string
	items               []int
}

func (t *reasonTable) add(outcome, code, text string, item int) {
	text = place.ReplaceAllString(text, "") // the report says where, for each
	for i := range t.rows {
		if r := &t.rows[i]; r.outcome == outcome && r.code == code && r.text == text {
			r.items = append(r.items, item)
			return
		}
	}
	t.rows = append(t.rows, reasonRow{outcome, code, text, []int{item}})
}

func (t *reasonTable) print(s *streams) {
	if len(t.rows) == 0 {
		return
	}
	slices.SortStableFunc(t.rows, func(a, b reasonRow) int {
		if a.outcome != b.outcome {
			return strings.Compare(a.outcome, b.outcome)
		}
		return len(b.items) - len(a.items)
	})
	out := &table{head: []string{"OUTCOME", "FILES", "REASON", "EXPLANATION", "ITEMS"}}
	for _, r := range t.rows {
		slices.Sort(r.items)
		out.rows = append(out.rows, []string{r.outcome, strconv.Itoa(len(r.items)), r.code, r.text, ordinals(r.items)})
	}
	s.print(out)
}

// ordinals writes "1-4, 7, 9 ...".
func ordinals(items []int) string {
	var parts []string
	for i := 0; i < len(items); {
		j := i
		for j+1 < len(items) && items[j+1] == items[j]+1 {
			j++
		}
		if len(parts) == 4 {
			return strings.Join(parts, ", ") + " ..."
		}
		if j > i {
			parts = append(parts, fmt.Sprintf("%d-%d", items[i], items[j]))
		} else {
			parts = append(parts, strconv.Itoa(items[i]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
