package badger

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"shoal/wire"
)

const writerEnv = "SHOAL_TEST_STORE_WRITER"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

// writeForEver writes batches and says, after each, what is promised.
func writeForEver(dir string) {
	s, err := Open(dir, Options{Small: true})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	records, _, damage := s.Load()
	if damage != nil {
		fmt.Println("error damage:", damage)
		os.Exit(1)
	}
	seq := uint64(0)
	for _, r := range records {
		seq = max(seq, r.Num.Seq)
	}
	for {
		var puts []*wire.Record
		for range 1 + seq%7 {
			seq++
			puts = append(puts, record(seq, 100+int(seq*37%3000)))
		}
		var drops []wire.Number
		if seq > 400 {
			drops = append(drops, record(seq-400, 8).Num)
		}
		sync := seq%3 != 0
		if err := s.Apply(puts, drops, map[string][]byte{"seq": fmt.Append(nil, seq)}, sync); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		if sync {
			fmt.Println("promised", seq)
		}
	}
}

func TestStore_KillLosesNoPromise(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		promised := killAfter(t, dir, 1+rng.IntN(60))
		s := open(t, dir, Options{Small: true})
		records, locals, damage := s.Load()
		if damage != nil {
			t.Fatalf("round %d: a kill counts as damage: %v", round, damage)
		}
		if len(records) == 0 || records[len(records)-1].Num.Seq < promised {
			t.Fatalf("round %d: %d records, of %d promised", round, len(records), promised)
		}
		for i, r := range records[1:] {
			if prev := records[i].Num.Seq; r.Num.Seq != prev+1 && prev > promised-min(promised, 300) {
				t.Fatalf("round %d: a hole after %d", round, prev)
			}
		}
		if len(locals["seq"]) == 0 {
			t.Fatalf("round %d: the local is gone", round)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A table that a kill left half written, and the manifest does not name, is no damage.
func TestStore_HalfWrittenTableIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	promised := killAfter(t, dir, 20)
	tables, err := filepath.Glob(filepath.Join(dir, "db", "MANIFEST"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("where is the manifest? %v, %v", tables, err)
	}
	half := filepath.Join(dir, "db", "009999.sst")
	if err := os.WriteFile(half, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{Small: true})
	records, _, damage := s.Load()
	if damage != nil || len(records) == 0 || records[len(records)-1].Num.Seq < promised {
		t.Fatalf("%d records of %d promised, damage: %v", len(records), promised, damage)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("the half table is still there")
	}
}

// killAfter runs a writer, kills it after it has promised that many batches, and
// returns the last promise.
func killAfter(t *testing.T, dir string, batches int) (promised uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		if word, rest, _ := strings.Cut(lines.Text(), " "); word == "error" {
			t.Fatal(rest)
		}
		if _, err := fmt.Sscanf(lines.Text(), "promised %d", &promised); err != nil {
			t.Fatalf("writer said %q", lines.Text())
		}
		if n++; n == batches {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	return promised
}

// A damage is one harm to one file of a store.
type damage struct {
	name string
	file string // glob below the state directory
	do   func([]byte) []byte
}

func flip(part float64) func([]byte) []byte {
	return func(b []byte) []byte {
		b[int(part*float64(len(b)-1))] ^= 0x10
		return b
	}
}

func cut(part float64) func([]byte) []byte {
	return func(b []byte) []byte { return b[:int(part*float64(len(b)))] }
}

func zero(part float64) func([]byte) []byte {
	return func(b []byte) []byte {
		at := int(part * float64(len(b)))
		clear(b[at:min(at+4096, len(b))])
		return b
	}
}

// rounds is how many random damages are tried: SHOAL_TEST_DAMAGES, 10 if unset.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("SHOAL_TEST_DAMAGES")); err == nil {
		return n
	}
	return 10
}

func damages() []damage {
	var out []damage
	files := []string{"db/*.mem", "db/*.vlog", "db/*.sst", "db/MANIFEST", "db/KEYREGISTRY", "head"}
	for _, file := range files {
		for _, part := range []float64{0, 0.01, 0.3, 0.9} {
			out = append(out, damage{fmt.Sprintf("flip %s at %.2f", file, part), file, flip(part)})
		}
		for _, part := range []float64{0, 0.02, 0.6} {
			out = append(out, damage{fmt.Sprintf("cut %s at %.2f", file, part), file, cut(part)},
				damage{fmt.Sprintf("zero %s at %.2f", file, part), file, zero(part)})
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range rounds() {
		file := files[rng.IntN(len(files))]
		do := []func(float64) func([]byte) []byte{flip, cut, zero}[rng.IntN(3)]
		part := rng.Float64()
		out = append(out, damage{fmt.Sprintf("random %s at %v", file, part), file, do(part)})
	}
	for _, file := range append(files, "db/*") {
		out = append(out, damage{"remove " + file, file, nil})
	}
	return out
}

// TestStore_DamageIsSeenOrHarmless harms a store of two tables, value logs and a
// live log in many ways. In none may the store open as whole with anything amiss;
// in all it must open, say what is wrong until mended, and go on working.
func TestStore_DamageIsSeenOrHarmless(t *testing.T) {
	origin := t.TempDir()
	want := writeThenKill(t, origin)
	seen, harmless := 0, 0
	for i, d := range damages() {
		if testing.Short() && i%4 != 0 {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
				t.Fatal(err)
			}
			harm(t, dir, d)
			s := open(t, dir, Options{Small: true})
			records, locals, damage := s.Load()
			if damage == nil {
				harmless++
				if len(records) < len(want) || len(locals) != 1 {
					t.Fatalf("opened as whole with %d records of %d, %d locals", len(records), len(want), len(locals))
				}
			} else {
				seen++
				if strings.Contains(damage.Error(), "\n") {
					t.Errorf("not one sentence: %q", damage)
				}
			}
			for _, r := range records {
				if !slices.Contains(want, r.Hash()) {
					t.Fatalf("record %v is not one that was written", r.Num)
				}
			}
			worksOn(t, s, dir, damage != nil)
		})
	}
	t.Logf("%d seen, %d harmless", seen, harmless)
	if seen < 25 && !testing.Short() {
		t.Errorf("only %d damages were seen: do they still hit what is in use?", seen)
	}
}

// worksOn shows that a store goes on after damage, remembers it over a restart,
// and forgets it once mended.
func worksOn(t *testing.T, s *Store, dir string, damaged bool) {
	t.Helper()
	apply(t, s, []*wire.Record{record(1_000_000, 5000)}, nil, map[string][]byte{"x": {1}}, true)
	for _, mend := range []bool{true, false} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, Options{Small: true})
		records, locals, damage := s.Load()
		if (damage != nil) != damaged {
			t.Fatalf("damage is %v after a restart, was %v", damage, damaged)
		}
		if len(records) == 0 || records[len(records)-1].Num.Seq != 1_000_000 || len(locals["x"]) != 1 {
			t.Fatal("what was written after the damage is gone")
		}
		if mend {
			if err := s.Mend(); err != nil {
				t.Fatal(err)
			}
			damaged = false
		}
	}
}

// writeThenKill fills a store and leaves it as a power cut after a sync does.
func writeThenKill(t *testing.T, dir string) (hashes []wire.Hash) {
	t.Helper()
	work := t.TempDir()
	s := open(t, work, Options{Small: true})
	seq := uint64(0)
	for batch := range 12 {
		if batch == 4 || batch == 8 { // closing makes a table of the log
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, work, Options{Small: true})
		}
		var puts []*wire.Record
		for range 80 {
			seq++
			r := record(seq, 300+int(seq%10)*200)
			hashes = append(hashes, r.Hash())
			puts = append(puts, r)
		}
		apply(t, s, puts, nil, map[string][]byte{"batch": {byte(batch)}}, true)
	}
	if err := os.CopyFS(dir, os.DirFS(work)); err != nil {
		t.Fatal(err)
	}
	return hashes
}

func harm(t *testing.T, dir string, d damage) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, d.file))
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing to harm at %s: %v", d.file, err)
	}
	for _, path := range paths {
		if d.do == nil {
			err = os.Remove(path)
		} else if b, rerr := os.ReadFile(path); rerr != nil {
			err = rerr
		} else if used := written(b); len(used) > 0 {
			err = os.WriteFile(path, append(d.do(used), b[len(used):]...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.do != nil {
			return // the oldest of a kind; younger ones are still whole
		}
	}
}

// written is the part of a preallocated file that was written to.
func written(b []byte) []byte {
	end := len(b)
	for end > 0 && b[end-1] == 0 {
		end--
	}
	return slices.Clone(b[:end])
}

// TestStore_ProfileMayChangeBetweenStarts takes over the logs that a kill left,
// with the buffers of the other profile.
func TestStore_ProfileMayChangeBetweenStarts(t *testing.T) {
	for _, before := range []Options{{}, {Small: true}} {
		t.Run(fmt.Sprintf("small before=%v", before.Small), func(t *testing.T) {
			work, dir := t.TempDir(), t.TempDir()
			s := open(t, work, before)
			var puts []*wire.Record
			var want []uint64
			for seq := uint64(1); seq <= 6000; seq++ {
				puts, want = append(puts, record(seq, 100+int(seq%40)*100)), append(want, seq)
			}
			apply(t, s, puts, nil, map[string][]byte{"x": {1}}, true)
			if err := os.CopyFS(dir, os.DirFS(work)); err != nil {
				t.Fatal(err)
			}
			holds(t, open(t, dir, Options{Small: !before.Small}), want, map[string]string{"x": "\x01"})
		})
	}
}
