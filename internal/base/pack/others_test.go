package pack

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// What one process has not sealed yet, another that shares its bucket asks for, and reads when it has been sealed and copied.
func TestReadFromAnotherProcess(t *testing.T) {
	b := s3Bucket(t)
	var mu sync.Mutex
	wanted := map[ID]int{}
	ask := func(_ context.Context, id ID) error {
		mu.Lock()
		defer mu.Unlock()
		wanted[id]++
		return nil
	}
	writer := openAt(t, t.TempDir(), Options{Bucket: b, Ask: ask})
	reader := openAt(t, t.TempDir(), Options{Bucket: b, Ask: ask, AskWait: 50 * time.Millisecond})
	r := record(1, 300, 3000, 200_000)
	ref, err := writer.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := reader.Reachable(t.Context(), ref.Pack); ok || err != nil {
		t.Error(ok, err)
	}
	if !writer.Here(ref.Pack) || reader.Here(ref.Pack) {
		t.Error("who has the pack?")
	}
	// Nobody answers: it is not there now, which is not that it is nowhere; and it is not waited for a second time.
	if _, err := reader.Open(t.Context(), ref, r.Key); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	asked := wanted[ref.Pack]
	if _, err := reader.Open(t.Context(), ref, r.Key); !fault.Is(err, fault.Unavailable) || asked != 2 || wanted[ref.Pack] != asked {
		t.Error(err, asked, wanted[ref.Pack])
	}
	reader.away.Clear()
	reader.opts.AskWait = time.Minute
	// What the writer's own active pack does not hold is nowhere, and asked of nobody.
	if _, err := writer.Open(t.Context(), Ref{ref.Pack, ref.Offset + 1<<20}, r.Key); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	// A pack that was begun a moment ago is left alone, as is one that nobody wants.
	if met, err := writer.SealWanted(t.Context(), []ID{ref.Pack}); err != nil || len(met) > 0 {
		t.Error(met, err)
	}
	if err := writer.do(func() error { writer.active.began = time.Now().Add(-youngest); return nil }); err != nil {
		t.Fatal(err)
	}
	if met, err := writer.SealWanted(t.Context(), []ID{{1}}); err != nil || len(met) > 0 {
		t.Error(met, err)
	}
	read := make(chan error, 1)
	go func() {
		o, err := reader.Open(context.Background(), ref, r.Key)
		if err == nil {
			err = o.Close()
		}
		read <- err
	}()
	if met, err := writer.SealWanted(t.Context(), []ID{{1}, ref.Pack}); err != nil || len(met) != 1 || met[0] != ref.Pack {
		t.Error(met, err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
	readsWhole(t, reader, ref, r)
	if ok, err := reader.Reachable(t.Context(), ref.Pack); !ok || err != nil {
		t.Error(ok, err)
	}
}

// Where others wait for what one writes, it is sealed in time by itself.
func TestSealedForOthersInTime(t *testing.T) {
	b := s3Bucket(t)
	s := openAt(t, t.TempDir(), Options{Bucket: b, Ask: func(context.Context, ID) error { return nil }, SealAfter: 20 * time.Millisecond})
	ref, err := s.Append(t.Context(), record(1, 300, 3000, 200_000))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.await(t.Context(), ref.Pack); err != nil {
		t.Error(err)
	}
}
