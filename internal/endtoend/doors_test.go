package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// refused is an answer that says that nothing was kept, and to come again.
type refused struct{ words string }

func (r refused) Error() string { return "refused: " + r.words }

// by sends one image to the collection that keeps what it is given, by one door: nil, it was acknowledged; refused, its sender was told to come again; anything else is no
// answer, or a wrong one.
func (n *served) by(ctx context.Context, door string, i *image, drop func() (*sftp.Client, error)) error {
	switch door {
	case "C-STORE":
		a, err := n.dial(ctx, "KEPT", []*image{i})
		if r, ok := errors.AsType[*network.Rejection](err); ok && r.Result == network.RejectTransient {
			return refused{err.Error()}
		}
		if err != nil {
			return err
		}
		defer a.Abort()
		st, err := a.Store(ctx, &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data})
		switch {
		case err != nil:
			return err
		case st.Done():
			_ = a.Release(ctx) // what was said stands
			return nil
		case st.Code == network.StatusOutOfResources && st.Comment != "":
			return refused{st.Comment}
		}
		return fmt.Errorf("status %v %s", st, st.Comment)
	case "STOW-RS":
		a := n.stow(kept, i)
		switch {
		case a.err != nil:
			return a.err
		case a.code == http.StatusOK && len(a.kept) == 1:
			return nil
		}
		return answered(a.answer)
	case "upload":
		at, a := n.upload(kept, int64(len(i.file)), "")
		if a.err == nil && a.code == http.StatusCreated {
			a = n.patch(at, 0, bytes.NewReader(i.file))
		}
		switch {
		case a.err != nil:
			return a.err
		case a.code == http.StatusNoContent && a.header.Get("Vitrine-Outcome") == "kept":
			return nil
		}
		return answered(a)
	case "SFTP":
		s, err := drop()
		if err != nil {
			return err
		}
		err = put(s, "/IM", i.file)
		if st, ok := errors.AsType[*sftp.StatusError](err); ok && strings.Contains(st.Error(), "again") {
			return refused{st.Error()}
		}
		return err
	}
	return errors.New("there is no such door")
}

// answered is a refusal of HTTP's: 503 or 507, with words that say what to do.
func answered(a answer) error {
	if a.code == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" || a.code == http.StatusInsufficientStorage {
		if words := string(a.body); strings.Contains(words, "gain") && !strings.Contains(words, "Unavailable.") {
			return refused{words}
		}
	}
	return fmt.Errorf("status %d %v: %.300s", a.code, a.header, a.body)
}

// doors sends by several doors at once, until it is told to end.
type doors struct {
	t    *testing.T
	n    *served
	book *ledger
	// lax: connections may break; the node is being killed.
	lax bool

	stop  context.CancelFunc
	ended sync.WaitGroup
	each  map[string]*heard
}

type heard struct {
	acked, refused, broken atomic.Int64
	longest                atomic.Int64 // nanoseconds until an answer
	words                  atomic.Value
}

// send begins to send by doors. Each door has images of its own.
func (n *served) send(t *testing.T, book *ledger, seed uint64, lax bool, names ...string) *doors {
	ctx, stop := context.WithCancel(t.Context())
	d := &doors{t: t, n: n, book: book, lax: lax, stop: stop, each: map[string]*heard{}}
	var key ssh.Signer
	for k, door := range names {
		if door == "SFTP" {
			key = n.sshKey(kept)
		}
		c := &heard{}
		d.each[door] = c
		set := sample.SmallSet(seed + uint64(k))
		d.ended.Go(func() {
			var s *sftp.Client
			var line *ssh.Client
			hangUp := func() {
				if s != nil {
					s.Close()
					line.Close()
					s = nil
				}
			}
			defer hangUp()
			drop := func() (_ *sftp.Client, err error) {
				if s == nil {
					s, line, err = n.drop(kept, key)
				}
				return s, err
			}
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for k := 0; ctx.Err() == nil; k++ {
				in, err := set.Instance(k)
				if err != nil {
					t.Error(err)
					return
				}
				i := generated("", in)
				book.note(i.fingerprint(), false)
				begun := time.Now()
				err = n.by(t.Context(), door, i, drop)
				c.longest.Store(max(c.longest.Load(), int64(time.Since(begun))))
				switch r, told := errors.AsType[refused](err); {
				case err == nil:
					book.note(i.fingerprint(), true)
					c.acked.Add(1)
				case told:
					c.refused.Add(1)
					c.words.Store(r.words)
					hangUp()
				case door == "SFTP": // who cannot sign in hears no more than that
					c.broken.Add(1)
					c.words.Store(err.Error())
					hangUp()
				case lax:
					return
				default:
					c.broken.Add(1)
					t.Errorf("%s: %v", door, err)
					return
				}
				if err != nil {
					time.Sleep(50 * time.Millisecond) // as a sender waits who was refused
				}
				<-pace.C
			}
		})
	}
	return d
}

// more waits until each door has acknowledged so many more, or refused so many.
func (d *doors) more(patience time.Duration, acked, refused int64) {
	d.t.Helper()
	type pair struct{ acked, refused int64 }
	from := map[string]pair{}
	for door, c := range d.each {
		from[door] = pair{c.acked.Load(), c.refused.Load() + c.broken.Load()}
	}
	eventually(d.t, patience, func() error {
		for door, c := range d.each {
			if a, r := c.acked.Load()-from[door].acked, c.refused.Load()+c.broken.Load()-from[door].refused; a < acked || r < refused {
				return fmt.Errorf("%s has acknowledged %d and refused %d, want %d and %d", door, a, r, acked, refused)
			}
		}
		return nil
	})
}

// end stops the senders, and says what they heard.
func (d *doors) end() {
	d.t.Helper()
	d.stop()
	d.ended.Wait()
	for door, c := range d.each {
		words, _ := c.words.Load().(string)
		d.t.Logf("%s: %d acknowledged, %d refused, %d without an answer, at most %v until an answer; refused with %.160s", door, c.acked.Load(), c.refused.Load(), c.broken.Load(),
			time.Duration(c.longest.Load()).Round(time.Millisecond), words)
	}
}

// received waits until so many objects have been counted.
func (n *served) received(collection string, want int) {
	n.t.Helper()
	eventually(n.t, time.Minute, func() error {
		if a := n.get("/api/collections/"+collection+"/intake", "steward", "application/json"); a.code == http.StatusServiceUnavailable {
			return answered(a) // for some seconds after its database has come back
		}
		if c := n.intake(collection); c.Received-c.Refused < want {
			return fmt.Errorf("%+v, want %d", c, want)
		}
		return nil
	})
}

// allThere reads the packs of a node that has ended: everything that was acknowledged is there, once, and nothing that was not sent.
func (n *served) allThere(book *ledger) {
	n.t.Helper()
	there := map[string]bool{}
	n.stored(kept, func(l catalogue.Located, syntax string, data []byte) {
		key := fingerprint(string(l.SOP), syntax, data)
		if !book.acked[key] && !book.sent[key] {
			n.t.Errorf("object %s is nothing that was sent", l.ID)
		}
		if there[key] {
			n.t.Errorf("object %s is there twice", l.ID)
		}
		there[key] = true
	})
	lost := 0
	for key := range book.acked {
		if !there[key] {
			lost++
		}
	}
	if lost > 0 {
		n.t.Errorf("%d of %d acknowledged objects are gone", lost, len(book.acked))
	}
	n.verify()
}

// silent wants a log that names nobody, and no panic.
func (n *served) silent() {
	n.t.Helper()
	n.calm()
	log := readFile(n.t.(*testing.T), n.logged)
	for _, word := range []string{"Bench", "BEN0", "Calderthwaite", "Weavers"} { // what the generated images have of patients and places
		if i := bytes.Index(log, []byte(word)); i >= 0 {
			n.t.Errorf("the log names somebody: %.200s", log[max(0, i-100):])
		}
	}
}
