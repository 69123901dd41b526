package reading

import (
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/tesseract"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// pretender is a second reader that answers this, or fails.
func pretender(t *testing.T, answer string) *tesseract.Reader {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("/bin/sh is absent")
	}
	program := filepath.Join(t.TempDir(), "tesseract")
	script := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'tesseract 9.8'; exit; fi\ncat >/dev/null\n" + answer + "\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := tesseract.Open(t.Context(), tesseract.Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSecondReader(t *testing.T) {
	a := render.Attributes{Rows: 60, Columns: 100, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME2", Slope: 1, Aspect: 1}
	f := codec.Frame{Image: a.Image(), Pixels: make([]byte, 6000)}
	word := func(box, confidence, text string) string {
		return `printf '5\t1\t1\t1\t1\t1\t` + strings.ReplaceAll(box, " ", `\t`) + `\t` + confidence + `\t` + text + `\n'`
	}
	for name, x := range map[string]struct {
		answer string
		boxes  int
		name   string
	}{
		"a word":           {word("10 10 60 12", "91", "1949"), 1, reader + ", tesseract 9.8"},
		"it is not sure":   {word("10 10 60 12", "40", "1949"), 0, reader + ", tesseract 9.8"},
		"two letters":      {word("10 10 60 12", "91", "le"), 0, reader + ", tesseract 9.8"},
		"half the picture": {word("0 0 90 50", "91", "1949"), 0, reader + ", tesseract 9.8"},
		"it fails":         {"exit 1", 0, reader},
	} {
		s := second{reader: pretender(t, x.answer)}
		found := burnin.Found{Unsure: "something", Boxes: []burnin.Box{{Rectangle: image.Rect(0, 0, 4, 4)}}}
		if err := s.ask(t.Context(), &a, f, &found); err != nil {
			t.Fatal(err)
		}
		sure, weak := rectangles(found)
		if len(sure) != x.boxes || len(weak) != 1 || s.name() != x.name {
			t.Errorf("%s: %v and %v by %q", name, sure, weak, s.name())
		}
		if x.boxes == 1 && (!image.Rect(10, 10, 70, 22).In(sure[0]) || !sure[0].In(image.Rect(0, 0, 80, 32))) {
			t.Errorf("%s: %v", name, sure[0])
		}
	}
	var nobody second
	if err := nobody.ask(t.Context(), &a, f, &burnin.Found{}); err != nil || nobody.name() != reader {
		t.Errorf("nobody: %v, %q", err, nobody.name())
	}
}
