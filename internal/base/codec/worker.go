package codec

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// The decoders: dcmjs-codecs 0.0.8, as its makers built it (libjpeg, CharLS, OpenJPEG, OpenJPH).
//
//go:embed dcmjs/dcmjs-native-codecs.wasm
var decoders []byte

// decodersSHA256 pins them; the package's tests hold the file to it.
const decodersSHA256 = "dff1bc9b3872588c231ea90894f05e7eacd7f5074b9db964e64e7f3f29821d30"

const (
	wasmPage    = 64 << 10
	memoryLimit = 1 << 30 // bytes of WebAssembly memory for a frame
)

// Work is the worker: it decodes or encodes what the pool sends on in and answers on out until in ends. cache is a folder for compiled code; empty: none. It gives
// each frame a new instance of the decoders with new memory, so that nothing of one frame, not even of one that broke the decoder, is there for the next.
//
// The code runs without guards that could interrupt it: whoever starts a worker kills it when it takes too long. For the case that nobody is left to do so,
// it also ends itself.
func Work(ctx context.Context, in io.Reader, out io.Writer, cache string) error {
	confine()
	w, err := newMachine(ctx, cache)
	if err != nil {
		return err
	}
	defer w.runtime.Close(ctx)
	debug.FreeOSMemory() // compiling takes hundreds of megabytes
	// A collection would wait for the decoder, and everything else for the collection: it happens between frames.
	debug.SetGCPercent(-1)
	if _, err := io.WriteString(out, hello); err != nil {
		return err
	}
	for n := 1; ; n++ {
		m, err := w.instance(ctx) // before it is asked for: making it takes as long as decoding a small frame
		if err != nil {
			return err
		}
		var q request
		ok, err := q.read(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && !ok {
			err = errors.New("this is not a request")
		}
		if err == nil {
			late := time.AfterFunc(q.limit+5*time.Second, func() { os.Exit(1) })
			err = w.answer(ctx, m, &q, in, out)
			late.Stop()
		}
		if err != nil {
			return err
		}
		if err := m.Close(ctx); err != nil {
			return err
		}
		if n%16 == 0 {
			runtime.GC()
		}
	}
}

// machine runs the decoders.
type machine struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	memory  *memories
	initial []byte // memory of a module that was initialized

	warned, threw bool // by the frame at hand
}

func newMachine(ctx context.Context, cache string) (*machine, error) {
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryLimit / wasmPage).WithDebugInfoEnabled(false)
	if cache != "" {
		// Without its folder it compiles anew, which takes seconds and nothing else.
		if c, err := wazero.NewCompilationCacheWithDir(cache); err == nil {
			config = config.WithCompilationCache(c)
		}
	}
	w := &machine{runtime: wazero.NewRuntimeWithConfig(ctx, config), memory: &memories{}}
	fail := func(err error) (*machine, error) { return nil, errors.Join(err, w.runtime.Close(ctx)) }
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, w.runtime); err != nil {
		return fail(err)
	}
	quiet := func(context.Context, api.Module, uint32, uint32) {}
	_, err := w.runtime.NewHostModuleBuilder("env").
		NewFunctionBuilder().WithFunc(w.info).Export("onCodecsInfo").
		NewFunctionBuilder().WithFunc(func(context.Context, api.Module, uint32, uint32) { w.threw = true }).Export("onCodecsException").
		NewFunctionBuilder().WithFunc(quiet).Export("onCodecsTrace").
		NewFunctionBuilder().WithFunc(func(context.Context, api.Module, uint32) {}).Export("emscripten_notify_memory_growth").
		Instantiate(ctx)
	if err != nil {
		return fail(err)
	}
	if w.module, err = w.runtime.CompileModule(ctx, decoders); err != nil {
		return fail(err)
	}
	return w, nil
}

// info is told what the decoders remark. Most of it is chatter; the rest says that pixels are missing or made up.
func (w *machine) info(_ context.Context, m api.Module, at, size uint32) {
	if b, ok := m.Memory().Read(at, min(size, 512)); ok && damage(string(b)) {
		w.warned = true
	}
}

// damage recognises libjpeg's and OpenJPEG's warnings. libjpeg numbers its remarks and the module does not pass the numbers on, so their text has to do.
func damage(remark string) bool {
	return strings.Contains(remark, "Corrupt JPEG data") || strings.Contains(remark, "Premature end") || strings.Contains(remark, "MessageCallbackWarning")
}

// instance makes decoders with memory of their own: what a new module has, and what its constructors have made of it, which takes ten times as long as to copy.
func (w *machine) instance(ctx context.Context) (api.Module, error) {
	if w.initial == nil {
		m, err := w.instantiate(ctx, "_initialize")
		if err != nil {
			return nil, err
		}
		defer m.Close(ctx)
		b, _ := m.Memory().Read(0, m.Memory().Size())
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		w.initial = append([]byte{}, b[:n]...)
	}
	m, err := w.instantiate(ctx)
	if err == nil && !m.Memory().Write(0, w.initial) {
		err = errors.New("the decoders have less memory than they had")
	}
	return m, err
}

func (w *machine) instantiate(ctx context.Context, start ...string) (api.Module, error) {
	return w.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, w.memory), w.module, wazero.NewModuleConfig().WithName("").WithStartFunctions(start...))
}

// answer does what is asked with one frame. An error is of the pipe, and the worker's last.
func (w *machine) answer(ctx context.Context, m api.Module, q *request, in io.Reader, out io.Writer) error {
	w.warned, w.threw = false, false
	do := w.decode
	if q.encode {
		do = w.encode
	}
	result, pixels, err := do(ctx, m, q, in)
	if err != nil {
		return err
	}
	if _, err := out.Write(appendReply(nil, result, len(pixels))); err != nil {
		return err
	}
	_, err = out.Write(pixels) // straight from the decoder's memory
	return err
}

// caller calls functions of the module until one fails; failed says whether one has.
func caller(ctx context.Context, m api.Module) (failed *bool, call func(name string, params ...uint64) uint32) {
	failed = new(bool)
	return failed, func(name string, params ...uint64) uint32 {
		if *failed {
			return 0
		}
		r, err := m.ExportedFunction(name).Call(ctx, params...)
		if err != nil {
			*failed = true
		}
		if len(r) == 0 {
			return 0
		}
		return uint32(r[0])
	}
}

// describe tells the module about a frame; photometric is its number for the interpretation.
func describe(call func(string, ...uint64) uint32, frame uint64, q *request, allocated, stored, photometric uint64) {
	for _, set := range []struct {
		name  string
		value uint64
	}{
		{"SetColumns", uint64(q.columns)}, {"SetRows", uint64(q.rows)}, {"SetBitsAllocated", allocated}, {"SetBitsStored", stored}, {"SetSamplesPerPixel", uint64(q.samples)},
		{"SetPixelRepresentation", uint64(flag(q.signed))}, {"SetPlanarConfiguration", 0}, {"SetPhotometricInterpretation", photometric},
	} {
		call(set.name, frame, set.value)
	}
}

func (w *machine) decode(ctx context.Context, m api.Module, q *request, in io.Reader) (outcome, []byte, error) {
	failed, call := caller(ctx, m)
	frame := uint64(call("CreateCodecsContext"))
	params := uint64(call("CreateDecoderParameters"))
	bits := uint64(q.word) * 8
	describe(call, frame, q, bits, bits, 0)
	call("SetEncodedBufferSize", frame, uint64(q.size))
	call("SetConvertColorspaceToRgb", params, 0)
	at := call("GetEncodedBuffer", frame)
	code, ok := m.Memory().Read(at, q.size)
	if *failed || !ok || at == 0 {
		_, err := io.CopyN(io.Discard, in, int64(q.size))
		return outcomeMemory, nil, err
	}
	if _, err := io.ReadFull(in, code); err != nil { // straight into the decoder's memory
		return 0, nil, err
	}
	call([...]string{methodJPEG: "DecodeJpeg", methodJPEGLS: "DecodeJpegLs", methodJPEG2000: "DecodeJpeg2000", methodHTJ2K: "DecodeHtJpeg2000"}[q.method], frame, params)
	switch {
	case *failed && w.memory.exhausted:
		return outcomeMemory, nil, nil
	case *failed || w.threw:
		return outcomeRefused, nil, nil
	case w.warned:
		return outcomeWarned, nil, nil
	}
	at, size := call("GetDecodedBuffer", frame), call("GetDecodedBufferSize", frame)
	pixels, ok := m.Memory().Read(at, size)
	if *failed || !ok || at == 0 || int(size) != q.decoded() {
		return outcomeShort, nil, nil
	}
	return outcomeDone, pixels, nil
}

// encode encodes samples without loss. What it makes is checked by who asked.
func (w *machine) encode(ctx context.Context, m api.Module, q *request, in io.Reader) (outcome, []byte, error) {
	const mono, rgb = 1, 3 // the module's numbers
	failed, call := caller(ctx, m)
	frame := uint64(call("CreateCodecsContext"))
	params := uint64(call("CreateEncoderParameters"))
	allocated, photometric := uint64(q.word)*8, uint64(mono)
	if q.method == methodJPEGLS { // which takes the bits allocated for the precision
		allocated = uint64(q.precision)
	}
	if q.transform {
		photometric = rgb
	}
	describe(call, frame, q, allocated, uint64(q.precision), photometric)
	for _, set := range []struct {
		name  string
		value uint64
	}{
		{"SetLossy", 0}, {"SetAllowedLossyError", 0}, {"SetProgressionOrder", uint64(q.order)}, {"SetAllowMct", uint64(flag(q.transform))},
		{"SetRate", 20}, // of OpenJPEG's first layer, which must be more than one; the last layer has all the rest
	} {
		call(set.name, params, set.value)
	}
	call("SetDecodedBufferSize", frame, uint64(q.size))
	at := call("GetDecodedBuffer", frame)
	samples, ok := m.Memory().Read(at, q.size)
	if *failed || !ok || at == 0 {
		_, err := io.CopyN(io.Discard, in, int64(q.size))
		return outcomeMemory, nil, err
	}
	if _, err := io.ReadFull(in, samples); err != nil {
		return 0, nil, err
	}
	call([...]string{methodJPEGLS: "EncodeJpegLs", methodJPEG2000: "EncodeJpeg2000", methodHTJ2K: "EncodeHtJpeg2000"}[q.method], frame, params)
	switch {
	case *failed && w.memory.exhausted:
		return outcomeMemory, nil, nil
	case *failed || w.threw || w.warned:
		return outcomeRefused, nil, nil
	}
	at, size := call("GetEncodedBuffer", frame), call("GetEncodedBufferSize", frame)
	code, ok := m.Memory().Read(at, size)
	if *failed || !ok || at == 0 || size == 0 || size > maxCode {
		return outcomeShort, nil, nil
	}
	return outcomeDone, code, nil
}
