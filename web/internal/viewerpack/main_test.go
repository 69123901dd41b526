package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func tarball(t *testing.T, files map[string]string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// What is wanted is packed, with every mend made; a viewer in which something is no longer there to be mended is refused, and leaves nothing behind.
func TestTrim(t *testing.T) {
	script := ""
	for _, m := range mends {
		script += m.from + "\n"
	}
	to := filepath.Join(t.TempDir(), "viewer.zip")
	files := map[string]string{"package/dist/app.bundle.js": script, "package/dist/app.css": "x{y:url(/font.woff2)}", "package/dist/ort/model.wasm": "large", "package/dist/app-config.js": "window.config", "package/dist/7.bundle.js": "x(){" + decodes + "}}"}
	if err := trim(tarball(t, files), to); err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(to)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	got := map[string]string{}
	for _, f := range z.File {
		if (f.Comment == decoder) != (f.Name == "7.bundle.js") {
			t.Errorf("%s: %q", f.Name, f.Comment)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(b)
	}
	if len(got) != 3 || got["app.css"] != "x{y:url(/viewer/font.woff2)}" {
		t.Errorf("%v", got)
	}
	for _, m := range mends {
		if s := got["app.bundle.js"]; strings.Contains(s, m.from) || !strings.Contains(s, m.to) {
			t.Errorf("not mended: %s", m.why)
		}
	}
	for _, m := range mends {
		files["package/dist/app.bundle.js"] = strings.ReplaceAll(script, m.from, "")
		if err := trim(tarball(t, files), to+"2"); err == nil || !strings.Contains(err.Error(), m.why) {
			t.Errorf("nothing was there to be mended, and it is packed: %v", err)
		}
	}
	files["package/dist/app.bundle.js"] = script
	delete(files, "package/dist/7.bundle.js")
	if err := trim(tarball(t, files), to+"2"); err == nil {
		t.Error("nothing decodes pixels, and it is packed")
	}
	if left, _ := filepath.Glob(to + "2*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(to); err != nil {
		t.Error(err)
	}
}
