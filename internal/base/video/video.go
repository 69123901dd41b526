// Package video takes a few frames out of a video, for a person who decides about it. It calls ffmpeg and ffprobe where they are installed, each in a process that can be
// killed.
//
// It promises: a video may be anything, and makes an error at worst, of that video alone. It goes to the process through a pipe and frames come back through another: nothing
// is ever in a file, and nothing is kept. The process has an empty environment, may read no other file or address than its pipe, is told by name which of a few demuxers and
// decoders to use, has limits of memory and processor time, may write no file, and dies with its parent ([Confined] is what sets these).
//
//	r := video.NewReader(video.Options{FFmpeg: "/usr/bin/ffmpeg", FFprobe: "/usr/bin/ffprobe", Confine: []string{"vitrine", "video-worker"}})
//	info, err := r.Probe(ctx, v, size)
//	err = r.Frames(ctx, v, size, info, 14, func(k int, f Frame) error { ... })
package video

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Options are how videos are read. What is zero has a default.
type Options struct {
	FFmpeg, FFprobe string        // the programs; empty: no video is read
	Confine         []string      // the program that takes from a process what it does not need and becomes it ([Confined]), with its arguments
	AtOnce          int           // processes at a time; 1
	Limit           time.Duration // how long one may take; 60 s
}

// Find looks for ffmpeg and ffprobe in the folders of PATH; empty where they are not installed.
func Find() (ffmpeg, ffprobe string) {
	a, err := exec.LookPath("ffmpeg")
	b, err2 := exec.LookPath("ffprobe")
	if err != nil || err2 != nil {
		return "", ""
	}
	return a, b
}

// Reader reads videos. It is safe for use by many goroutines.
type Reader struct {
	o    Options
	room *semaphore.Weighted
}

// NewReader makes a reader; nothing is started yet.
func NewReader(o Options) *Reader {
	if o.AtOnce == 0 {
		o.AtOnce = 1
	}
	if o.Limit == 0 {
		o.Limit = 60 * time.Second
	}
	return &Reader{o: o, room: semaphore.NewWeighted(int64(o.AtOnce))}
}

// Broken is a video that cannot be read.
type Broken struct{ Reason string }

func (e *Broken) Error() string { return e.Reason }

// Info is what a video says of itself.
type Info struct {
	Container string
	Codec     string
	Columns   int
	Rows      int
	Frames    int64   // coded pictures; as many frames at most
	Rate      float64 // frames a second; 0: it does not say
	Sound     bool
	Tags      []Tag // texts that stand beside its pictures
}

// Tag is one such text.
type Tag struct{ Name, Value string }

// Frame is one frame: Columns x Rows pixels of red, green and blue, a byte each.
type Frame struct {
	Number        int64 // from 1
	Columns, Rows int
	Pixels        []byte
}

const (
	// MaxSize bounds a video, in bytes.
	MaxSize = 4 << 30
	// MaxPixels bounds a frame.
	MaxPixels = 4096 * 4096
	// exact is the number of frames up to which every one is decoded: of more, those alone that stand by themselves.
	exact   = 20_000
	maxTags = 60
)

// demuxers are what a container is read by.
var demuxers = map[string]string{"mp4": "MPEG-4", "mpegts": "MPEG transport stream", "mpeg": "MPEG program stream", "mpegvideo": "MPEG-2 without a container", "h264": "H.264 without a container", "hevc": "HEVC without a container"}

// decoders are those of the standard's transfer syntaxes (PS3.5 8.2.5 to 8.2.8).
const decoders = "mpeg1video,mpeg2video,mpeg4,h264,hevc"

// sniff tells a container by its first bytes; empty: none that is read.
func sniff(head []byte) string {
	start := func(b ...byte) bool { return bytes.HasPrefix(head, b) }
	switch {
	case len(head) > 12 && string(head[4:8]) == "ftyp":
		return "mp4"
	case len(head) > 377 && head[0] == 0x47 && head[188] == 0x47 && head[376] == 0x47:
		return "mpegts"
	case start(0, 0, 1, 0xba):
		return "mpeg"
	case start(0, 0, 1, 0xb3):
		return "mpegvideo"
	case start(0, 0, 0, 1), start(0, 0, 1):
		at := 3
		if head[2] == 0 {
			at = 4
		}
		if len(head) <= at {
			return ""
		}
		switch nal := head[at]; {
		case nal&0x1f == 7 || nal&0x1f == 9 && nal>>7 == 0 && nal != 0x46: // a sequence's parameters, or a delimiter (ISO/IEC 14496-10 7.4.1)
			return "h264"
		case nal>>1&0x3f >= 32 && nal>>1&0x3f <= 35: // ISO/IEC 23008-2 7.4.2.2
			return "hevc"
		}
	}
	return ""
}

// Probe reads what a video of so many bytes says of itself. Errors are [*Broken] of the video, ctx's, and fault.Unavailable where no ffmpeg is installed.
func (r *Reader) Probe(ctx context.Context, v io.ReaderAt, size int64) (Info, error) {
	var info Info
	form, err := r.form(v, size)
	if err != nil {
		return info, err
	}
	info.Container = demuxers[form]
	args := []string{"-hide_banner", "-loglevel", "quiet", "-protocol_whitelist", "pipe", "-f", form, "-count_packets",
		"-show_entries", "stream=index,codec_type,codec_name,width,height,avg_frame_rate,r_frame_rate,nb_read_packets:stream_tags:format_tags", "-of", "json", "-i", "pipe:0"}
	var out []byte
	err = r.run(ctx, r.o.FFprobe, args, form, v, size, func(rd io.Reader) (err error) {
		out, err = io.ReadAll(io.LimitReader(rd, 1<<20))
		return err
	})
	if err != nil {
		return info, err
	}
	var said struct {
		Streams []struct {
			Type    string            `json:"codec_type"`
			Codec   string            `json:"codec_name"`
			Width   int               `json:"width"`
			Height  int               `json:"height"`
			Average string            `json:"avg_frame_rate"`
			Rate    string            `json:"r_frame_rate"`
			Packets string            `json:"nb_read_packets"`
			Tags    map[string]string `json:"tags"`
		} `json:"streams"`
		Format struct {
			Tags map[string]string `json:"tags"`
		} `json:"format"`
	}
	if json.Unmarshal(out, &said) != nil {
		return info, &Broken{"what it says of itself cannot be understood"}
	}
	tags := func(all map[string]string) {
		names := make([]string, 0, len(all))
		for name := range all {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if len(info.Tags) < maxTags && strings.TrimSpace(all[name]) != "" {
				info.Tags = append(info.Tags, Tag{plain(name), plain(all[name])})
			}
		}
	}
	tags(said.Format.Tags)
	found := false
	for _, s := range said.Streams {
		tags(s.Tags)
		switch {
		case s.Type == "audio":
			info.Sound = true
		case s.Type == "video" && !found:
			found = true
			info.Codec, info.Columns, info.Rows = s.Codec, s.Width, s.Height
			info.Frames, _ = strconv.ParseInt(s.Packets, 10, 64)
			if info.Rate = ratio(s.Average); info.Rate == 0 {
				info.Rate = ratio(s.Rate)
			}
		}
	}
	switch {
	case !found || info.Frames < 1 || info.Columns < 1 || info.Rows < 1:
		return info, &Broken{"there are no pictures in it"}
	case !strings.Contains(","+decoders+",", ","+info.Codec+","):
		return info, &Broken{"its pictures are coded in a way that is not read"}
	case int64(info.Columns)*int64(info.Rows) > MaxPixels:
		return info, &Broken{"its frames are larger than is read"}
	}
	return info, nil
}

func ratio(s string) float64 {
	a, b, ok := strings.Cut(s, "/")
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if !ok || err != nil || err2 != nil || x <= 0 || y <= 0 || x/y > 1000 {
		return 0
	}
	return x / y
}

func plain(s string) string {
	if len(s) > 500 {
		s = s[:500]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// Chosen are the numbers of the frames that [Reader.Frames] takes, from 1: the first, the last, and others evenly between them, n in all. About says that these are not exact, because
// of so long a video those alone are decoded that stand by themselves.
func (i *Info) Chosen(n int) (numbers []int64, about bool) {
	for k := range n {
		at := int64(1)
		if n > 1 {
			at = 1 + int64(math.Round(float64(k)*float64(i.Frames-1)/float64(n-1)))
		}
		if len(numbers) == 0 || numbers[len(numbers)-1] != at {
			numbers = append(numbers, at)
		}
	}
	return numbers, i.Frames > exact
}

// Frames gives the chosen frames in their order, counted from 0. There may be fewer than chosen: a video may end before it says.
func (r *Reader) Frames(ctx context.Context, v io.ReaderAt, size int64, info Info, n int, each func(k int, f Frame) error) error {
	form, err := r.form(v, size)
	if err != nil {
		return err
	}
	chosen, about := info.Chosen(n)
	var choose strings.Builder
	args := []string{"-hide_banner", "-loglevel", "quiet", "-nostdin", "-protocol_whitelist", "pipe", "-codec_whitelist", decoders, "-threads", "2", "-noautorotate"}
	if about {
		args = append(args, "-skip_frame", "nokey")
		rate := info.Rate
		if rate == 0 {
			rate = 25
		}
		fmt.Fprintf(&choose, `isnan(prev_selected_t)+gte(t-prev_selected_t\,%g)`, float64(info.Frames-1)/float64(len(chosen)-1)/rate*0.999)
	} else {
		for k, at := range chosen {
			if k > 0 {
				choose.WriteByte('+')
			}
			fmt.Fprintf(&choose, `eq(n\,%d)`, at-1)
		}
	}
	args = append(args, "-f", form, "-i", "pipe:0", "-map", "0:v:0", "-an", "-sn", "-dn", "-vf", "select="+choose.String()+",setpts=N/(25*TB)", "-r", "25",
		"-frames:v", strconv.Itoa(len(chosen)), "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1")
	return r.run(ctx, r.o.FFmpeg, args, form, v, size, func(rd io.Reader) error {
		b := bufio.NewReaderSize(rd, 1<<20)
		for k := range chosen {
			f, err := readPPM(b)
			if errors.Is(err, io.EOF) {
				if k == 0 {
					return &Broken{"none of its frames can be decoded"}
				}
				return nil
			}
			if err != nil {
				return err
			}
			f.Number = chosen[k]
			if err := each(k, f); err != nil {
				return &refused{err}
			}
		}
		return nil
	})
}

// refused is an error of who takes frames.
type refused struct{ error }

// readPPM reads a picture as ffmpeg writes it: "P6", columns, rows, 255, and the pixels.
func readPPM(b *bufio.Reader) (Frame, error) {
	var f Frame
	var depth int
	if _, err := b.Peek(1); err != nil {
		return f, io.EOF
	}
	var head [3]string
	for k := range head {
		line, err := b.ReadSlice('\n')
		if err != nil || len(line) > 32 {
			return f, &Broken{"what is decoded of it is no picture"}
		}
		head[k] = strings.TrimSpace(string(line))
	}
	if _, err := fmt.Sscanf(strings.Join(head[:], " "), "P6 %d %d %d", &f.Columns, &f.Rows, &depth); err != nil || depth != 255 || f.Columns < 1 || f.Rows < 1 || f.Columns > 1<<16 || f.Rows > 1<<16 ||
		f.Columns*f.Rows > MaxPixels {
		return f, &Broken{"what is decoded of it is no picture"}
	}
	f.Pixels = make([]byte, 3*f.Columns*f.Rows)
	if _, err := io.ReadFull(b, f.Pixels); err != nil {
		return f, io.EOF // it was cut short
	}
	return f, nil
}

func (r *Reader) form(v io.ReaderAt, size int64) (string, error) {
	if r.o.FFmpeg == "" || r.o.FFprobe == "" {
		return "", fault.New(fault.Unavailable, "read a video", "", "ffmpeg is not installed on this node")
	}
	if size > MaxSize {
		return "", &Broken{"it is larger than is read (4 GiB)"}
	}
	head := make([]byte, 512)
	n, err := v.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fault.Wrap(fault.Corrupt, "read a video", "", err)
	}
	form := sniff(head[:n])
	if form == "" {
		return "", &Broken{"it is in no container that is read"}
	}
	return form, nil
}

// run has a program read a video, and take what it answers. It is killed when it takes too long, or when nobody reads it any more.
func (r *Reader) run(ctx context.Context, program string, args []string, form string, v io.ReaderAt, size int64, take func(io.Reader) error) error {
	const attempt = "read a video"
	var body io.Reader = io.NewSectionReader(v, 0, size)
	if form == "mp4" {
		var err error
		if body, err = inOrder(v, size); err != nil {
			return err
		}
		for k := range args {
			if args[k] == "mp4" {
				args[k] = "mov"
			}
		}
	}
	if err := r.room.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.room.Release(1)
	limited, cancel := context.WithTimeout(ctx, r.o.Limit)
	defer cancel()
	command := append(append(slices.Clone(r.o.Confine), strconv.Itoa(int(r.o.Limit.Seconds())+5), program), args...)
	if len(r.o.Confine) == 0 {
		return fault.New(fault.Internal, attempt, "", "nothing confines the program")
	}
	cmd := exec.CommandContext(limited, command[0], command[1:]...)
	cmd.Env = []string{}
	if root, ok := os.LookupEnv("SYSTEMROOT"); ok {
		cmd.Env = append(cmd.Env, "SYSTEMROOT="+root)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	if err := cmd.Start(); err != nil {
		return fault.New(fault.Unavailable, attempt, "", "the process that reads it cannot be started")
	}
	unblock := context.AfterFunc(limited, func() { _, _ = in.Close(), out.Close() })
	sent := make(chan error, 1)
	go func() {
		defer in.Close()
		src := &source{r: body}
		_, _ = io.Copy(in, src) // it ends when it has what it wants
		sent <- src.err
	}()
	err = take(out)
	late := limited.Err()
	unblock()
	cancel() // kills it, if it has not ended
	_, _ = io.Copy(io.Discard, out)
	in.Close()
	_ = cmd.Wait()
	if broken := <-sent; broken != nil {
		return fault.Wrap(fault.Corrupt, attempt, "", broken)
	}
	var mine *refused
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &mine):
		return mine.error
	case err != nil && late != nil:
		return &Broken{"reading it takes longer than it may take"}
	case err != nil:
		if _, ok := errors.AsType[*Broken](err); ok {
			return err
		}
		return &Broken{"it ends the process that reads it"}
	}
	return nil
}

// source remembers an error of reading, as against one of writing.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
