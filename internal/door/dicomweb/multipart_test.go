package dicomweb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func readParts(r io.Reader, boundary string) ([]string, error) {
	m, err := newMultipartReader(r, boundary)
	if err != nil {
		return nil, err
	}
	var parts []string
	for {
		p, err := m.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return parts, err
		}
		parts = append(parts, p.header.Get("Content-Type")+"|"+string(b))
	}
}

func TestMultipart(t *testing.T) {
	h := "Content-Type: application/dicom\r\n\r\n"
	for _, c := range []struct {
		name, body string
		want       []string
		bad        bool
	}{
		{"one", "--b\r\n" + h + "data\r\n--b--", []string{"application/dicom|data"}, false},
		{"after an empty line", "\r\n--b\r\n" + h + "data\r\n--b--\r\n", []string{"application/dicom|data"}, false},
		{"preamble and epilogue", "ignore\r\n--b\r\n" + h + "data\r\n--b--\r\nand this\r\n--b\r\n", []string{"application/dicom|data"}, false},
		{"two", "--b\r\n" + h + "one\r\n--b\r\n" + h + "two\r\n--b--", []string{"application/dicom|one", "application/dicom|two"}, false},
		{"padding after the boundary", "--b \t\r\n" + h + "one\r\n--b--", []string{"application/dicom|one"}, false},
		{"no header", "--b\r\n\r\none\r\n--b--", []string{"|one"}, false},
		{"empty part", "--b\r\n" + h + "\r\n--b--", []string{"application/dicom|"}, false},
		{"empty part without a line of its own", "--b\r\nContent-Type: a\r\n\r\n--b--", []string{"a|"}, false},
		{"almost a boundary", "--b\r\n" + h + "\r\n-\r\n--\r\n\r\n--B\r\n--b--", []string{"application/dicom|\r\n-\r\n--\r\n\r\n--B"}, false},
		{"none at all", "--b--", nil, false},
		{"nothing", "", nil, true},
		{"no boundary", "this is no multipart body\r\n", nil, true},
		{"another boundary", "--c\r\n" + h + "data\r\n--c--", nil, true},
		{"no end", "--b\r\n" + h + "data", nil, true},
		{"no closing boundary", "--b\r\n" + h + "data\r\n--b\r\n", []string{"application/dicom|data"}, true},
		{"a boundary that goes on", "--b\r\n" + h + "data\r\n--bc\r\n" + h + "data\r\n--b--", []string{"application/dicom|data"}, true},
		{"no header but a word", "--b\r\nword\r\n\r\ndata\r\n--b--", nil, true},
		{"lines without CR", "--b\nContent-Type: a\n\ndata\n--b--", nil, true},
		{"a header without end", "--b\r\nX: " + strings.Repeat("y", 10_000) + "\r\n\r\ndata\r\n--b--", nil, true},
		{"headers without end", "--b\r\n" + strings.Repeat("X: y\r\n", 10_000) + "\r\ndata\r\n--b--", nil, true},
		{"a preamble without end", strings.Repeat("x", 100_000) + "\r\n--b\r\n" + h + "data\r\n--b--", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.body), iotest.OneByteReader(strings.NewReader(c.body)), iotest.DataErrReader(strings.NewReader(c.body))} {
				got, err := readParts(r, "b")
				if (err != nil) != c.bad {
					t.Fatalf("error %v, wanted one: %v", err, c.bad)
				}
				if fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Fatalf("got %q, want %q", got, c.want)
				}
			}
		})
	}
	for _, b := range []string{"", strings.Repeat("x", 71), "a;b", "ends ", "a\"b", "ü"} {
		if _, err := newMultipartReader(strings.NewReader(""), b); err == nil {
			t.Errorf("the boundary %q is taken", b)
		}
	}
}

// What the standard library writes is read back, however it is cut.
func TestMultipartAgainstLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		boundary := rapid.SampledFrom([]string{"-", "---", "x", "0123456789012345678901234567890123456789012345678901234567890123456789"}).Draw(t, "boundary")
		if err := w.SetBoundary(boundary); err != nil {
			t.Fatal(err)
		}
		var want []string
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			pieces := rapid.SliceOf(rapid.SampledFrom([]string{"\r", "\n", "-", "--", boundary, "x", "\r\n--", strings.Repeat("z", 70_000)})).Draw(t, "content")
			content := strings.Join(pieces, "")
			if strings.Contains("\r\n"+content+"\r\n", "\r\n--"+boundary) {
				content = "q" + strings.ReplaceAll(content, "\n", "")
			}
			p, err := w.CreatePart(map[string][]string{"Content-Type": {"application/dicom"}})
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(p, content)
			want = append(want, "application/dicom|"+content)
		}
		w.Close()
		whole := body.Bytes()
		got, err := readParts(bytes.NewReader(whole), boundary)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("error %v, the parts differ", err)
		}
		cut := rapid.IntRange(0, len(whole)-len(boundary)-7).Draw(t, "cut")
		if _, err := readParts(bytes.NewReader(whole[:cut]), boundary); err == nil {
			t.Fatal("a body that was cut is taken for whole")
		}
		broken := errors.New("line broken")
		if _, err := readParts(io.MultiReader(bytes.NewReader(whole[:cut]), iotest.ErrReader(broken)), boundary); err == nil {
			t.Fatal("a body whose line broke is taken for whole")
		}
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Type: application/dicom\r\n\r\ndata\r\n--b--"), "b")
	f.Add([]byte("\r\n--b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--\r\n"), "b")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		a, errA := readParts(bytes.NewReader(body), boundary)
		b, errB := readParts(iotest.OneByteReader(bytes.NewReader(body)), boundary)
		if fmt.Sprint(a) != fmt.Sprint(b) || (errA == nil) != (errB == nil) {
			t.Fatalf("how the bytes come makes a difference: %q %v, %q %v", a, errA, b, errB)
		}
		n := 0
		for _, p := range a {
			n += len(p)
		}
		if n > 2*len(body)+100 {
			t.Fatal("more comes out than went in")
		}
	})
}
