package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/base/place"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Digest is a SHA-256 as JSON has it.
type Digest [32]byte

// MarshalText writes hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText reads them.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) != 2*len(d) {
		return errors.New("a digest has 64 hexadecimal digits")
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// File is a file of a backup.
type File struct {
	Size   int64            `json:"size"`
	SHA256 Digest           `json:"sha256"`
	Rows   map[string]int64 `json:"rows,omitempty"` // by table
}

// Pack is a pack of a backup: sealed, or in parts.
type Pack struct {
	ID      string `json:"id"`
	Sealed  bool   `json:"sealed"`
	Size    int64  `json:"size"`
	SHA256  Digest `json:"sha256,omitzero"`
	Records int64  `json:"records"`
	Parts   []Part `json:"parts,omitempty"`
}

// Part is a piece of a pack that was not sealed.
type Part struct {
	From    int64  `json:"from"`
	To      int64  `json:"to"`
	SHA256  Digest `json:"sha256"`
	Records int64  `json:"records"`
}

// Manifest says what belongs to a backup.
type Manifest struct {
	Version  int              `json:"v"`
	Backup   string           `json:"backup"`
	Began    time.Time        `json:"began"`
	Ended    time.Time        `json:"ended"`
	Software string           `json:"software"`
	Keys     File             `json:"keys"`
	Files    map[string]File  `json:"files"`
	Packs    []Pack           `json:"packs"`
	Objects  map[string]int64 `json:"objects"` // by number of their state
	Missing  []string         `json:"missing"`
	Damaged  []string         `json:"damaged"`
}

// Total is the number of objects.
func (m *Manifest) Total() (n int64) {
	for _, k := range m.Objects {
		n += k
	}
	return n
}

// Bytes is how much the packs take.
func (m *Manifest) Bytes() (n int64) {
	for _, p := range m.Packs {
		n += p.Size
	}
	return n
}

const (
	fileRecords    = "records"
	fileIdentities = "identities"
	fileManifest   = "manifest"
	nameLayout     = "20060102T150405.000000Z"
	maxManifest    = 256 << 20
)

var nameForm = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{6}Z$`)

func fileOf(backup, file string) string { return "backups/" + backup + "/" + file }
func keysOf(backup string) string       { return "keys/" + backup }
func packFile(id string) string         { return "packs/" + id + ".pack" }
func partFile(id string, p Part) string { return fmt.Sprintf("parts/%s/%016d-%016d", id, p.From, p.To) }

// newName is later than any that was used.
func newName(now time.Time, used []string) string {
	name := now.UTC().Format(nameLayout)
	for _, u := range used {
		if u >= name {
			if t, err := time.Parse(nameLayout, u); err == nil {
				name = t.Add(time.Microsecond).Format(nameLayout)
			}
		}
	}
	return name
}

// backups lists the backups that have a manifest, and the names of those that have any file, both in the order of time.
func backups(ctx context.Context, p *place.Place) (whole, begun []string, err error) {
	all, err := p.List(ctx, "backups/")
	if err != nil {
		return nil, nil, err
	}
	for _, e := range all {
		name, file, _ := strings.Cut(strings.TrimPrefix(e.Name, "backups/"), "/")
		if !nameForm.MatchString(name) {
			continue
		}
		if len(begun) == 0 || begun[len(begun)-1] != name {
			begun = append(begun, name)
		}
		if file == fileManifest {
			whole = append(whole, name)
		}
	}
	return whole, begun, nil
}

// keyFiles lists the backups of keys, in the order of time.
func keyFiles(ctx context.Context, p *place.Place) ([]string, error) {
	all, err := p.List(ctx, "keys/")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range all {
		if name := strings.TrimPrefix(e.Name, "keys/"); nameForm.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// sealedBy are the keys that files may have been sealed with, the newest first.
func sealedBy(root *keys.Root) []keys.Key {
	return append([]keys.Key{root.Derive(purpose)}, root.Earlier(purpose)...)
}

func writeManifest(ctx context.Context, p *place.Place, root *keys.Root, m *Manifest) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fault.Wrap(fault.Internal, "write manifest", "", err)
	}
	name := fileOf(m.Backup, fileManifest)
	var out bytes.Buffer
	s, err := newSealer(&out, root.Derive(purpose), name)
	if err != nil {
		return err
	}
	if _, err := s.Write(text); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	_, err = p.Put(ctx, name, &out)
	return err
}

func readManifest(ctx context.Context, p *place.Place, root *keys.Root, backup string) (*Manifest, error) {
	const attempt = "read manifest"
	name := fileOf(backup, fileManifest)
	r, err := p.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	o, err := newOpener(r, sealedBy(root), name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(o, maxManifest))
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fault.New(fault.Corrupt, attempt, backup, "it is no manifest")
	}
	if m.Version != 1 {
		return nil, fault.New(fault.Invalid, attempt, backup, "it is of version "+strconv.Itoa(m.Version)+", which a later version of this program has written")
	}
	if m.Backup != backup {
		return nil, fault.New(fault.Corrupt, attempt, backup, "it is another backup's")
	}
	return m, m.check()
}

// check sees to it that nothing in a manifest leads elsewhere than to files of a backup.
func (m *Manifest) check() error {
	bad := fault.New(fault.Corrupt, "read manifest", m.Backup, "what it says of a pack cannot be")
	for _, p := range m.Packs {
		if _, err := pack.ParseID(p.ID); err != nil {
			return bad
		}
		at := int64(0)
		for _, part := range p.Parts {
			if p.Sealed || part.From != at || part.To <= part.From {
				return bad
			}
			at = part.To
		}
		if !p.Sealed && (at == 0 || at != p.Size) {
			return bad
		}
	}
	return nil
}
