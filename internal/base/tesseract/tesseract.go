// Package tesseract asks the program of that name, where it is installed, where it reads words in a picture.
//
// It promises: what is read leaves this package as boxes alone, never as text; nothing is written to a disk, pictures and answers go through pipes; a program that takes too long or too
// much memory is ended, and none outlives the process that started it by more than the time that it may take.
package tesseract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sync/semaphore"
)

const (
	memoryLimit = 2 << 30          // bytes of a run
	frameLimit  = 30 * time.Second // of a picture
	maxAnswer   = 8 << 20          // bytes of an answer
	maxWords    = 10_000
)

// Options are how the program is run. What is zero has a default.
type Options struct {
	Program string        // its path, or a name that is looked up on PATH; "tesseract"
	Confine []string      // the command line of a program that calls [Become] with what follows it; empty: the program is started as it is
	Frame   time.Duration // how long a picture may take; 30 s
	Workers int           // pictures at a time; 1
}

// Reader runs the program. It is safe for use by many goroutines.
type Reader struct {
	o       Options
	version string
	room    *semaphore.Weighted
}

// ErrAbsent says that there is no such program.
var ErrAbsent = errors.New("tesseract is not installed")

// Open looks for the program and asks for its version. Errors are [ErrAbsent], and others of a program that does not work.
func Open(ctx context.Context, o Options) (*Reader, error) {
	if o.Program == "" {
		o.Program = "tesseract"
	}
	if o.Frame == 0 {
		o.Frame = frameLimit
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	path, err := exec.LookPath(o.Program)
	if err != nil {
		return nil, ErrAbsent
	}
	o.Program = path
	r := &Reader{o: o, room: semaphore.NewWeighted(int64(o.Workers))}
	out, err := r.run(ctx, nil, "--version")
	if err != nil {
		return nil, fmt.Errorf("ask tesseract for its version: %w", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	name, version, ok := strings.Cut(strings.TrimSpace(line), " ")
	if !ok || name != "tesseract" || len(version) > 40 || strings.ContainsFunc(version, func(c rune) bool { return !unicode.IsPrint(c) || c > 0x7e }) {
		return nil, errors.New("the program is not tesseract")
	}
	r.version = version
	return r, nil
}

// Version is what the program says of itself, such as 5.3.0.
func (r *Reader) Version() string { return r.version }

// Word is where a word was read. Confidence is the program's own, from 0 to 100; Signs is how many letters and digits the word has.
type Word struct {
	image.Rectangle
	Confidence float64
	Signs      int
}

// Words are the words of a picture of 8-bit greys, those of no letter and no digit left out. Errors are of a program that failed, or was ended.
func (r *Reader) Words(ctx context.Context, width, height int, grey []byte) ([]Word, error) {
	if width < 1 || height < 1 || len(grey) != width*height {
		return nil, errors.New("the picture has no such size")
	}
	if err := r.room.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer r.room.Release(1)
	picture := io.MultiReader(strings.NewReader(fmt.Sprintf("P5\n%d %d\n255\n", width, height)), bytes.NewReader(grey))
	out, err := r.run(ctx, picture, "stdin", "stdout", "--psm", "11", "-c", "tessedit_do_invert=1", "tsv") // 11: as much text as there is, in no order
	if err != nil {
		return nil, err
	}
	defer clear(out)
	return words(out, image.Rect(0, 0, width, height))
}

// What counts as a word: from this confidence on, of so many letters and digits at least, not lower than a line of small letters, and no larger than a part of the picture, one of so many.
const (
	confident = 60
	lettered  = 3
	lowest    = 6
	share     = 4
)

// Convincing tells whether a word of a picture of this size is one, and what is to be covered for it, with a margin: the program reads lines and textures as letters too.
func (w Word) Convincing(width, height int) (image.Rectangle, bool) {
	short := min(w.Dx(), w.Dy())
	if w.Confidence < confident || w.Signs < lettered || short < lowest || w.Dx()*w.Dy()*share > width*height {
		return image.Rectangle{}, false
	}
	return w.Inset(-2 - short/4).Intersect(image.Rect(0, 0, width, height)), true
}

// run runs the program, and is what it wrote. What it says on its standard error is dropped: it may quote what it reads.
func (r *Reader) run(ctx context.Context, in io.Reader, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Frame)
	defer cancel()
	line := append(append(append([]string(nil), r.o.Confine...), r.o.Program), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"OMP_THREAD_LIMIT=1", "LC_ALL=C"} // and nothing of the node's, which may hold secrets
	for _, name := range []string{"TESSDATA_PREFIX", "SYSTEMROOT", "LD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	if in == nil {
		in = strings.NewReader("")
	}
	cmd.Stdin = in
	var out bounded
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		if e := ctx.Err(); e != nil {
			return nil, fmt.Errorf("tesseract was ended: %w", e)
		}
		return nil, errors.New("tesseract failed")
	}
	return out.b, nil
}

// bounded keeps what is written up to a limit.
type bounded struct{ b []byte }

func (w *bounded) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > maxAnswer {
		return 0, errors.New("the answer is too long")
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

// words reads tab-separated values: level, page, block, paragraph, line, word, left, top, width, height, confidence, text.
func words(b []byte, frame image.Rectangle) ([]Word, error) {
	var all []Word
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		if len(f) < 12 || f[0] != "5" {
			continue
		}
		signs := 0
		for _, c := range f[11] {
			if unicode.IsLetter(c) || unicode.IsDigit(c) {
				signs++
			}
		}
		if signs == 0 {
			continue
		}
		var v [4]int
		for i := range v {
			n, err := strconv.Atoi(f[6+i])
			if err != nil || n < 0 || n > 1<<16 {
				return nil, errors.New("tesseract's answer cannot be read")
			}
			v[i] = n
		}
		confidence, err := strconv.ParseFloat(f[10], 64)
		if err != nil {
			return nil, errors.New("tesseract's answer cannot be read")
		}
		box := image.Rect(v[0], v[1], v[0]+v[2], v[1]+v[3]).Intersect(frame)
		if box.Empty() || confidence < 0 {
			continue
		}
		if all = append(all, Word{box, min(100, confidence), signs}); len(all) > maxWords {
			return nil, errors.New("tesseract reads more words than there can be")
		}
	}
	return all, lines.Err()
}
