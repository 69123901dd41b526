package directory

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

//go:embed migrations_pictures
var pictureMigrations embed.FS

// MaxPictures is how many pictures stand for a collection.
const MaxPictures = 8

// Picture is a frame of an instance that was picked to stand for a collection on its public page. Whether it is still to be seen is decided when it is asked for, by the state
// of the instance: a row here permits nothing.
type Picture struct {
	Collection collection.ID
	N          int64 // names it within the collection, for good
	Instance   int64 // the catalogue's number
	Frame      int64 // from 1
	Modality   string
	View       string // vocabulary PictureView
	Window     string // "center,width,function" as PS3.18 8.3.5.1.4 writes it; empty: as the image says
	By         string
	At         time.Time
}

// Caption is what a picture shows, made of fixed words alone.
func (p *Picture) Caption() string {
	kind := p.Modality
	if t, ok := vocabulary.Modality.Get(p.Modality); ok {
		kind = capital(t.Lay)
	}
	if p.View == "" || p.View == "picture" {
		return kind
	}
	v := vocabulary.PictureView.Label(p.View)
	return kind + ", " + lowered(v)
}

// Chosen is the window that the picture is drawn with, if it is not the image's own.
func (p *Picture) Chosen() (center, width float64, function string, ok bool) {
	parts := strings.Split(p.Window, ",")
	if len(parts) != 3 || len(p.Window) > 100 {
		return 0, 0, "", false
	}
	center, err1 := strconv.ParseFloat(parts[0], 64)
	width, err2 := strconv.ParseFloat(parts[1], 64)
	finite := func(f float64) bool { return f-f == 0 }
	ok = err1 == nil && err2 == nil && finite(center) && finite(width) && width > 0 && (parts[2] == "linear" || parts[2] == "linear-exact" || parts[2] == "sigmoid")
	return center, width, parts[2], ok
}

func capital(s string) string {
	if s == "" {
		return s
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		return string(c-32) + s[1:]
	}
	return s
}

func lowered(s string) string {
	if s == "" {
		return s
	}
	if c := s[0]; c >= 'A' && c <= 'Z' {
		return string(c+32) + s[1:]
	}
	return s
}

// PictureRecord is which pictures were picked.
type PictureRecord struct{ d *db.DB }

// OpenPictures brings the table up to date.
func OpenPictures(ctx context.Context, d *db.DB) (*PictureRecord, error) {
	files, err := fs.Sub(pictureMigrations, "migrations_pictures")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "directory_pictures", files); err != nil {
		return nil, err
	}
	return &PictureRecord{d: d}, nil
}

const pictureColumns = `SELECT collection, n, instance, frame, modality, shows, shown_window, picked_by, picked_at FROM directory_picture`

func scanPicture(row interface{ Scan(...any) error }) (Picture, error) {
	var p Picture
	var at int64
	err := row.Scan(&p.Collection, &p.N, &p.Instance, &p.Frame, &p.Modality, &p.View, &p.Window, &p.By, &at)
	p.At = db.Time(at)
	return p, err
}

// Of are the pictures of a collection in their order.
func (r *PictureRecord) Of(ctx context.Context, c collection.ID) ([]Picture, error) {
	rows, err := r.d.Query(ctx, pictureColumns+` WHERE collection = ? ORDER BY place, n`, string(c))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Picture
	for rows.Next() {
		p, err := scanPicture(rows)
		if err != nil {
			return nil, db.Fault("list pictures", err)
		}
		all = append(all, p)
	}
	return all, db.Fault("list pictures", rows.Err())
}

func order(tx *db.Tx, c collection.ID) ([]int64, error) {
	rows, err := tx.Query(`SELECT n FROM directory_picture WHERE collection = ? ORDER BY place, n`, string(c))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// Pick adds a picture behind the others and gives its number. One that is there already is a fault.Conflict, more than there is room for fault.Invalid.
func (r *PictureRecord) Pick(tx *db.Tx, p Picture) (int64, error) {
	const attempt = "pick picture"
	on := "collection " + string(p.Collection)
	if p.Frame < 1 || p.Instance < 1 || !vocabulary.PictureView.Has(p.View) {
		return 0, fault.New(fault.Invalid, attempt, on, "the picture, or what it shows, is none that there is")
	}
	if !vocabulary.Modality.Has(p.Modality) {
		p.Modality = OtherModality
	}
	if _, _, _, ok := p.Chosen(); !ok && p.Window != "" {
		return 0, fault.New(fault.Invalid, attempt, on, "the window is not written as center, width, function")
	}
	if err := tx.Lock("directory pictures " + string(p.Collection)); err != nil {
		return 0, err
	}
	all, err := order(tx, p.Collection)
	if err != nil {
		return 0, err
	}
	var there int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM directory_picture WHERE collection = ? AND instance = ? AND frame = ?`, string(p.Collection), p.Instance, p.Frame).Scan(&there); err != nil {
		return 0, err
	}
	switch {
	case there > 0:
		return 0, fault.New(fault.Conflict, attempt, on, "the picture is on the page already")
	case len(all) >= MaxPictures:
		return 0, fault.New(fault.Invalid, attempt, on, fmt.Sprintf("%d pictures are on the page already: take one away first", MaxPictures))
	}
	n, place := int64(1), int64(len(all)+1)
	for _, k := range all {
		n = max(n, k+1)
	}
	if err := r.renumber(tx, p.Collection, all); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO directory_picture (collection, n, place, instance, frame, modality, shows, shown_window, picked_by, picked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(p.Collection), n, place, p.Instance, p.Frame, p.Modality, p.View, p.Window, p.By, db.Micros(time.Now()))
	return n, err
}

func (r *PictureRecord) renumber(tx *db.Tx, c collection.ID, all []int64) error {
	for i, n := range all {
		if _, err := tx.Exec(`UPDATE directory_picture SET place = ? WHERE collection = ? AND n = ?`, int64(i+1), string(c), n); err != nil {
			return err
		}
	}
	return nil
}

func noPicture(c collection.ID) error {
	return fault.New(fault.NotFound, "find picture", "collection "+string(c), "there is no such picture on the page")
}

// Remove takes a picture away.
func (r *PictureRecord) Remove(tx *db.Tx, c collection.ID, n int64) error {
	res, err := tx.Exec(`DELETE FROM directory_picture WHERE collection = ? AND n = ?`, string(c), n)
	if err != nil {
		return err
	}
	k, err := res.RowsAffected()
	if err == nil && k == 0 {
		err = noPicture(c)
	}
	return err
}

// Move brings a picture nearer to the front, or further back if by is positive.
func (r *PictureRecord) Move(tx *db.Tx, c collection.ID, n int64, by int) error {
	if err := tx.Lock("directory pictures " + string(c)); err != nil {
		return err
	}
	all, err := order(tx, c)
	if err != nil {
		return err
	}
	i := slices.Index(all, n)
	if i < 0 {
		return noPicture(c)
	}
	all = slices.Insert(slices.Delete(all, i, i+1), max(0, min(i+by, len(all)-1)), n)
	return r.renumber(tx, c, all)
}

// Describe says what a picture shows.
func (r *PictureRecord) Describe(tx *db.Tx, c collection.ID, n int64, view string) error {
	if !vocabulary.PictureView.Has(view) {
		return fault.New(fault.Invalid, "describe picture", "collection "+string(c), "what it shows is not on the list of captions")
	}
	res, err := tx.Exec(`UPDATE directory_picture SET shows = ? WHERE collection = ? AND n = ?`, view, string(c), n)
	if err != nil {
		return err
	}
	k, err := res.RowsAffected()
	if err == nil && k == 0 {
		err = noPicture(c)
	}
	return err
}
