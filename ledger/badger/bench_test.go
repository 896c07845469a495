package badger

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// A signer makes signatures as long as real ones, at no cost.
type signer wire.PeerID

func (k signer) Sign(msg []byte) []byte {
	h := sha256.New()
	h.Write(k[:])
	h.Write(msg)
	return append(h.Sum(nil), make([]byte, 32)...)
}

var benchSwarm = wire.HashOf([]byte("bench"))

// claim is what holder i says of its slot for the seq-th time, with a summary of the
// sale as a real one has.
func claim(i int, seq uint64) *wire.Record {
	holder := wire.PeerID{7, byte(i % 128)}
	c := &ledger.Claim{
		Slot: job.SlotID{Job: job.MakeID("", fmt.Sprintf("job-%d", i/20)), Task: "web", Index: i % 20},
		Life: 1, Token: 1, Peer: holder, Spec: wire.Hash{1}, JobSpec: wire.Hash{2},
		Needs: job.Resources{CPUMilli: 100, MemBytes: 128 << 20}, Phase: ledger.Running, Run: uint32(seq),
	}
	c.Summary = wire.Summary{Steward: holder.Tag(), Asked: 128, Passed: 90, Took: 40 * time.Millisecond}
	for n := range wire.MaxSummaryBids {
		c.Summary.Bids = append(c.Summary.Bids, wire.ScoredBid{Peer: wire.PeerTag{7, byte(i + n)}})
	}
	r := &wire.Record{
		Num:  wire.Number{Issuer: holder, Inc: 1, Nonce: 9, Seq: seq},
		Kind: wire.KindClaim, Body: wire.MustMarshal(c),
	}
	r.Seal(benchSwarm, signer(holder))
	return r
}

// BenchmarkLoad opens a store of 100,000 claims and makes the ledger of them. A
// target: 1 s.
func BenchmarkLoad(b *testing.B) {
	const n = 100_000
	for _, profile := range []Options{{}, {Small: true}} {
		b.Run(fmt.Sprintf("small=%v", profile.Small), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, dir, profile)
			var puts []*wire.Record
			for i := range n {
				puts = append(puts, claim(i, uint64(i+1)))
			}
			apply(b, s, puts, nil, nil, true)
			var onDisk, inLedger time.Duration
			for b.Loop() {
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				b.StartTimer()
				began := time.Now()
				s = open(b, dir, profile)
				records, _, damage := s.Load()
				onDisk += time.Since(began)
				state := ledger.New(wire.PeerID{1}, benchSwarm, nil)
				for _, r := range records {
					if err := state.Load(r); err != nil {
						b.Fatal(err)
					}
				}
				if state.Len() != n || damage != nil {
					b.Fatalf("%d records, damage %v", state.Len(), damage)
				}
				inLedger += time.Since(began)
			}
			b.ReportMetric(onDisk.Seconds()*1000/float64(b.N), "ms-disk/op")
			b.ReportMetric(inLedger.Seconds()*1000/float64(b.N), "ms-all/op")
		})
	}
}

// BenchmarkStatusChanges is 100,000 changes of 1,000 claims, 16 in a batch, each batch
// synced. Targets: at most 64 MB on the disk after collection, and a resident set that
// has grown by at most 16 MB since the first thousand.
func BenchmarkStatusChanges(b *testing.B) {
	const slots, changes, batch = 1000, 100_000, 16
	for _, profile := range []Options{{}, {Small: true}} {
		b.Run(fmt.Sprintf("small=%v", profile.Small), func(b *testing.B) {
			var disk, most, grown, mapped int64
			for b.Loop() {
				dir := b.TempDir()
				s := open(b, dir, profile)
				before, beforeFiles := int64(0), int64(0)
				last := make([]wire.Number, slots)
				for from := 0; from < changes; from += batch {
					var puts []*wire.Record
					var drops []wire.Number
					for i := from; i < from+batch; i++ {
						r := claim(i%slots, uint64(i+1))
						puts = append(puts, r)
						if i >= slots {
							drops = append(drops, last[i%slots])
						}
						last[i%slots] = r.Num
					}
					apply(b, s, puts, drops, map[string][]byte{"seq": fmt.Append(nil, from)}, true)
					if before == 0 && from >= slots {
						before, beforeFiles = resident(b)
					}
					if from%1024 == 0 {
						most = max(most, diskUse(b, dir))
					}
				}
				if err := s.Collect(); err != nil {
					b.Fatal(err)
				}
				after, afterFiles := resident(b)
				disk, grown, mapped = max(disk, diskUse(b, dir)), max(grown, after-before), max(mapped, afterFiles-beforeFiles)
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(disk)/1e6, "MB-disk")
			b.ReportMetric(float64(most)/1e6, "MB-disk-most")
			b.ReportMetric(float64(grown)/1e6, "MB-grown")
			b.ReportMetric(float64(mapped)/1e6, "MB-of-files")
		})
	}
}

// diskUse is what the files of a directory take of the disk, but for the ballast.
func diskUse(tb testing.TB, dir string) (sum int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "ballast" {
			return nil //nolint:nilerr // Badger has just removed it
		}
		var st syscall.Stat_t
		if syscall.Stat(path, &st) == nil {
			sum += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return sum
}

// resident is this process' resident set once what is garbage has been given back, in
// bytes; of that, file-backed pages belong to Badger's mapped files and can be had
// again at any time.
func resident(tb testing.TB) (all, files int64) {
	tb.Helper()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	var size int64
	if err == nil {
		_, err = fmt.Sscan(string(b), &size, &all, &files)
	}
	if err != nil {
		tb.Skip(err)
	}
	page := int64(os.Getpagesize())
	return all * page, files * page
}

// BenchmarkGroupCommit makes n promises durable together, as the daemon does with all
// that waits at one time. A target: 10 ms.
func BenchmarkGroupCommit(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("promises=%d", n), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{})
			seq := uint64(0)
			var took []time.Duration
			for b.Loop() {
				b.StopTimer()
				var puts []*wire.Record
				for i := range n {
					seq++
					puts = append(puts, claim(i, seq))
				}
				b.StartTimer()
				began := time.Now()
				apply(b, s, puts, nil, nil, true)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "promises/s")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms-p99")
		})
	}
}
