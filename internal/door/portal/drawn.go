package portal

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

const (
	// drawnFor is how long a picture of a public page is remembered, and drawnBytes how much of such pictures: a page of the directory shows dozens to everybody, and each would
	// be read, deciphered, decoded and encoded for every visitor.
	drawnFor   = 10 * time.Minute
	drawnBytes = 32 << 20
)

// drawnOf is what a picture is drawn of: of which bytes, and how.
type drawnOf struct {
	object catalogue.InstanceID
	ref    catalogue.Ref
	frame  int64
	window string
}

// drawn remembers pictures of public pages as they were drawn. Whether one may be seen is decided before it is asked, each time. It is safe for use by many goroutines.
type drawn struct {
	now func() time.Time // nil: time.Now

	group singleflight.Group
	mu    sync.Mutex
	by    map[drawnOf]drawnPicture
	bytes int
}

type drawnPicture struct {
	b     []byte
	until time.Time
}

// get gives a picture that is remembered, or draws it; whoever asks for one that is being drawn waits for it.
func (d *drawn) get(of drawnOf, draw func() ([]byte, error)) ([]byte, error) {
	if b, ok := d.remembered(of); ok {
		return b, nil
	}
	v, err, _ := d.group.Do(fmt.Sprint(of), func() (any, error) {
		if b, ok := d.remembered(of); ok {
			return b, nil
		}
		b, err := draw()
		if err == nil {
			d.remember(of, b)
		}
		return b, err
	})
	if err != nil {
		return nil, err
	}
	return v.([]byte), nil
}

func (d *drawn) clock() time.Time {
	if d.now != nil {
		return d.now()
	}
	return time.Now()
}

func (d *drawn) remembered(of drawnOf) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.by[of]
	return p.b, ok && d.clock().Before(p.until)
}

func (d *drawn) remember(of drawnOf, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[drawnOf]drawnPicture{}
	}
	now := d.clock()
	d.forget(of)
	for k, p := range d.by { // first what is past its time, then whatever comes first
		if !now.Before(p.until) {
			d.forget(k)
		}
	}
	for k := range d.by {
		if d.bytes+len(b) <= drawnBytes {
			break
		}
		d.forget(k)
	}
	if len(b) <= drawnBytes {
		d.by[of] = drawnPicture{b, now.Add(drawnFor)}
		d.bytes += len(b)
	}
}

func (d *drawn) forget(of drawnOf) {
	d.bytes -= len(d.by[of].b)
	delete(d.by, of)
}
