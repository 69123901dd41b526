package video_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/video"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// The test binary is what confines, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "video-worker" {
		_ = video.Confined(os.Args[2:])
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func reader(t *testing.T, limit time.Duration) *video.Reader {
	t.Helper()
	testdata.Program(t, "ffmpeg")
	a, b := video.Find()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return video.NewReader(video.Options{FFmpeg: a, FFprobe: b, Confine: []string{exe, "video-worker"}, Limit: limit})
}

const wide, high = 96, 64

// encode makes a video of so many frames, of which frame k is of the grey value that k makes, and says so.
func encode(t *testing.T, frames int, args ...string) []byte {
	t.Helper()
	ffmpeg := testdata.Program(t, "ffmpeg")
	var raw bytes.Buffer
	for k := range frames {
		raw.Write(bytes.Repeat([]byte{byte(16 + k%200)}, wide*high*3))
	}
	out := t.TempDir() + "/v"
	cmd := exec.Command(ffmpeg, append(append([]string{"-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", fmt.Sprintf("%dx%d", wide, high), "-r", "25", "-i", "pipe:0"}, args...), out)...)
	cmd.Stdin = &raw
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesOfVideos(t *testing.T) {
	r := reader(t, time.Minute)
	for name, args := range map[string][]string{
		"MPEG-4, index at the end":   {"-c:v", "libx264", "-metadata", "title=Winterbourne", "-f", "mp4"},
		"MPEG-4, index in front":     {"-c:v", "libx264", "-movflags", "faststart", "-f", "mp4"},
		"MPEG-4, fragmented":         {"-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4"},
		"MPEG-2 in transport stream": {"-c:v", "mpeg2video", "-q:v", "2", "-f", "mpegts"},
		"MPEG-2 in program stream":   {"-c:v", "mpeg2video", "-q:v", "2", "-f", "mpeg"},
		"MPEG-2 alone":               {"-c:v", "mpeg2video", "-q:v", "2", "-f", "mpeg2video"},
		"H.264 alone":                {"-c:v", "libx264", "-f", "h264"},
		"HEVC in transport stream":   {"-c:v", "libx265", "-x265-params", "log-level=none", "-f", "mpegts"},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 61
			v := encode(t, n, args...)
			info, err := r.Probe(t.Context(), bytes.NewReader(v), int64(len(v)))
			if err != nil {
				t.Fatal(err)
			}
			if info.Frames != n || info.Columns != wide || info.Rows != high || info.Sound {
				t.Errorf("%+v", info)
			}
			if strings.Contains(name, "end") && (len(info.Tags) == 0 || !strings.Contains(fmt.Sprint(info.Tags), "Winterbourne")) {
				t.Errorf("%+v", info.Tags)
			}
			var got []int64
			err = r.Frames(t.Context(), bytes.NewReader(v), int64(len(v)), info, 14, func(k int, f video.Frame) error {
				got = append(got, f.Number)
				if grey, want := int(f.Pixels[3*(wide*high/2+wide/2)]), 16+int(f.Number-1)%200; grey < want-6 || grey > want+6 {
					t.Errorf("frame %d is of %d, want %d", f.Number, grey, want)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) < 13 || got[0] != 1 || len(got) == 14 && got[13] != n {
				t.Error(got)
			}
			stop := errors.New("enough")
			if err := r.Frames(t.Context(), bytes.NewReader(v), int64(len(v)), info, 14, func(int, video.Frame) error { return stop }); !errors.Is(err, stop) {
				t.Error(err)
			}
		})
	}
}

func TestSound(t *testing.T) {
	r := reader(t, time.Minute)
	v := encode(t, 25, "-f", "lavfi", "-i", "sine", "-shortest", "-c:v", "libx264", "-c:a", "aac", "-f", "mp4")
	info, err := r.Probe(t.Context(), bytes.NewReader(v), int64(len(v)))
	if err != nil || !info.Sound {
		t.Error(info, err)
	}
}

// What is made to harm makes an error of its own; what names other files opens none.
func TestHostileVideos(t *testing.T) {
	r := reader(t, 20*time.Second)
	v := encode(t, 30, "-c:v", "libx264", "-f", "mp4")
	ts := encode(t, 30, "-c:v", "mpeg2video", "-f", "mpegts")
	big := binary.BigEndian.AppendUint32(nil, 0xfffffff0)
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, ts, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string][]byte{
		"empty":         nil,
		"text":          []byte("not a video"),
		"truncated":     v[:len(v)/2],
		"half a stream": ts[:len(ts)/2],
		"playlist":      []byte("#EXTM3U\n#EXTINF:1,\nfile://" + secret + "\n"),
		"concat":        []byte("ffconcat version 1.0\nfile '" + secret + "'\n"),
		"lying box":     append(append([]byte{}, v[:32]...), append(big, "mdat"...)...),
		"box within":    bytes.Repeat([]byte("\x00\x00\x00\x10ftypmoov"), 5000),
		"noise":         append(append([]byte{}, ts[:600]...), bytes.Repeat([]byte{0x47, 0xff, 0x13, 0x99}, 50_000)...),
	} {
		t.Run(name, func(t *testing.T) {
			info, err := r.Probe(t.Context(), bytes.NewReader(doc), int64(len(doc)))
			if err == nil {
				err = r.Frames(t.Context(), bytes.NewReader(doc), int64(len(doc)), info, 14, func(int, video.Frame) error { return nil })
			}
			if err == nil && (strings.Contains(name, "half") || name == "noise" || name == "truncated") {
				return // some of it is there
			}
			if _, ok := errors.AsType[*video.Broken](err); !ok {
				t.Errorf("%T %v", err, err)
			}
		})
	}
}

// A process that does not end is killed; none that is not there is a fault of the video.
func TestItIsKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	v := append([]byte("\x00\x00\x01\xba"), make([]byte, 1000)...)
	r := video.NewReader(video.Options{FFmpeg: "/bin/sleep", FFprobe: "/bin/sleep", Confine: []string{"/bin/sh", "-c", "exec sleep 60"}, Limit: 200 * time.Millisecond})
	begin := time.Now()
	if _, err := r.Probe(t.Context(), bytes.NewReader(v), int64(len(v))); err == nil || time.Since(begin) > 30*time.Second {
		t.Error(err, time.Since(begin))
	} else if _, ok := errors.AsType[*video.Broken](err); !ok {
		t.Error(err)
	}
	if _, err := video.NewReader(video.Options{Confine: []string{exe, "video-worker"}}).Probe(t.Context(), bytes.NewReader(v), int64(len(v))); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Probe(ctx, bytes.NewReader(v), int64(len(v))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What confines a program leaves it no file to write and no environment.
func TestConfined(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir() + "/out"
	cmd := exec.Command(exe, "video-worker", "5", "/bin/sh", "-c", "ulimit -f; ulimit -t; env; echo x > "+to)
	cmd.Env = []string{"SECRET=1"}
	b, _ := cmd.CombinedOutput()
	if left, _ := os.ReadFile(to); len(left) > 0 || strings.Contains(string(b), "SECRET") || !strings.Contains(string(b), "10") {
		t.Errorf("%q %q", left, b)
	}
}
