package dicomweb

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
)

const (
	modelsAtOnce = 4        // requests that send metadata and bulk values apart
	maxModels    = 16 << 20 // bytes of metadata of one request
	maxApart     = 32 << 20 // bytes of bulk values of one request that wait for others
	maxElements  = 500_000  // of the metadata of one part
	maxCopied    = 64 << 20 // bytes of values that several instances of a request share, counted for each but the first
)

// apart puts instances together whose metadata and bulk values come in parts of their own (PS3.18 10.5.1.4). Metadata, and values that others have to be waited for, are held
// in memory within bounds; the last value of an instance passes through as it comes, however long it is.
type apart struct {
	d       *Door
	dep     Deposit
	study   string
	results []*stored
	waiting map[string][]*bulkValue // by address
	order   []*model
	held    int64 // bytes of values
	copied  int64 // bytes of values that were shared
	text    int64 // bytes of metadata
	scratch []byte
	broken  bool // some metadata could not be read: values without an owner are to be expected
	mark    []byte
	marks   uint64
	working sync.WaitGroup
	slots   chan struct{}
}

// model is an instance of which the metadata were read.
type model struct {
	result *stored
	data   *dicom.Dataset
	values []*bulkValue
	absent int  // values that have not come
	gone   bool // handed over, or refused
}

// bulkValue is a value that comes in a part of its own.
type bulkValue struct {
	of   *model
	elem int // in the model's data set, where a mark stands for it
	raw  []byte
	held int64 // bytes that are counted for it
	form bulkForm
}

// bulkForm is what the Content-Type of a part makes of a value.
type bulkForm struct {
	media  string
	syntax *dicom.TransferSyntax // nil: none is named
}

// markLength is that of the marks that stand for values: a multiple of every word.
const markLength = 48

func (d *Door) receiveApart(ctx context.Context, dep Deposit, study string, m *multipartReader) ([]*stored, error) {
	if err := d.models.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer d.models.Release(1)
	mark := make([]byte, 16)
	rand.Read(mark) // it does not fail
	a := &apart{d: d, dep: dep, study: study, waiting: map[string][]*bulkValue{}, mark: []byte("bulk:" + strings.ToLower(hexText(mark))), slots: make(chan struct{}, partsAtOnce)}
	defer a.working.Wait()
	for parts := 0; ; parts++ {
		p, err := m.Next()
		if errors.Is(err, io.EOF) {
			a.working.Wait()
			a.rest("a bulk value that it refers to is in no part of the request")
			return a.results, nil
		}
		if err == nil && parts == maxParts {
			err = fault.New(fault.TooLarge, "store instances", "", "the body has more than 100,000 parts")
		} else if err != nil {
			err = bodyError(err)
		}
		if err == nil {
			err = a.part(ctx, p)
		}
		if err != nil {
			a.working.Wait()
			a.rest("the body ended before its bulk values came")
			return a.results, err
		}
	}
}

func hexText(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// part takes metadata or a value. An error is one of the body.
func (a *apart) part(ctx context.Context, p *part) error {
	src := &sensed{r: p}
	media, err := p.mediaType()
	if err == nil && (media == "application/dicom+json" || media == "application/dicom+xml") {
		a.metadata(ctx, src, media)
	} else {
		a.value(ctx, p, src)
	}
	if src.err != nil {
		return bodyError(src.err)
	}
	return nil
}

func refusedAs(code, where, text string, kind fault.Kind) *custody.Refusal {
	return &custody.Refusal{Reason: custody.Reason{Code: code, Where: where, Text: text}, Err: fault.New(kind, "store instance", where, text)}
}

// other notes a failure that is no instance's.
func (a *apart) other(err error) {
	a.results = append(a.results, &stored{ordinal: int64(len(a.results)) + 1, err: err})
}

func (a *apart) metadata(ctx context.Context, src io.Reader, media string) {
	in := &io.LimitedReader{R: src, N: maxModels - a.text + 1}
	before := in.N
	lim := dicom.Limits{HeadBytes: maxModels, Elements: maxElements}
	var found []*model
	addresses := map[uint64]string{}
	bulk := func(uri string) ([]byte, error) {
		if uri = strings.TrimSpace(uri); uri == "" || len(uri) > 2048 || len(addresses) >= maxParts {
			return nil, &dicom.Error{Op: "read metadata", Offset: -1, Reason: "no address, or one that is too long", Kind: dicom.ErrMalformed}
		}
		a.marks++
		addresses[a.marks] = uri
		return a.markOf(a.marks), nil
	}
	each := func(d *dicom.Dataset) error {
		if len(a.results)+len(found) >= maxParts {
			return &dicom.Error{Op: "read metadata", Offset: -1, Reason: "more instances than a request may have", Kind: dicom.ErrTooLarge}
		}
		found = append(found, &model{data: d})
		return nil
	}
	var err error
	if media == "application/dicom+json" {
		err = dicom.EachJSON(in, lim, bulk, each)
	} else {
		var d *dicom.Dataset
		if d, err = dicom.FromXML(in, lim, bulk); err == nil {
			err = each(d)
		}
	}
	a.text += before - in.N
	if a.text > maxModels {
		err = &dicom.Error{Op: "read metadata", Offset: -1, Reason: "more than 16 MiB of metadata", Kind: dicom.ErrTooLarge}
	}
	if err != nil {
		a.broken = true
		refusal := refusedAs("metadata", "", "the metadata cannot be read", fault.Invalid)
		if e, ok := errors.AsType[*dicom.Error](err); ok {
			refusal.Reason.Where, refusal.Reason.Text = e.Path, strings.Trim(e.Kind.Error()+": "+e.Reason, ": ")
			if errors.Is(e.Kind, dicom.ErrTooLarge) || errors.Is(e.Kind, dicom.ErrDepth) {
				refusal.Err = fault.New(fault.TooLarge, "store instance", "", "the metadata are beyond a limit")
			}
		}
		a.other(refusal)
		return
	}
	for _, m := range found {
		m.result = &stored{ordinal: int64(len(a.results)) + 1}
		a.results = append(a.results, m.result)
		a.order = append(a.order, m)
		for i := range m.data.Len() {
			n, ok := a.marked(m.data.Value(i))
			if !ok || m.data.At(i).IsSequence() || m.data.At(i).IsItem() {
				continue
			}
			v := &bulkValue{of: m, elem: i}
			m.values = append(m.values, v)
			m.absent++
			a.waiting[addresses[n]] = append(a.waiting[addresses[n]], v)
		}
		if len(m.values) == 0 {
			a.send(ctx, m, nil, nil, 0)
		}
	}
}

func (a *apart) markOf(n uint64) []byte {
	b := bytes.Repeat([]byte{'.'}, markLength)
	copy(b, a.mark)
	s := strconv.FormatUint(n, 10)
	copy(b[markLength-len(s):], s)
	return b
}

func (a *apart) marked(v []byte) (n uint64, ok bool) {
	if len(v) != markLength || !bytes.HasPrefix(v, a.mark) {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimLeft(string(v[len(a.mark):]), "."), 10, 64)
	return n, err == nil
}

// value gives a part to the instances that refer to it.
func (a *apart) value(ctx context.Context, p *part, src io.Reader) {
	address := strings.TrimSpace(p.header.Get("Content-Location"))
	if _, ok := a.waiting[address]; !ok {
		if id := strings.Trim(p.header.Get("Content-ID"), " <>"); id != "" {
			address = "cid:" + id
		}
	}
	owners := a.waiting[address]
	owners = slices.DeleteFunc(owners, func(v *bulkValue) bool { return v.of.gone })
	if len(owners) == 0 {
		if _, known := a.waiting[address]; !known && !a.broken {
			a.other(refusedAs("bulk-data", "", "a part that no metadata before it refers to", fault.Invalid))
		}
		return
	}
	delete(a.waiting, address)
	form, refusal := formOf(p)
	size := int64(-1)
	if s := p.header.Get("Content-Length"); s != "" {
		n, err := strconv.ParseInt(s, 10, 63)
		if err != nil || n < 0 {
			refusal = refusedAs("bulk-data", "", "the Content-Length of a part is no number", fault.Invalid)
		}
		size = n
	}
	if refusal != nil {
		for _, v := range owners {
			a.refuse(v.of, refusal)
		}
		return
	}
	// An instance whose other values are all there takes this one as it comes.
	if v := owners[0]; len(owners) == 1 && v.of.absent == 1 && v.of.data.At(v.elem).Parent == dicom.Root {
		v.form = form
		a.send(ctx, v.of, v, src, size)
		return
	}
	if a.scratch == nil {
		a.scratch = make([]byte, 0, 64<<10)
	}
	raw, whole, err := custody.FromReader(src).ReadAll(a.scratch, int(maxApart-a.held)+1)
	if len(raw) < cap(raw)/2 {
		raw = bytes.Clone(raw)
	} else if cap(raw) == cap(a.scratch) {
		a.scratch = nil
	}
	switch {
	case err != nil:
		return // the body's, which the caller sees
	case int64(len(raw))*int64(len(owners)-1) > maxCopied-a.copied:
		refusal = refusedAs("resources", "", "too many instances share a bulk value of this length", fault.TooLarge)
	case !whole || a.held+int64(len(raw)) > maxApart:
		refusal = refusedAs("resources", "", "its bulk values are too long to wait for each other", fault.TooLarge)
	case size >= 0 && size != int64(len(raw)):
		refusal = refusedAs("bulk-data", "", "a part is not as long as its Content-Length says", fault.Invalid)
	}
	if refusal != nil {
		for _, v := range owners {
			a.refuse(v.of, refusal)
		}
		return
	}
	a.held += int64(len(raw))
	a.copied += int64(len(raw)) * int64(len(owners)-1)
	for i, v := range owners {
		v.raw, v.form = raw, form
		if i > 0 {
			v.held = 0 // it is there once
		} else {
			v.held = int64(len(raw))
		}
		if v.of.absent--; v.of.absent == 0 {
			a.send(ctx, v.of, nil, nil, 0)
		}
	}
}

// formOf reads what the Content-Type of a part says of its value.
func formOf(p *part) (bulkForm, *custody.Refusal) {
	f := bulkForm{media: octets}
	s := p.header.Get("Content-Type")
	if s == "" {
		return f, nil
	}
	media, params, err := mime.ParseMediaType(s)
	if err != nil {
		if media, params = looseMediaType(s); media == "" {
			return f, refusedAs("media-type", "", "the Content-Type of a part cannot be read", fault.Invalid)
		}
	}
	f.media = media
	if uid := params["transfer-syntax"]; uid != "" {
		var known bool
		if f.syntax, known = dicom.LookupTransferSyntax(uid); !known {
			return f, refusedAs("unknown-transfer-syntax", "", "the transfer syntax of a part is unknown", fault.Invalid)
		}
	}
	return f, nil
}

func (a *apart) refuse(m *model, err *custody.Refusal) {
	if m.gone {
		return
	}
	named := *err
	named.SOPClassUID, named.SOPInstanceUID = m.data.UID(dicom.TagSOPClassUID), m.data.UID(dicom.TagSOPInstanceUID)
	if !dicom.ValidUID(named.SOPInstanceUID) {
		named.SOPInstanceUID = ""
	}
	m.result.err = &named
	a.leave(m)
}

// leave lets go of what was held of an instance.
func (a *apart) leave(m *model) {
	m.gone = true
	for _, v := range m.values {
		a.held -= v.held
		v.raw, v.held = nil, 0
	}
	m.values = nil
}

// rest refuses what still waits.
func (a *apart) rest(why string) {
	for _, m := range a.order {
		a.refuse(m, refusedAs("bulk-data", "", why, fault.Invalid))
	}
}

// send hands an instance over, its last value coming from src. What is small, and whole in memory, is handed over beside others.
func (a *apart) send(ctx context.Context, m *model, last *bulkValue, src io.Reader, size int64) {
	parts, total, refusal := a.file(m, last, src, size)
	if refusal != nil {
		a.refuse(m, refusal)
		return
	}
	result := m.result
	if src != nil || total < 0 || total > smallPart {
		a.d.receive(ctx, a.dep, a.study, custody.FromReader(io.MultiReader(parts...)), result)
		if slices.ContainsFunc(parts, func(r io.Reader) bool { e, ok := r.(*exactly); return ok && e.wrong }) {
			result.receipt, result.err = custody.Receipt{}, nil
			a.refuse(m, refusedAs("bulk-data", dicom.TagPixelData.String(), "a bulk value is not as long as it has to be", fault.Invalid))
			return
		}
		if s, ok := src.(*sensed); ok && s.err != nil {
			result.receipt, result.err = custody.Receipt{}, nil
			a.refuse(m, refusedAs("bulk-data", m.data.Path(last.elem), cutShort, fault.Invalid))
			return
		}
		a.leave(m)
		return
	}
	a.leave(m)
	a.slots <- struct{}{}
	a.working.Go(func() {
		defer func() { <-a.slots }()
		a.d.receive(ctx, a.dep, a.study, custody.FromReader(io.MultiReader(parts...)), result)
	})
}

// through is a value that is spliced into the header's bytes rather than made a part of them.
type through struct {
	*bulkValue
	src  io.Reader
	size int64
}

// file is an instance as a Part 10 file, in pieces; total is its length without the headers of what is spliced in, -1 where it is not known.
func (a *apart) file(m *model, last *bulkValue, src io.Reader, size int64) (pieces []io.Reader, total int64, refusal *custody.Refusal) {
	edit := m.data.Edit()
	var spliced []through
	for _, v := range m.values {
		switch e := m.data.At(v.elem); {
		case v == last:
			spliced = append(spliced, through{v, src, size})
		case e.Tag == dicom.TagPixelData && e.Parent == dicom.Root: // they may be code streams
			spliced = append(spliced, through{v, bytes.NewReader(v.raw), int64(len(v.raw))})
		default:
			edit.SetElement(v.elem, m.data.VR(v.elem), v.raw)
		}
	}
	malformed := func(text string) ([]io.Reader, int64, *custody.Refusal) {
		return nil, 0, refusedAs("bulk-data", "", text, fault.Invalid)
	}
	r, err := edit.Render()
	if err != nil {
		return malformed("a bulk value does not fit its VR")
	}
	var buf bytes.Buffer
	if _, err := r.WriteTo(&buf, func(b dicom.BulkRef) (io.Reader, error) { return bytes.NewReader(m.data.Value(b.Elem)), nil }); err != nil {
		return malformed("the metadata cannot be written")
	}
	head := buf.Bytes()
	syntax := dicom.ExplicitVRLittleEndian
	total = int64(len(head))
	if len(spliced) > 0 {
		d, err := dicom.ParseDataset(head, syntax, dicom.Limits{HeadBytes: len(head) + 1})
		if err != nil {
			return malformed("the metadata cannot be written")
		}
		at, found := uint32(0), 0
		for i := range d.Children(dicom.Root) {
			k := slices.IndexFunc(spliced, func(s through) bool { return bytes.Equal(d.Value(i), m.data.Value(s.elem)) })
			if k < 0 {
				continue
			}
			e, s := d.At(i), spliced[k]
			found++
			if s.src, s.size, refusal = known(d, e, s.form, s.src, s.size); refusal != nil {
				return nil, 0, refusal
			}
			own, middle, refusal := splice(d, e, s.form, s.src, s.size)
			if refusal != nil {
				return nil, 0, refusal
			}
			if own != dicom.ExplicitVRLittleEndian {
				syntax = own
			}
			pieces = append(append(pieces, bytes.NewReader(head[at:e.Start])), middle...)
			at = e.End
			if total += s.size; s.size < 0 {
				total = -1 << 40
			}
		}
		if found != len(spliced) {
			return malformed("the metadata cannot be written")
		}
		head = head[at:]
	}
	meta, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: m.data.UID(dicom.TagSOPClassUID), SOPInstanceUID: m.data.UID(dicom.TagSOPInstanceUID), TransferSyntaxUID: syntax.UID,
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersionName: dicom.ImplementationVersion})
	if err != nil {
		return malformed("the metadata cannot be written")
	}
	front := append(append(make([]byte, 128, 132+len(meta.Bytes())), "DICM"...), meta.Bytes()...)
	return append(append([]io.Reader{bytes.NewReader(front)}, pieces...), bytes.NewReader(head)), max(total, -1), nil
}

const cutShort = "the body ended before the value did"

// known finds out how long a value is that says nothing of it: by reading some of it ahead, else, of pixels that are not compressed, by what the image says.
func known(d *dicom.Dataset, e *dicom.Element, form bulkForm, src io.Reader, size int64) (io.Reader, int64, *custody.Refusal) {
	if size >= 0 {
		return src, size, nil
	}
	ahead, whole, err := custody.FromReader(src).ReadAll(nil, smallPart)
	src = io.MultiReader(bytes.NewReader(ahead), src)
	switch {
	case err != nil:
		return nil, 0, refusedAs("bulk-data", e.Tag.String(), cutShort, fault.Invalid)
	case whole:
		return src, int64(len(ahead)), nil
	}
	if e.Tag == dicom.TagPixelData {
		if form.compressed() {
			return src, -1, nil
		}
		bits := int64(1)
		for _, f := range []struct {
			tag       dicom.Tag
			otherwise int64
		}{{dicom.TagRows, 0}, {dicom.TagColumns, 0}, {dicom.TagSamplesPerPixel, 1}, {dicom.TagBitsAllocated, 0}, {dicom.TagNumberOfFrames, 1}} {
			n, ok := d.Int(f.tag)
			if !ok {
				n = f.otherwise
			}
			if n < 1 || n > 1<<31 || bits > (1<<36)/n {
				bits = 0
				break
			}
			bits *= n
		}
		if bits > 0 {
			return src, (bits + 7) / 8, nil
		}
	}
	return nil, 0, refusedAs("bulk-data", e.Tag.String(), "a long bulk value needs a Content-Length", fault.Invalid)
}

// compressed reports whether the value is code streams.
func (f bulkForm) compressed() bool {
	if f.syntax != nil {
		return f.syntax.Encapsulated
	}
	return strings.HasPrefix(f.media, "image/") || strings.HasPrefix(f.media, "video/")
}

// splice is an element with its header, its value coming from src; of size -1, in fragments as it comes.
func splice(d *dicom.Dataset, e *dicom.Element, form bulkForm, src io.Reader, size int64) (*dicom.TransferSyntax, []io.Reader, *custody.Refusal) {
	le := binary.LittleEndian
	header := le.AppendUint16(le.AppendUint16(nil, e.Tag.Group()), e.Tag.Element())
	even := func(n int64) io.Reader { return bytes.NewReader(make([]byte, n%2)) }
	if e.Tag != dicom.TagPixelData || !form.compressed() {
		if form.syntax != nil && form.syntax.BigEndian && e.VR.WordSize() > 1 {
			return nil, nil, refusedAs("unknown-transfer-syntax", e.Tag.String(), "bulk values are little endian", fault.Invalid)
		}
		if size >= dicom.UndefinedLength-1 {
			return nil, nil, refusedAs("bulk-data", e.Tag.String(), "a bulk value does not fit a length of 32 bits", fault.TooLarge)
		}
		vr := e.VR
		if !vr.LongLength() && size > 0xFFFE {
			vr = dicom.VRUN // PS3.5 6.2.2
		}
		header = append(header, byte(vr>>8), byte(vr))
		if vr.LongLength() {
			header = le.AppendUint32(append(header, 0, 0), uint32(size+size%2))
		} else {
			header = le.AppendUint16(header, uint16(size+size%2))
		}
		return dicom.ExplicitVRLittleEndian, []io.Reader{bytes.NewReader(header), &exactly{r: src, left: size}, even(size)}, nil
	}
	syntax := form.syntax
	if syntax == nil {
		var start [64 << 10]byte
		n, _ := io.ReadFull(src, start[:])
		src = io.MultiReader(bytes.NewReader(bytes.Clone(start[:n])), src)
		syntax = syntaxOf(form.media, start[:n])
	}
	if syntax == nil || syntax.Deflated || form.media != octets && form.media != "image/x-dicom-rle" && !strings.EqualFold(form.media, pixelMedia(syntax.UID)) {
		return nil, nil, refusedAs("unknown-transfer-syntax", e.Tag.String(), "its media type and transfer syntax do not go together", fault.Invalid)
	}
	if n, _ := d.Int(dicom.TagNumberOfFrames); n > 1 && !strings.HasPrefix(pixelMedia(syntax.UID), "video/") {
		return nil, nil, refusedAs("bulk-data", e.Tag.String(), "several compressed frames are taken as application/dicom", fault.Invalid)
	}
	header = append(header, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF)
	header = append(header, 0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0) // no offsets
	end := bytes.NewReader([]byte{0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0})
	if size < 0 && pixelMedia(syntax.UID) == "image/dicom-rle" { // a frame is one fragment (PS3.5 A.4.2)
		return nil, nil, refusedAs("bulk-data", e.Tag.String(), "a long bulk value needs a Content-Length", fault.Invalid)
	}
	if size < 0 || size > 1<<31 {
		return syntax, []io.Reader{bytes.NewReader(header), &fragments{r: &exactly{r: src, left: size}}, end}, nil
	}
	header = le.AppendUint32(append(header, 0xFE, 0xFF, 0x00, 0xE0), uint32(size+size%2))
	return syntax, []io.Reader{bytes.NewReader(header), &exactly{r: src, left: size}, even(size), end}, nil
}

// syntaxOf is the transfer syntax of a code stream that names none: of JPEG what its frame header says (ISO 10918-1 Table B.1), else the default of PS3.18 Table 8.7.3-5.
func syntaxOf(media string, start []byte) *dicom.TransferSyntax {
	const jpeg = "1.2.840.10008.1.2.4."
	uid := map[string]string{"image/jls": jpeg + "80", "image/jp2": jpeg + "90", "image/jpx": jpeg + "92", "image/jphc": jpeg + "201", "image/jxl": jpeg + "110", "image/dicom-rle": "1.2.840.10008.1.2.5",
		"image/x-dicom-rle": "1.2.840.10008.1.2.5", "video/mpeg": jpeg + "100", "video/mp4": jpeg + "102", "video/H265": jpeg + "107"}[media]
	if media == "image/jpeg" && len(start) > 4 && start[0] == 0xFF && start[1] == 0xD8 {
		for at := 2; at+4 <= len(start) && start[at] == 0xFF && uid == ""; at += 2 + int(binary.BigEndian.Uint16(start[at+2:])) {
			switch start[at+1] {
			case 0xC0:
				uid = jpeg + "50"
			case 0xC1:
				uid = jpeg + "51"
			case 0xC3:
				uid = jpeg + "57"
			case 0xDA, 0xD9:
				return nil
			}
		}
	}
	syntax, _ := dicom.LookupTransferSyntax(uid)
	return syntax
}

// exactly reads as many bytes as were announced, -1 for any number, and says when there are others.
type exactly struct {
	r     io.Reader
	left  int64
	wrong bool
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		var b [1]byte
		n, err := io.ReadFull(e.r, b[:])
		if n > 0 {
			e.wrong = true
			return 0, errLength
		}
		return 0, err // the end of the part; or the body's, which ends before it
	}
	if e.left > 0 {
		p = p[:min(int64(len(p)), e.left)]
	}
	n, err := e.r.Read(p)
	if e.left > 0 {
		if e.left -= int64(n); err == io.EOF && e.left > 0 {
			e.wrong = true
			return n, errLength
		}
		if err == io.EOF {
			err = nil // it is asked once more
		}
	}
	return n, err
}

var errLength = web.Refuse(400, "store instance", "a bulk value is not as long as it has to be", "Send the bytes that Content-Length or the image says.")

// fragments reads a code stream of unknown length as fragments (PS3.5 A.4).
type fragments struct {
	r    io.Reader
	out  bytes.Reader
	buf  []byte
	done bool
}

func (f *fragments) Read(p []byte) (int, error) {
	if f.out.Len() == 0 {
		if f.done {
			return 0, io.EOF
		}
		if f.buf == nil {
			f.buf = make([]byte, 8+1<<20)
		}
		n := 0
		for n < len(f.buf)-8 {
			k, err := f.r.Read(f.buf[8+n:])
			if n += k; err == io.EOF {
				f.done = true
				break
			}
			if err != nil {
				return 0, err // io.ErrUnexpectedEOF too: the body was cut, and this is not the end of the value
			}
		}
		if n == 0 {
			return 0, io.EOF
		}
		if n%2 == 1 {
			f.buf[8+n] = 0
			n++
		}
		copy(f.buf, []byte{0xFE, 0xFF, 0x00, 0xE0})
		binary.LittleEndian.PutUint32(f.buf[4:], uint32(n))
		f.out.Reset(f.buf[:8+n])
	}
	return f.out.Read(p)
}
