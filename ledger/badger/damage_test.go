package badger

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/wire"
)

// fileKinds are all the kinds of files of a stopped store, as patterns.
var fileKinds = []string{
	"db/*.vlog", "db/*.mem", "db/*.sst", "db/MANIFEST", "db/KEYREGISTRY", "db/DISCARD", "db/LOCK",
	"head", "schema", "lock", "opening", "ballast",
}

const lastSeq = 1_000_000 // written after the harm

// batchesOf is how many batches of batchRecords a store is filled with: a third into
// each of three logs, or into the last as many as fit into no memtable of a small store.
func batchesOf(opts Options, log int) int {
	if log == 2 && !opts.Small {
		return 40
	}
	return 3
}

const batchRecords = 64

func filled(opts Options) int {
	return (batchesOf(opts, 0) + batchesOf(opts, 1) + batchesOf(opts, 2)) * batchRecords
}

func harmedSize(seq uint64) int { return 300 + int(seq%10)*200 }

// TestStore_DamageIsSeenOrHarmless harms a stopped store of tables, value logs and a
// live log in many ways: a bit flipped, a page zeroed, a file cut or gone. In none may
// it open as whole with anything amiss; in all it must open, say what is wrong until
// mended, and go on working. Badger may end the process at a start, which a supervisor
// then repeats.
func TestStore_DamageIsSeenOrHarmless(t *testing.T) {
	each := timesFrom("SHOAL_TEST_DAMAGES", 10)
	small, big := filledThenKilled(t, "small"), filledThenKilled(t, "big")
	sumSeen := 0
	for i, kind := range fileKinds {
		t.Run(strings.ReplaceAll(kind, "/", " "), func(t *testing.T) {
			origin, began := small, time.Now()
			if kind == "ballast" {
				origin = big // a small store has none
			}
			r := harmInChildren(t, origin, i, each)
			sumSeen += r.seen
			t.Logf("%d damages of %s in %s: %d seen and rebuilt, %d harmless; %d starts were ended by Badger and repeated",
				each, kind, time.Since(began).Round(time.Second), r.seen, r.harmless, r.crashes)
			if r.seen+r.harmless != each {
				t.Errorf("%d damages were tried", r.seen+r.harmless)
			}
		})
	}
	if want := each * len(fileKinds) / 5; sumSeen < want {
		t.Errorf("only %d damages were seen, want %d: do they still hit what is in use?", sumSeen, want)
	}
}

type harmed struct{ seen, harmless, crashes int }

// harmInChildren has a kind of file harmed n times, in processes that Badger may end.
func harmInChildren(t *testing.T, origin string, kind, n int) (sum harmed) {
	t.Helper()
	scratch := filepath.Join(t.TempDir(), "harmed")
	for from, again := 0, 0; from < n; {
		cmd, lines := child(t, "harm", origin, scratch, kind, fmt.Sprintf("%d:%d:%d", from, n, again))
		var said []string
		for lines.Scan() {
			said = append(said, lines.Text())
			switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
			case "seen":
				sum.seen++
				from, again = from+1, 0
			case "harmless":
				sum.harmless++
				from, again = from+1, 0
			case "wrong":
				t.Fatalf("damage %d: %s", from, rest)
			}
		}
		err := cmd.Wait()
		if from == n {
			break
		}
		if err == nil {
			t.Fatalf("the child ended before damage %d, and said %q", from, said)
		}
		sum.crashes++
		if again++; again > openAttempts {
			t.Fatalf("damage %d: no start of %d succeeds: %v", from, again, err)
		}
	}
	return sum
}

// harmAll is the child: it makes copies of a store, harms each and looks at what
// opening says. With again the copy is there, harmed, since the last child died of it.
func harmAll(origin, scratch, kind, span string) {
	var from, to, again int
	k, err := strconv.Atoi(kind)
	if _, serr := fmt.Sscanf(span, "%d:%d:%d", &from, &to, &again); err != nil || serr != nil {
		fmt.Println("wrong arguments", err, serr)
		return
	}
	for i := from; i < to; i++ {
		what := "start again"
		if again == 0 {
			_ = os.RemoveAll(scratch)
			if err = os.CopyFS(scratch, os.DirFS(origin)); err == nil {
				what, err = harm(scratch, k, i)
			}
		}
		again = 0
		seen := false
		if err == nil {
			seen, err = openHarmed(scratch, Options{Small: fileKinds[k] != "ballast"}, i%8 == 0)
		}
		switch {
		case err != nil:
			fmt.Printf("wrong %s: %v\n", what, err)
			return
		case seen:
			fmt.Println("seen", i)
		default:
			fmt.Println("harmless", i)
		}
	}
}

// harm does the i-th damage to a file of a kind: the first few go to its ends, the
// others anywhere, mostly into what has been written of it.
func harm(dir string, kind, i int) (what string, err error) {
	rng := rand.New(rand.NewPCG(uint64(kind), uint64(i)))
	paths, err := filepath.Glob(filepath.Join(dir, fileKinds[kind]))
	if err != nil || len(paths) == 0 {
		return "", fmt.Errorf("nothing to harm at %s: %w", fileKinds[kind], err)
	}
	path := paths[rng.IntN(len(paths))]
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	reach := len(bytes.TrimRight(b, "\x00"))
	if rng.IntN(5) == 0 || reach == 0 {
		reach = len(b)
	}
	at, bit := rng.IntN(max(reach, 1)), rng.IntN(8)
	op := []string{"remove", "flip", "flip", "zero", "cut", "cut"}[min(i, 5)]
	switch {
	case i == 1 || i == 3 || i == 4:
		at = 0
	case i == 2:
		at = max(reach, 1) - 1
	case i > 5:
		op = []string{"flip", "flip", "zero", "cut"}[rng.IntN(4)]
	}
	what = fmt.Sprintf("%s %s at %d of %d", op, filepath.Base(path), at, len(b))
	switch {
	case op == "remove":
		return what, os.Remove(path)
	case len(b) == 0:
		b = []byte{1}
	case op == "flip":
		b[at] ^= 1 << bit
	case op == "zero":
		page := at &^ 4095
		clear(b[page:min(page+4096, len(b))])
	case op == "cut":
		b = b[:at]
	}
	return what, os.WriteFile(path, b, 0o600)
}

// openHarmed opens a harmed store and reports whether it saw the damage.
func openHarmed(dir string, opts Options, further bool) (seen bool, err error) {
	s, err := Open(dir, opts)
	if err != nil {
		return false, fmt.Errorf("it does not open: %w", err)
	}
	defer func() { _ = s.Close() }()
	records, locals, damage := s.Load()
	if damage == nil && (len(records) < filled(opts) || len(locals) != 1) {
		return false, fmt.Errorf("opened as whole with %d records, %d locals", len(records), len(locals))
	}
	if damage != nil && strings.Contains(damage.Error(), "\n") {
		return false, fmt.Errorf("not one sentence: %w", damage)
	}
	for _, r := range records {
		if r.Hash() != record(r.Num.Seq, harmedSize(r.Num.Seq)).Hash() {
			return false, fmt.Errorf("record %v is not one that was written", r.Num)
		}
	}
	if err := s.Apply([]*wire.Record{record(lastSeq, 5000)}, nil, map[string][]byte{"x": {1}}, true); err != nil {
		return false, err
	}
	if further {
		err = worksOn(s, dir, opts, damage != nil)
	}
	return damage != nil, err
}

// worksOn shows that a store goes on after damage, remembers it over a restart, and
// forgets it once mended.
func worksOn(s *Store, dir string, opts Options, damaged bool) error {
	for _, mend := range []bool{true, false} {
		if err := s.Close(); err != nil {
			return err
		}
		var err error
		if s, err = Open(dir, opts); err != nil {
			return err
		}
		records, locals, damage := s.Load()
		if (damage != nil) != damaged {
			return errors.Join(fmt.Errorf("damage is %w after a restart, want any: %v", damage, damaged), s.Close())
		}
		if len(records) == 0 || records[len(records)-1].Num.Seq != lastSeq || len(locals["x"]) != 1 {
			return errors.Join(errors.New("what was written after the damage is gone"), s.Close())
		}
		if mend {
			if err := s.Mend(); err != nil {
				return err
			}
			damaged = false
		}
	}
	return s.Close()
}

// filledThenKilled makes a store of tables, value logs and a live log, and leaves it
// as a kill does that comes while it is opened once more.
func filledThenKilled(t testing.TB, profile string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd, lines := child(t, "fill", dir, profile)
	if !lines.Scan() || lines.Text() != "filled" {
		t.Fatalf("the child said %q", lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := os.WriteFile(filepath.Join(dir, openingFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fillAndStay is the child; it says when all is written and waits for the kill.
func fillAndStay(dir string, opts Options) error {
	seq := uint64(0)
	for opened := range 3 {
		s, err := Open(dir, opts)
		if err != nil {
			return err
		}
		for range batchesOf(opts, opened) {
			var puts []*wire.Record
			for range batchRecords {
				seq++
				puts = append(puts, record(seq, harmedSize(seq)))
			}
			if err := s.Apply(puts, nil, map[string][]byte{"batch": {byte(seq)}}, true); err != nil {
				return err
			}
		}
		if opened == 2 {
			break
		}
		if err := s.Close(); err != nil { // which makes a table of the log
			return err
		}
	}
	fmt.Println("filled")
	select {}
}
