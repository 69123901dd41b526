package keys

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"

	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Place is where a master key is kept: in a file, in clear or sealed by a keeper. A keeper is a key service that encrypts and decrypts and never gives
// its own key away; a sealed key is worth nothing without it.
type Place struct {
	File   string // holds the key; the sealed key, where there is a keeper
	Keeper string // its address, as gocloud.dev/secrets takes it; empty: the file holds the key in clear. It may hold a secret itself
}

// String says where, and leaves out what may be secret in the address of a keeper.
func (p Place) String() string {
	if p.Keeper == "" {
		return "in clear in " + p.File
	}
	return "sealed by " + p.scheme() + " in " + p.File
}

// GoString is String: a place does not print its keeper's address.
func (p Place) GoString() string { return p.String() }

func (p Place) scheme() string {
	scheme, _, _ := strings.Cut(p.Keeper, "://")
	return scheme
}

func (p Place) next() Place { return Place{p.File + ".next", p.Keeper} }

const (
	sealedVersion = "vitrine-sealed-master-key-1"
	keeperLine    = "keeper "
	keeperTimeout = 30 * time.Second
)

// IsKeeper reports whether a text is the address of a keeper rather than the name of a file.
func IsKeeper(s string) bool { return strings.Contains(s, "://") }

// open reaches the keeper. It is asked nothing yet.
func (p Place) open(ctx context.Context, attempt string) (*secrets.Keeper, error) {
	u, err := url.Parse(p.Keeper)
	scheme := "keeper " + p.scheme()
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, scheme, "its address cannot be read") // the cause would quote it
	}
	if !secrets.DefaultURLMux().ValidKeeperScheme(u.Scheme) {
		return nil, fault.New(fault.Invalid, attempt, scheme, "this program knows no such key service; it knows "+strings.Join(secrets.DefaultURLMux().KeeperSchemes(), ", "))
	}
	if u.Scheme == "base64key" && u.Host == "" {
		return nil, fault.New(fault.Invalid, attempt, scheme, "it names no key: one that is drawn now would be gone with this process")
	}
	k, err := secrets.OpenKeeper(ctx, p.Keeper)
	if err != nil {
		return nil, fault.New(fault.Invalid, attempt, scheme, "its address, or what the environment says of it, is not one that it takes")
	}
	return k, nil
}

// refused says what a keeper answered without repeating it: its words may hold addresses, requests and parts of keys.
func (p Place) refused(attempt string, err error) error {
	scheme := "keeper " + p.scheme()
	switch code := gcerrors.Code(err); {
	case errors.Is(err, context.DeadlineExceeded), code == gcerrors.DeadlineExceeded:
		return fault.New(fault.Unavailable, attempt, scheme, "it did not answer in time")
	case code == gcerrors.PermissionDenied:
		return fault.New(fault.Denied, attempt, scheme, "it does not let this process use its key")
	case code == gcerrors.NotFound:
		return fault.New(fault.NotFound, attempt, scheme, "it has no such key")
	case code == gcerrors.InvalidArgument, code == gcerrors.FailedPrecondition:
		return fault.New(fault.Denied, attempt, scheme, "it did not take what it was given: was the key sealed by another one?")
	default:
		return fault.New(fault.Unavailable, attempt, scheme, "it does not answer, or refuses ("+code.String()+")")
	}
}

// Create makes a new master key in a new file of the place, on stable storage before it returns. In clear it is written where there is no keeper alone.
// What a keeper has sealed is opened again before it is written. An existing file is never overwritten.
func (p Place) Create(ctx context.Context) (*Master, error) {
	if p.Keeper == "" {
		return CreateMaster(p.File)
	}
	const attempt = "create master key"
	m, err := freshMaster()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	k, err := p.open(ctx, attempt)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	sealed, err := k.Encrypt(ctx, m.key[:])
	if err != nil {
		return nil, p.unlost(p.refused(attempt, err))
	}
	if again, err := k.Decrypt(ctx, sealed); err != nil || len(again) != len(m.key) || Key(again) != m.key {
		return nil, fault.New(fault.Unavailable, attempt, "keeper "+p.scheme(), "what it sealed it does not open again")
	}
	return m, writeNew(p.File, sealedVersion+"\n"+keeperLine+p.scheme()+"\n"+base64.StdEncoding.EncodeToString(sealed)+"\n")
}

// unlost keeps the keeper's "no such key" apart from a file that is not there.
func (p Place) unlost(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.NotFound {
		return fault.New(fault.Denied, f.Attempt, f.Object, f.Reason)
	}
	return err
}

// Load reads the master key of the place; the fault is NotFound where there is no such file. A keeper is given 30 seconds.
func (p Place) Load(ctx context.Context) (*Master, error) {
	const attempt = "load master key"
	text, err := readKeyFile(p.File)
	if err != nil {
		return nil, err
	}
	version, rest, _ := strings.Cut(text, "\n")
	isSealed := strings.TrimSpace(version) == sealedVersion
	switch {
	case p.Keeper == "" && isSealed:
		return nil, fault.New(fault.Invalid, attempt, p.File, "the key in it is sealed: name the keeper that opens it")
	case p.Keeper == "":
		return parseMaster(p.File, text)
	case !isSealed:
		return nil, fault.New(fault.Invalid, attempt, p.File, `the first line is not "`+sealedVersion+`"`)
	}
	keeper, coded, ok := strings.Cut(rest, "\n")
	keeper, named := strings.CutPrefix(strings.TrimSpace(keeper), keeperLine)
	sealed, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(coded))
	if !ok || !named || err != nil {
		return nil, fault.New(fault.Invalid, attempt, p.File, "it does not hold a keeper's name and what it sealed, in base64")
	}
	if keeper != p.scheme() {
		return nil, fault.New(fault.Denied, attempt, p.File, "the key in it was sealed by another kind of keeper than "+p.scheme())
	}
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	k, err := p.open(ctx, attempt)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	b, err := k.Decrypt(ctx, sealed)
	if err != nil {
		return nil, p.unlost(p.refused(attempt, err))
	}
	if len(b) != len(Key{}) {
		return nil, fault.New(fault.Corrupt, attempt, p.File, "what its keeper opens is not a key")
	}
	return newMaster(Key(b))
}
