package people

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The course is whole: every page says something, and every question has one right answer and at least three wrong ones, no two alike.
func TestCourse(t *testing.T) {
	if len(lessons) < 6 || len(lessons) > 8 {
		t.Errorf("%d pages", len(lessons))
	}
	if len(pool) < examined*3/2 {
		t.Errorf("a pool of %d questions is asked ten at a time", len(pool))
	}
	ids := map[string]bool{}
	for _, l := range lessons {
		if l.ID == "" || l.Title == "" || len(l.Paragraphs) < 3 || ids[l.ID] {
			t.Errorf("page %q has %d paragraphs", l.ID, len(l.Paragraphs))
		}
		ids[l.ID] = true
		for _, p := range l.Paragraphs {
			if n := utf8.RuneCountInString(p); n < 80 || n > 900 {
				t.Errorf("page %q: a paragraph has %d characters", l.ID, n)
			}
		}
	}
	rights := 0
	for line := range strings.Lines(courseText) {
		if strings.HasPrefix(line, "+ ") {
			rights++
		}
	}
	if rights != len(pool) {
		t.Errorf("%d right answers to %d questions", rights, len(pool))
	}
	texts := map[string]bool{}
	for _, q := range pool {
		if !strings.HasSuffix(q.Text, "?") || texts[q.Text] || len(q.Answers) < 4 || q.right < 0 || q.right >= len(q.Answers) {
			t.Errorf("%q has %d answers, the right one is %d", q.Text, len(q.Answers), q.right)
		}
		texts[q.Text] = true
		sorted := slices.Sorted(slices.Values(q.Answers))
		if len(slices.Compact(sorted)) != len(q.Answers) {
			t.Errorf("%q has the same answer twice", q.Text)
		}
		for _, a := range q.Answers {
			if len(a) < 2 {
				t.Errorf("%q has an empty answer", q.Text)
			}
		}
	}
}
