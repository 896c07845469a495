package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"shoal/node"
	"shoal/wire"
)

// TestCommit_LastWordOfEachKeyInOneBatch joins what several steps want written.
func TestCommit_LastWordOfEachKeyInOneBatch(t *testing.T) {
	rec := func(seq uint64) *wire.Record { return &wire.Record{Num: wire.Number{Seq: seq}} }
	put := func(seq uint64) node.Write { return node.Write{Put: rec(seq)} }
	drop := func(seq uint64) node.Write { n := rec(seq).Num; return node.Write{Drop: &n} }
	local := func(v string) node.Write { return node.Write{Local: &node.Local{Key: "k", Value: []byte(v)}} }
	gone := node.Write{Local: &node.Local{Key: "k"}}
	barrier := node.Write{Sync: true}
	for _, c := range []struct {
		name   string
		steps  [][]node.Write
		want   []uint64 // records held afterwards, beside 9, which was there before
		local  string
		synced int
	}{
		{"nothing", [][]node.Write{nil, {}}, []uint64{9}, "old", 0},
		{"put in two steps", [][]node.Write{{put(1)}, {put(2)}}, []uint64{1, 2, 9}, "old", 0},
		{"put, then dropped", [][]node.Write{{put(1)}, {drop(1), drop(9)}}, nil, "old", 0},
		{"dropped, then put again", [][]node.Write{{put(1)}, {drop(1)}, {put(1)}, {drop(9), put(9)}}, []uint64{1, 9}, "old", 0},
		{"local twice", [][]node.Write{{local("a")}, {local("b")}}, []uint64{9}, "b", 0},
		{"local set and deleted", [][]node.Write{{local("a")}, {gone}}, []uint64{9}, "", 0},
		{"one sync for all", [][]node.Write{{put(1)}, {{Put: rec(2), Sync: true}}, {put(3)}}, []uint64{1, 2, 3, 9}, "old", 1},
		{"a barrier alone", [][]node.Write{{barrier}}, []uint64{9}, "old", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newDisk()
			if err := store.Apply([]*wire.Record{rec(9)}, nil, map[string][]byte{"k": []byte("old")}, false); err != nil {
				t.Fatal(err)
			}
			d := &Daemon{cfg: Config{Store: store}}
			var out []node.Ready
			for _, writes := range c.steps {
				out = append(out, node.Ready{Records: writes})
			}
			if err := d.commit(out); err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for n := range maps.Keys(store.records) {
				got = append(got, n.Seq)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) || string(store.locals["k"]) != c.local || store.synced != c.synced {
				t.Errorf("records %v, local %q, %d syncs; want %v, %q, %d", got, store.locals["k"], store.synced, c.want, c.local, c.synced)
			}
		})
	}
}

// brokenTape takes some bytes and then no more.
type brokenTape struct{ left int }

func (b *brokenTape) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("no room")
	}
	return len(p), nil
}

func TestRecorder_GivesUpAndSaysSo(t *testing.T) {
	var log bytes.Buffer
	r := newRecorder(&brokenTape{left: 1000}, slog.New(slog.NewTextHandler(&log, nil)), node.Config{}, node.Stored{})
	for range 100 {
		r.step(node.Input{Now: 1}, &node.Ready{})
		r.flush()
	}
	if r.on() || bytes.Count(log.Bytes(), []byte("the recording ends here")) != 1 {
		t.Errorf("on %v, log %q", r.on(), log.String())
	}
}
