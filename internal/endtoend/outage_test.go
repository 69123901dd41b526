package endtoend

import (
	"bytes"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
)

// When the database is gone, every door says so and to come again; when it is back, everything goes on, and nothing that was acknowledged is lost.
func TestDatabaseGone(t *testing.T) {
	server := dbtest.NewServer(t)
	n := serve(t, setup{database: server.URL()})
	book := newLedger()
	d := n.send(t, book, 600, false, "C-STORE", "STOW-RS", "upload", "SFTP")
	for range 2 {
		d.more(time.Minute, 3, 0)
		server.Stop()
		d.more(time.Minute, 0, 3)
		if a := n.get("/healthz", "", "application/json"); a.code != 200 {
			t.Errorf("/healthz: status %d, %v", a.code, a.err)
		}
		if a := n.get("/readyz", "", "application/json"); a.code != 503 {
			t.Errorf("/readyz: status %d, %v", a.code, a.err)
		}
		for _, path := range []string{"/dicomweb/studies", "/api/collections", "/"} {
			if a := n.get(path, "steward", "application/json"); a.code != 503 || a.header.Get("Retry-After") == "" {
				t.Errorf("%s: status %d, %v: %.200s", path, a.code, a.err, a.body)
			}
		}
		server.Start()
		d.more(time.Minute, 3, 0)
	}
	d.end()
	for door, c := range d.each {
		if long := time.Duration(c.longest.Load()); long > 20*time.Second {
			t.Errorf("%s answered after %v", door, long)
		}
	}
	acked, _ := book.count()
	n.received(kept, acked)
	n.unharmed()
	n.silent()
	n.stop()
	n.allThere(book)
	// A node does not start without it, and says why.
	server.Stop()
	r := n.run("serve", "--http", "127.0.0.1:0", "--dicom", "off", "--sftp", "off")
	if r.code == 0 || !bytes.Contains(r.err, []byte("PostgreSQL cannot be reached")) {
		t.Errorf("without a database it ended with %d: %s", r.code, r.err)
	}
}
