// Viewerpack trims the prebuilt OHIF viewer to what Vitrine serves, and packs it into one archive that the binary embeds.
//
//	viewerpack TARBALL ARCHIVE
//
// TARBALL is the package @ohif/app as the npm registry gives it. Left out: maps of sources, segmentation by neural networks (its runtime alone has a
// hundred megabytes), the viewer for slides, pictures for home screens, the service worker, and pages for sign-in elsewhere.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// integrity is of the tarball of @ohif/app 3.13.2, as the registry's metadata states it.
const integrity = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="

// decoder is the comment of the entry that is the script of the worker that decodes pixels. The glue of its WebAssembly (embind) makes functions of text, which the viewer's content
// policy forbids everywhere else.
const decoder = "decoder"

// decodes stands in the script of that worker, and in the viewer's own, which does the same where there are no workers.
const decodes = "decodeTask({ imageFrame, transferSyntax"

// mends are what is changed in the viewer's scripts. Each has to be found: a release in which it is not has to be looked into.
var mends = []struct{ why, from, to string }{
	{
		why:  "the viewer was built to lie at the root of a site; here it lies in a folder",
		from: `__webpack_require__.p = "/";`,
		to:   `__webpack_require__.p = "/viewer/";`,
	},
	{
		why: "VOI LUT Function (0028,1056) is one value, and the loader takes the first letter of it, which is no function: such images, most mammograms among them, " +
			"were not drawn at all",
		from: `(voiLutModule.voiLUTFunction?.length &&
                    voiLutModule.voiLUTFunction[0])`,
		to: `[voiLutModule.voiLUTFunction].flat()[0]`,
	},
	{
		why:  "the retired classes of ultrasound and nuclear medicine are asked for under names that the viewer's dictionary does not have, so that old images were not shown",
		from: `sopClassDictionary.UltrasoundImageStorageRET`,
		to:   `"1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.3", "1.2.840.10008.5.1.4.1.1.5"`,
	},
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: viewerpack TARBALL ARCHIVE")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "viewerpack:", err)
		os.Exit(1)
	}
}

func pack(from, to string) error {
	if err := check(from); err != nil {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return trim(f, to)
}

// trim writes the archive of what is wanted of a tarball.
func trim(from io.Reader, to string) (err error) {
	unzipped, err := gzip.NewReader(from)
	if err != nil {
		return err
	}
	out, err := os.Create(to + ".part")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(to + ".part")
		}
	}()
	w := zip.NewWriter(out)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestCompression) })
	n, decoders, done := 0, 0, make([]int, len(mends))
	for t := tar.NewReader(unzipped); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name, ok := wanted(h.Name)
		if h.Typeflag != tar.TypeReg || !ok {
			continue
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return err
		}
		entry := &zip.FileHeader{Name: name, Method: zip.Deflate}
		if path.Ext(name) == ".js" && bytes.Contains(b, []byte(decodes)) && !strings.HasPrefix(name, "app.bundle.") {
			entry.Comment = decoder
			decoders++
		}
		e, err := w.CreateHeader(entry)
		if err != nil {
			return err
		}
		switch path.Ext(name) {
		case ".js":
			for i, m := range mends {
				done[i] += bytes.Count(b, []byte(m.from))
				b = bytes.ReplaceAll(b, []byte(m.from), []byte(m.to))
			}
		case ".css":
			b = bytes.ReplaceAll(b, []byte("url(/"), []byte("url(/viewer/"))
		}
		if _, err := e.Write(b); err != nil {
			return err
		}
		n++
	}
	if err := errors.Join(w.Close(), out.Close()); err != nil {
		return err
	}
	if n == 0 {
		return errors.New("the tarball holds no viewer of the kind that is expected")
	}
	if decoders != 1 {
		return fmt.Errorf("%d scripts decode pixels in a worker, and one is expected", decoders)
	}
	for i, m := range mends {
		if done[i] == 0 {
			return fmt.Errorf("nothing is there to be mended of this: %s", m.why)
		}
	}
	return os.Rename(to+".part", to)
}

// check compares the tarball with what is expected of it.
func check(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(h.Sum(nil)); got != integrity {
		return fmt.Errorf("the tarball is another one than expected: %s", got)
	}
	return nil
}

// wanted says under which name a file of the tarball goes into the archive, if it does.
func wanted(name string) (string, bool) {
	if name == "package/LICENSE" {
		return "LICENSE", true
	}
	name, ok := strings.CutPrefix(name, "package/dist/")
	if !ok {
		return "", false
	}
	if strings.HasPrefix(name, "assets/images/") {
		return name, true
	}
	for _, folder := range []string{"ort/", "dicom-microscopy-viewer/", "assets/", "customizations/"} {
		if strings.HasPrefix(name, folder) {
			return "", false
		}
	}
	switch path.Base(name) {
	case "index.html", "app-config.js", "sw.js", "init-service-worker.js", "google.js", "oidc-client.min.js", "silent-refresh.html", "serve.json", "manifest.json", "_headers", "_redirects",
		"es6-shim.min.js", "polyfill.min.js":
		return "", false
	}
	switch path.Ext(name) {
	case ".js", ".css", ".wasm", ".woff2", ".svg":
		return name, true
	}
	return "", false
}
