package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/door/portal"
)

type helpCmd struct {
	Topic string `arg:"" optional:"" help:"What to explain; without it, what can be explained is listed."`
}

// Run prints a topic of the portal's help, or lists them.
func (c *helpCmd) Run(s *streams) error {
	all := portal.HelpTexts()
	if c.Topic == "" {
		t := &table{head: []string{"TOPIC", "WHAT IT EXPLAINS", "FOR"}}
		for _, h := range all {
			t.add(h.Topic, h.Title, h.For)
		}
		return s.list(all, t)
	}
	i := slices.IndexFunc(all, func(h portal.HelpText) bool { return h.Topic == strings.ToLower(c.Topic) })
	if i < 0 {
		return usage("there is no help on %q; `vitrine help` lists what there is, and `vitrine COMMAND --help` explains a command", c.Topic)
	}
	h := all[i]
	if s.json {
		return s.value(h)
	}
	fmt.Fprintf(s.out, "%s (for %s)\n\n", h.Title, h.For)
	for n, step := range h.Steps {
		fmt.Fprintln(s.out, filled(fmt.Sprintf("%3d. ", n+1), step))
	}
	if h.Command != "" {
		fmt.Fprintf(s.out, "\nBy command:\n     %s\n", h.Command)
	}
	if h.More != "" {
		fmt.Fprintln(s.out, "\n"+filled("", h.More))
	}
	return nil
}

// lineWidth is how many characters a line of help has at most.
const lineWidth = 100

// filled breaks a text into lines, of which the first begins with a mark and the others stand below its text.
func filled(mark, text string) string {
	indent := strings.Repeat(" ", len(mark))
	var lines []string
	line := mark
	at := 0 // words of the line
	for word := range strings.FieldsSeq(text) {
		if at > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > lineWidth {
			lines, line, at = append(lines, line), indent, 0
		}
		if at > 0 {
			line += " "
		}
		line, at = line+word, at+1
	}
	return strings.Join(append(lines, line), "\n")
}
