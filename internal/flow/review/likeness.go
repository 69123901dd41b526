package review

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// likeness is what an instance that is held has in common with others (docs/formats/ruling.md). It reads the header for the node itself; nothing of it leaves but two
// keyed hashes.
func (f *Flow) likeness(ctx context.Context, l catalogue.Located) (as catalogue.Likeness, err error) {
	root, err := f.Ring.Collection(ctx, string(l.Collection))
	if err != nil {
		return as, err
	}
	key := root.Derive("likeness")
	err = f.Custody.Header(ctx, l, func(ds *dicom.Dataset) error {
		as = likenessOf(key, l.Reasons, ds)
		return nil
	})
	return as, err
}

func likenessOf(key keys.Key, reasons []catalogue.Reason, ds *dicom.Dataset) catalogue.Likeness {
	lines := []string{"kind 1"}
	var why []string
	for _, r := range reasons {
		why = append(why, r.Code+" "+withoutItems(r.Where))
	}
	slices.Sort(why)
	lines = append(lines, slices.Compact(why)...)
	for _, t := range []dicom.Tag{dicom.TagSOPClassUID, dicom.TagModality, dicom.TagManufacturer, dicom.TagManufacturerModelName, dicom.TagMIMETypeOfEncapsulatedDocument} {
		lines = append(lines, ds.String(t))
	}
	kind := hashed(key, lines)
	lines = []string{"layout 1", kind}
	for _, t := range []dicom.Tag{dicom.TagRows, dicom.TagColumns, dicom.TagSamplesPerPixel} {
		n, _ := ds.Int(t)
		lines = append(lines, fmt.Sprint(n))
	}
	lines = append(lines, ds.String(dicom.TagPhotometricInterpretation))
	if i := ds.Find(dicom.TagImageType); i >= 0 {
		if v := ds.Strings(i); len(v) > 2 {
			lines = append(lines, v[2:]...)
		}
	}
	for _, r := range regionsOf(ds) {
		lines = append(lines, fmt.Sprint(r.MinX, r.MinY, r.MaxX, r.MaxY))
	}
	return catalogue.Likeness{Kind: kind, Layout: hashed(key, lines)}
}

// itemNumbers are those of items within a path: what is alike in the first item of a sequence and in the second is alike.
var itemNumbers = regexp.MustCompile(`\[\d+\]`)

func withoutItems(path string) string { return itemNumbers.ReplaceAllString(path, "[]") }

func hashed(key keys.Key, lines []string) string {
	h := hmac.New(sha256.New, key[:])
	for _, l := range lines {
		io.WriteString(h, strings.ReplaceAll(l, "\n", " ")+"\n")
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
