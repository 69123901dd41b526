package link

import (
	"fmt"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// size writes a number of bytes for people.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	x, i := float64(n), 0
	for x >= 999.5 && i < len(units)-1 {
		x /= 1000
		i++
	}
	if i > 0 && x < 9.95 {
		return fmt.Sprintf("%.1f %s", x, units[i])
	}
	return fmt.Sprintf("%.0f %s", x, units[i])
}

// View is a link as the API and the command line show it.
type View struct {
	ID         string     `json:"id"`
	Collection string     `json:"collection"`
	State      string     `json:"state"`
	Label      string     `json:"label,omitempty"`
	For        string     `json:"for,omitempty"`
	MadeBy     string     `json:"made_by"`
	Made       time.Time  `json:"made"`
	Expires    time.Time  `json:"expires"`
	Revoked    *time.Time `json:"revoked,omitempty"`
	QuotaBytes int64      `json:"quota_bytes"`
	QuotaFiles int64      `json:"quota_files"`
	UsedBytes  int64      `json:"used_bytes"`
	UsedFiles  int64      `json:"used_files"`
	LastUsed   *time.Time `json:"last_used,omitempty"`
	Mail       string     `json:"mail,omitempty"`
	MailWhy    string     `json:"mail_why,omitempty"`
	Link       string     `json:"link,omitempty"` // in the answer to who makes it alone
}

// ViewOf shows a link.
func ViewOf(l Link) View {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return View{ID: l.ID, Collection: string(l.Collection), State: l.State, Label: l.Label, For: l.For, MadeBy: l.Maker, Made: l.Created.UTC(), Expires: l.Expires.UTC(), Revoked: at(l.Revoked),
		QuotaBytes: l.Quota.Bytes, QuotaFiles: l.Quota.Uploads, UsedBytes: l.Used.Bytes, UsedFiles: l.Used.Uploads, LastUsed: at(l.LastUsed), Mail: string(l.Mail), MailWhy: l.MailWhy, Link: l.Address}
}

// NewLink is a link that is to be made, as the API and the command line take it.
type NewLink struct {
	Label string `json:"label,omitempty"`
	For   string `json:"for,omitempty"`
	Days  int64  `json:"days,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	Files int64  `json:"files,omitempty"`
	Mail  bool   `json:"mail,omitempty"`
}

// Wish reads it.
func (n NewLink) Wish() (Wish, error) {
	if n.Days < 0 || n.Days > int64(LongestFor/(24*time.Hour)) {
		return Wish{}, fault.New(fault.Invalid, "make link", "", "a link lasts 90 days at most")
	}
	return Wish{Label: n.Label, For: n.For, Lasts: time.Duration(n.Days) * 24 * time.Hour, Bytes: n.Bytes, Files: n.Files, Mail: n.Mail}, nil
}
