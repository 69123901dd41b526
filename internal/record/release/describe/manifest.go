package describe

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// ManifestType is the media type of a manifest.
const ManifestType = "application/vnd.vitrine.manifest+jsonl"

// The bounds of a manifest (docs/formats/manifest.md).
const (
	maxLine    = 16 << 10    // bytes of a line, its end included
	maxEntries = 100_000_000 // lines after the first
)

const manifestName = "vitrine release manifest"

// Header is the first line of a manifest.
type Header struct {
	ConsentCutoff string `json:"consentCutoff,omitempty"` // RFC 3339, UTC, whole seconds
	Dataset       string `json:"dataset"`
	Entries       int64  `json:"entries"`        // lines that follow
	Format        string `json:"format"`         // "vitrine release manifest"
	From          string `json:"from,omitempty"` // of a copy in a recipient's own pseudonyms: the root of the release itself
	Issued        string `json:"issued"`         // RFC 3339, UTC, whole seconds
	Policy        string `json:"policy,omitempty"`
	Revision      int    `json:"revision"` // of the format: 1
	Root          string `json:"root"`     // RFC 6962 tree hash of the lines that follow
	Version       string `json:"version"`
}

func (h *Header) check(attempt string) error {
	bad := func(field string) error {
		return fault.New(fault.Invalid, attempt, "first line", field+" is missing or has not its form")
	}
	switch {
	case h.Format != manifestName:
		return fault.New(fault.Invalid, attempt, "first line", "it is no "+manifestName)
	case h.Revision != 1:
		return fault.New(fault.Invalid, attempt, "first line", "it is of revision "+strconv.Itoa(h.Revision)+", and this program reads revision 1")
	case !datasetID.MatchString(h.Dataset):
		return bad("dataset")
	case !validVersion(h.Version):
		return bad("version")
	case !isHash(h.Root):
		return bad("root")
	case h.From != "" && !isHash(h.From):
		return bad("from")
	case h.Policy != "" && !isHash(h.Policy):
		return bad("policy")
	case !isStamp(h.Issued):
		return bad("issued")
	case h.ConsentCutoff != "" && !isStamp(h.ConsentCutoff):
		return bad("consentCutoff")
	case h.Entries < 0:
		return bad("entries")
	case h.Entries > maxEntries:
		return fault.New(fault.TooLarge, attempt, "first line", "it announces more than 100,000,000 entries")
	}
	return nil
}

func isStamp(s string) bool {
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	return err == nil && stamp(t) == s
}

// Tree is the RFC 6962 tree of a manifest's lines, grown one by one. It keeps one hash for each binary digit of their number.
type Tree struct {
	n    int64
	left []tlog.Hash // roots of the whole subtrees, the largest first
}

// add appends a leaf by its hash: as often as the number of leaves had a 1 at its end, two whole subtrees become one.
func (t *Tree) add(h tlog.Hash) {
	for n := t.n; n&1 != 0; n >>= 1 {
		last := len(t.left) - 1
		h, t.left = tlog.NodeHash(t.left[last], h), t.left[:last]
	}
	t.left, t.n = append(t.left, h), t.n+1
}

// Add appends an entry: by its line, or a withdrawn one by what was the hash of its line.
func (t *Tree) Add(e Entry) error {
	h, err := e.leaf()
	if err == nil {
		t.add(h)
	}
	return err
}

// Len is the number of entries.
func (t *Tree) Len() int64 { return t.n }

// Root is the tree hash in 64 hexadecimal digits (RFC 6962 2.1).
func (t *Tree) Root() string {
	h, _ := tlog.TreeHash(0, nil) // the hash of no leaves
	if len(t.left) > 0 {
		h = t.left[len(t.left)-1]
		for i := len(t.left) - 2; i >= 0; i-- {
			h = tlog.NodeHash(t.left[i], h)
		}
	}
	return hex.EncodeToString(h[:])
}

// LeafHash is the hash of an entry's line as a leaf (RFC 6962 2.1), in 64 hexadecimal digits: what is kept of it when it is withdrawn.
func LeafHash(e Entry) (string, error) {
	h, err := e.leaf()
	return hex.EncodeToString(h[:]), err
}

func (e *Entry) leaf() (tlog.Hash, error) {
	if err := e.check(); err != nil {
		return tlog.Hash{}, err
	}
	if e.Withdrawn {
		var h tlog.Hash
		_, err := hex.Decode(h[:], []byte(e.Leaf))
		return h, err
	}
	return tlog.RecordHash(e.appendLine(nil)), nil
}

// Root is the root of entries and how many they are.
func Root(entries Entries) (root string, n int64, err error) {
	var t Tree
	var line []byte
	for e, err := range checked(entries) {
		if err != nil {
			return "", 0, err
		}
		if line, err = t.append(line[:0], &e); err != nil {
			return "", 0, err
		}
	}
	return t.Root(), t.n, nil
}

// append adds a checked entry to the tree and its line to b.
func (t *Tree) append(b []byte, e *Entry) ([]byte, error) {
	b = e.appendLine(b)
	if e.Withdrawn {
		return b, t.Add(*e)
	}
	t.add(tlog.RecordHash(b))
	return b, nil
}

// appendLine writes the entry's line without its end, as RFC 8785 (JCS) would: names in order, nothing between, only what has to be escaped.
func (e *Entry) appendLine(b []byte) []byte {
	open := byte('{')
	put := func(name, value string) {
		if value != "" {
			b = append(b, open, '"')
			b = append(append(b, name...), '"', ':')
			b = appendJSON(b, value)
			open = ','
		}
	}
	if e.Withdrawn {
		put("leaf", e.Leaf)
		return append(b, `,"withdrawn":true}`...)
	}
	put("drs", e.DRS)
	put("format", e.Format)
	put("instance", e.Instance)
	put("modality", e.Modality)
	put("path", e.Path)
	put("series", e.Series)
	put("sha256", e.SHA256)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, e.Size, 10)
	put("sopClass", e.SOPClass)
	put("split", e.Split)
	put("study", e.Study)
	put("subject", e.Subject)
	return append(b, '}')
}

// appendJSON writes a text without control characters as a JSON string.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// WriteManifest writes the manifest of a release. Its root and number of entries stand in the first line, so both are needed beforehand (Root); where the entries
// come to others, the writer ends with fault.Conflict. A tombstoned release has none. From is empty but for a copy in a recipient's own pseudonyms: there it is the
// root of the release, and root that of the entries as the recipient has them.
func WriteManifest(w io.Writer, r *Release, from, root string, n int64, entries Entries) error {
	const attempt = "write manifest"
	if err := r.listable(attempt); err != nil {
		return err
	}
	h := Header{Dataset: r.Dataset, Version: r.Version, Entries: n, Format: manifestName, From: from, Issued: stamp(r.Issued), Policy: r.PolicyHash, Revision: 1, Root: root}
	if !r.ConsentCutoff.IsZero() {
		h.ConsentCutoff = stamp(r.ConsentCutoff)
	}
	if err := h.check(attempt); err != nil {
		return err
	}
	if first(from, root) != r.Root {
		return fault.New(fault.Conflict, attempt, "", "the root is not that of the release")
	}
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	if _, err := b.Write(append(head, '\n')); err != nil {
		return err
	}
	var t Tree
	var line []byte
	for e, err := range checked(entries) {
		if err != nil {
			return err
		}
		if line, err = t.append(line[:0], &e); err != nil {
			return err
		}
		if len(line) >= maxLine {
			return fault.New(fault.TooLarge, attempt, "entry "+strconv.FormatInt(t.n, 10), "its line is over 16 KiB")
		}
		if _, err := b.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if t.n != n || t.Root() != root {
		return fault.New(fault.Conflict, attempt, "", "the entries are not those that the root was made of")
	}
	return b.Flush()
}

// line is an entry's line as it is read.
type line struct {
	DRS       string `json:"drs"`
	Format    string `json:"format"`
	Instance  string `json:"instance"`
	Leaf      string `json:"leaf"`
	Modality  string `json:"modality"`
	Path      string `json:"path"`
	Series    string `json:"series"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size"`
	SOPClass  string `json:"sopClass"`
	Split     string `json:"split"`
	Study     string `json:"study"`
	Subject   string `json:"subject"`
	Withdrawn bool   `json:"withdrawn"`
}

// ReadManifest reads a manifest that may come from anywhere. Entries can be ranged over once. They are in form and in order; that they are what the root was made of
// is known at their end, so whoever acts on one before compares its SHA-256 later: a last error, fault.Corrupt, says that they are not. No more than a line is held.
func ReadManifest(r io.Reader) (Header, Entries, error) {
	const attempt = "read manifest"
	in := bufio.NewReaderSize(r, maxLine)
	raw, err := readLine(in, 1)
	if errors.Is(err, io.EOF) {
		err = fault.New(fault.Invalid, attempt, "", "it is empty")
	}
	var h Header
	if err != nil {
		return h, nil, err
	}
	// What reads and writes back as the same bytes has no other names, no name twice and nothing after it.
	if err := json.Unmarshal(raw, &h); err != nil {
		return h, nil, fault.New(fault.Invalid, attempt, "first line", "it is no JSON object of this format")
	}
	if err := h.check(attempt); err != nil {
		return h, nil, err
	}
	if again, err := json.Marshal(h); err != nil || !bytes.Equal(again, raw) {
		return h, nil, fault.New(fault.Invalid, attempt, "first line", "it is not written in the canonical form")
	}
	return h, func(yield func(Entry, error) bool) {
		var t Tree
		for e, err := range checked(parsed(in, &t)) {
			if err == nil && t.n > h.Entries {
				e, err = Entry{}, fault.New(fault.Corrupt, attempt, "", "it has more entries than its first line says")
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		switch {
		case t.n != h.Entries:
			yield(Entry{}, fault.New(fault.Corrupt, attempt, "", "it has fewer entries than its first line says"))
		case t.Root() != h.Root:
			yield(Entry{}, fault.New(fault.Corrupt, attempt, "", "its entries are not those that its root was made of"))
		}
	}, nil
}

// parsed are the entries of the lines that follow; each line is added to the tree.
func parsed(in *bufio.Reader, t *Tree) Entries {
	return func(yield func(Entry, error) bool) {
		var again []byte
		for n := int64(2); ; n++ {
			raw, err := readLine(in, n)
			if errors.Is(err, io.EOF) {
				return
			}
			var e Entry
			if err == nil {
				e, again, err = parseLine(raw, again, n)
			}
			if err == nil && e.Withdrawn {
				err = t.Add(e)
			} else if err == nil {
				t.add(tlog.RecordHash(raw))
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func parseLine(raw, scratch []byte, n int64) (Entry, []byte, error) {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "read manifest", "line "+strconv.FormatInt(n, 10), why)
	}
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return Entry{}, scratch, bad("it is no JSON object of this format")
	}
	e := Entry{DRS: l.DRS, Subject: l.Subject, Split: l.Split, Study: l.Study, Series: l.Series, Instance: l.Instance, SOPClass: l.SOPClass, Modality: l.Modality,
		Format: l.Format, Path: l.Path, Size: l.Size, SHA256: l.SHA256, Withdrawn: l.Withdrawn, Leaf: l.Leaf}
	if err := e.check(); err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return Entry{}, scratch, bad(f.Object + ": " + f.Reason)
		}
		return Entry{}, scratch, err
	}
	if scratch = e.appendLine(scratch[:0]); !bytes.Equal(scratch, raw) {
		return Entry{}, scratch, bad("it is not written in the canonical form")
	}
	return e, scratch, nil
}

// readLine is the next line without its end; io.EOF after the last. The line is good until the next is read.
func readLine(in *bufio.Reader, n int64) ([]byte, error) {
	raw, err := in.ReadSlice('\n')
	switch {
	case err == nil:
		return raw[:len(raw)-1], nil
	case errors.Is(err, io.EOF) && len(raw) == 0:
		return nil, io.EOF
	case errors.Is(err, io.EOF):
		return nil, fault.New(fault.Corrupt, "read manifest", "line "+strconv.FormatInt(n, 10), "it breaks off: every line ends with a line feed")
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fault.New(fault.TooLarge, "read manifest", "line "+strconv.FormatInt(n, 10), "it is over 16 KiB")
	}
	return nil, err
}

// VerifyManifest reads a manifest to its end and reports whether its entries are those of its root.
func VerifyManifest(r io.Reader) (Header, error) {
	h, entries, err := ReadManifest(r)
	if err != nil {
		return h, err
	}
	for _, err := range entries {
		if err != nil {
			return h, err
		}
	}
	return h, nil
}
