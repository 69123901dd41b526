package tesseract

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// TestMain is what confines as well, and programs that are not what they should be.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "become" {
		fmt.Fprintln(os.Stderr, Become(os.Args[2:]))
		os.Exit(3)
	}
	switch os.Getenv("TESSDATA_PREFIX") { // which goes through to the program
	case "silent", "long", "other":
		pretend(os.Getenv("TESSDATA_PREFIX"))
	}
	os.Exit(m.Run())
}

func pretend(how string) {
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		if how == "other" {
			fmt.Println("cuneiform 1.0")
		} else {
			fmt.Println("tesseract 9.9")
		}
		os.Exit(0)
	}
	io.Copy(io.Discard, os.Stdin)
	if how == "long" {
		line := strings.Repeat("5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t90\tPATIENT\n", 1000)
		for {
			if _, err := os.Stdout.WriteString(line); err != nil {
				os.Exit(1)
			}
		}
	}
	time.Sleep(time.Hour) // what hangs; it is ended
}

func reader(t *testing.T) *Reader {
	t.Helper()
	testdata.Program(t, "tesseract")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), Options{Confine: []string{exe, "become"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWords(t *testing.T) {
	r := reader(t)
	if v := r.Version(); v == "" || v[0] < '0' || v[0] > '9' {
		t.Errorf("version %q", v)
	}
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 24, DPI: 72})
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, 320, 120))
	draw.Draw(img, img.Rect, image.NewUniform(color.Gray{230}), image.Point{}, draw.Src)
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.Gray{10}), Face: face, Dot: fixed.P(40, 70)}
	d.DrawString("HOSPITAL 1949")
	ink := image.Rect(40, 52, d.Dot.X.Ceil(), 71)
	words, err := r.Words(t.Context(), 320, 120, img.Pix)
	if err != nil {
		t.Fatal(err)
	}
	var all image.Rectangle
	for _, w := range words {
		if w.Confidence < 50 {
			t.Errorf("confidence %.0f", w.Confidence)
		}
		all = all.Union(w.Rectangle)
	}
	if len(words) != 2 || !ink.Inset(4).In(all) || !all.In(ink.Inset(-6)) {
		t.Errorf("%d words in %v, want 2 in %v", len(words), all, ink)
	}
	clear(img.Pix)
	if words, err = r.Words(t.Context(), 320, 120, img.Pix); err != nil || len(words) > 0 {
		t.Errorf("of nothing: %d words, %v", len(words), err)
	}
	if _, err := r.Words(t.Context(), 320, 121, img.Pix); err == nil {
		t.Error("a picture of another size was read")
	}
}

func TestAbsent(t *testing.T) {
	if _, err := Open(t.Context(), Options{Program: "tesseract-that-nobody-has"}); err != ErrAbsent {
		t.Errorf("%v", err)
	}
}

// Programs that hang, that never end their answer, and that are something else.
func TestMisbehaved(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{"silent": "ended", "long": "failed", "other": "not tesseract"} {
		t.Setenv("TESSDATA_PREFIX", how)
		r, err := Open(t.Context(), Options{Program: exe, Frame: 2 * time.Second})
		if err == nil {
			_, err = r.Words(t.Context(), 8, 8, make([]byte, 64))
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "PATIENT") {
			t.Errorf("%s: %v", how, err)
		}
	}
	t.Setenv("TESSDATA_PREFIX", "silent")
	r, err := Open(t.Context(), Options{Program: exe})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Words(ctx, 8, 8, make([]byte, 64)); err == nil {
		t.Error("it was not stopped")
	}
}

func TestAnswer(t *testing.T) {
	frame := image.Rect(0, 0, 100, 100)
	const head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n1\t1\t0\t0\t0\t0\t0\t0\t100\t100\t-1\t\n"
	for text, want := range map[string]int{
		head: 0,
		head + "5\t1\t1\t1\t1\t1\t10\t10\t20\t9\t91.5\tA1\n":   1,
		head + "5\t1\t1\t1\t1\t1\t10\t10\t20\t9\t91.5\t|--\n":  0, // lines, not words
		head + "5\t1\t1\t1\t1\t1\t200\t10\t20\t9\t91.5\tA1\n":  0,
		head + "5\t1\t1\t1\t1\t1\t-1\t10\t20\t9\t91.5\tA1\n":   -1,
		head + "5\t1\t1\t1\t1\t1\t10\t10\t20\t9\tmuch\tA1\n":   -1,
		head + "5\t1\t1\t1\t1\t1\t10\t10\t20\t9\t91.5\tA\tB\n": 1,
	} {
		got, err := words([]byte(text), frame)
		if err == nil && len(got) != want || (err != nil) != (want < 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("5\t1\t1\t1\t1\t1\t10\t10\t20\t9\t91.5\tA1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _ := words(b, image.Rect(0, 0, 100, 100))
		for _, w := range all {
			if w.Empty() || !w.In(image.Rect(0, 0, 100, 100)) {
				t.Fatal(w)
			}
		}
	})
}
