package dicom

// Limits bound what a parser takes before it gives up with [ErrTooLarge] or [ErrDepth]. The zero value of a field means the default.
type Limits struct {
	Depth     int   // nesting of sequences; default 64
	Elements  int   // entries of the index, items included; default 2,000,000
	HeadBytes int   // bytes of everything but bulk; default 128 MiB
	BulkBytes int64 // bytes of one bulk value; default 1 TiB
	Inflated  int64 // bytes that a deflated data set may always grow to; default 256 MiB
	// Grow, where it is given, is asked before the head of a stream takes so many bytes of memory, from 4 MiB on; its error ends the reading.
	Grow         func(bytes int) error
	InflateRatio int64 // beyond Inflated, the largest ratio of inflated to deflated bytes; default 200
}

// DefaultLimits are the bounds where none are given.
var DefaultLimits = Limits{
	Depth:        64,
	Elements:     2_000_000,
	HeadBytes:    128 << 20,
	BulkBytes:    1 << 40,
	Inflated:     256 << 20,
	InflateRatio: 200,
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	if l.Depth > 0 {
		d.Depth = min(l.Depth, 120) // the index counts two levels for each in eight bits
	}
	if l.Elements > 0 {
		d.Elements = l.Elements
	}
	if l.HeadBytes > 0 {
		d.HeadBytes = l.HeadBytes
	}
	if l.BulkBytes > 0 {
		d.BulkBytes = l.BulkBytes
	}
	if l.Inflated > 0 {
		d.Inflated = l.Inflated
	}
	d.Grow = l.Grow
	if l.InflateRatio > 0 {
		d.InflateRatio = l.InflateRatio
	}
	return d
}
