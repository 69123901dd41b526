package codec

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// smooth is an image like those of a scanner: slow changes and some noise, of a megapixel.
func smooth(r *rand.Rand, precision, samples int) (Image, []byte) {
	of, pixels := losslessImage(r, precision, samples, image.Pt(1024, 1024))
	for i := range 1024 * 1024 * samples {
		x, y := i/samples%1024, i/samples/1024
		v := (x*x/1500 + y*y/1700 + r.IntN(1+1<<precision/256)) % (1<<precision - 1)
		if of.Allocated == 8 {
			pixels[i] = byte(v)
		} else {
			pixels[2*i], pixels[2*i+1] = byte(v), byte(v>>8)
		}
	}
	return of, pixels
}

// photo is a megapixel as Go's encoder writes it, grey or 4:2:0.
func photo(b *testing.B, r *rand.Rand, components int) []byte {
	_, grey := smooth(r, 8, 1)
	var m image.Image = &image.Gray{Pix: grey, Stride: 1024, Rect: image.Rect(0, 0, 1024, 1024)}
	if components == 3 {
		m = &image.YCbCr{Y: grey, Cb: grey[:512*512], Cr: grey[512*512:], YStride: 1024, CStride: 512, SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, 1024, 1024)}
	}
	var code bytes.Buffer
	if err := jpeg.Encode(&code, m, &jpeg.Options{Quality: 92}); err != nil {
		b.Fatal(err)
	}
	return code.Bytes()
}

// spent are the seconds of processor time that this process and its workers have taken.
func spent(b *testing.B, p *Pool) (seconds float64) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	seconds = float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.all {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
		if err != nil {
			b.Fatal(err)
		}
		fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
		for _, f := range fields[11:13] { // of hundredths
			n, _ := strconv.ParseFloat(f, 64)
			seconds += n / 100
		}
	}
	return seconds
}

// BenchmarkMask masks a megapixel in each transfer syntax, and says what processor time it takes in this process, verification included, and with its workers.
func BenchmarkMask(b *testing.B) {
	pool := testPool(b)
	r := rand.New(rand.NewPCG(31, 32))
	rle, _ := dicom.LookupTransferSyntax(rleUID)
	deflated, _ := dicom.LookupTransferSyntax(deflatedUID)
	run := func(name string, syntax *dicom.TransferSyntax, of Image, frame []byte) {
		b.Run(name, func(b *testing.B) {
			box := []image.Rectangle{image.Rect(40, 30, 300, 80)}
			begin := spent(b, pool)
			for b.Loop() {
				if _, err := pool.Mask(b.Context(), syntax, of, frame, box, Black(of)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(1000*(spent(b, pool)-begin)/float64(b.N), "cpu-ms/Mpx")
			b.ReportMetric(float64(len(frame)), "bytes")
		})
	}
	grey, words := smooth(r, 12, 1)
	run("native", dicom.ExplicitVRLittleEndian, grey, words)
	code, _ := packRLE(grey, words)
	run("RLE", rle, grey, code)
	m, err := maskDeflated(grey, stored(words), nil, [4]uint32{})
	if err != nil {
		b.Fatal(err)
	}
	run("deflated frame", deflated, grey, m.Bytes)
	for _, c := range []struct {
		name     string
		process  int
		sampling [][2]int
		bits     int
	}{
		{"JPEG baseline, grey", 0xc0, [][2]int{{1, 1}}, 8}, {"JPEG baseline, 4:2:0", 0xc0, [][2]int{{2, 2}, {1, 1}, {1, 1}}, 8}, {"JPEG 12 bits", 0xc1, [][2]int{{1, 1}}, 12},
	} {
		p := picture{c.process, c.bits, 1024, 1024, c.sampling, 0, false, -1}
		syntax, _ := dicom.LookupTransferSyntax(jpegSyntaxes[c.process])
		frame := p.draw(r)
		if c.bits == 8 {
			frame = photo(b, r, len(c.sampling))
		}
		run(c.name, syntax, p.image(), frame)
		if c.bits == 8 && len(c.sampling) == 1 {
			syntax, _ := dicom.LookupTransferSyntax(jpegSyntaxes[0xc2])
			run("JPEG progressive, grey", syntax, p.image(), progress(b, frame, 0, true))
		}
	}
	sv1, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.70")
	o := losslessOf{precision: 12, predictor: 1, names: []byte{1}}
	run("JPEG lossless", sv1, grey, o.encode(&Frame{grey, words}))
	for _, c := range []struct {
		m   method
		uid string
	}{{methodJPEGLS, "1.2.840.10008.1.2.4.80"}, {methodJPEG2000, "1.2.840.10008.1.2.4.90"}, {methodHTJ2K, "1.2.840.10008.1.2.4.201"}} {
		syntax, _ := dicom.LookupTransferSyntax(c.uid)
		head := stream{rows: 1024, columns: 1024, samples: 1, precision: 12}
		frame, err := made(b, pool, c.m, head, grey, words)
		if err != nil {
			b.Fatal(err)
		}
		run(fmt.Sprint(c.m), syntax, grey, frame)
	}
}
