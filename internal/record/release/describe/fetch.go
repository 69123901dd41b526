package describe

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// WriteTCIA writes a manifest of the NBIA Data Retriever (.tcia, version 3.0): the series of the release, each on a line. Objects that are in no series are not in it.
// The server is the address that serves series as NBIA's does.
func WriteTCIA(w io.Writer, r *Release, server string, entries Entries) error {
	if err := r.listable("write TCIA manifest"); err != nil {
		return err
	}
	var c checker
	if c.link("server", server, true); c.err != nil {
		return c.err
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "downloadServerUrl=%s\nincludeAnnotation=true\nnoOfrRetry=4\ndatabasketId=manifest-%s-%s.tcia\nmanifestVersion=3.0\nListOfSeriesToDownload=\n",
		server, r.Dataset, r.Version)
	err := eachSeries(entries, func(s Series) error {
		_, err := b.WriteString(s.Series + "\n")
		return err
	})
	if err != nil {
		return err
	}
	return b.Flush()
}

// WriteS5cmd writes a manifest of s5cmd (s5cmd run FILE): a line `cp URL PATH` for each object. The function gives each its address, s3://BUCKET/KEY.
func WriteS5cmd(w io.Writer, r *Release, address func(Entry) (string, error), entries Entries) error {
	const attempt = "write s5cmd manifest"
	if err := r.listable(attempt); err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintf(b, "# %s\n# root %s\n", r.name(), r.Root)
	for e, err := range present(entries) {
		if err != nil {
			return err
		}
		from, err := address(e)
		if err != nil {
			return err
		}
		// s5cmd takes these for patterns; a key of ours has none.
		if u, err := url.Parse(from); err != nil || u.Scheme != "s3" || u.Host == "" || u.Path == "" || !printable(from) || strings.ContainsAny(from, "*?[") {
			return fault.New(fault.Invalid, attempt, "address of an object", "it is no s3://BUCKET/KEY, or has a pattern in it")
		}
		if _, err := b.WriteString("cp " + quoted(from) + " " + quoted(e.Path) + "\n"); err != nil {
			return err
		}
	}
	return b.Flush()
}

// listable refuses a release whose entries are no longer to be had.
func (r *Release) listable(attempt string) error {
	if err := r.Check(); err != nil {
		return err
	}
	if r.gone() {
		return fault.New(fault.Conflict, attempt, "", "the release was withdrawn: it has no entries to list")
	}
	return nil
}

// quoted is a word of a command line, in single quotes where it has anything in it that a shell could take otherwise.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:@%+=,", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
