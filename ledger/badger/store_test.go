package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/wire"
)

func record(seq uint64, size int) *wire.Record {
	body := bytes.Repeat([]byte{byte(seq)}, size)
	binary.BigEndian.PutUint64(body, seq)
	return &wire.Record{
		Num:  wire.Number{Issuer: wire.PeerID{1, 2, 3}, Inc: 4, Nonce: 5, Seq: seq},
		Kind: wire.FirstOpenKind, Key: []byte("k"), Rank: []byte("r"), Body: body, Sig: []byte("sig"),
	}
}

func open(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// holds fails the test unless s loaded exactly the records seqs and the locals.
func holds(t testing.TB, s *Store, seqs []uint64, locals map[string]string) {
	t.Helper()
	records, got, damage := s.Load()
	if damage != nil {
		t.Fatalf("damage: %v", damage)
	}
	var have []uint64
	for _, r := range records {
		want := record(r.Num.Seq, len(r.Body))
		if r.Hash() != want.Hash() || !bytes.Equal(r.Sig, want.Sig) {
			t.Fatalf("record %v came back altered", r.Num)
		}
		have = append(have, r.Num.Seq)
	}
	if fmt.Sprint(have) != fmt.Sprint(seqs) {
		t.Fatalf("records %v, want %v", have, seqs)
	}
	if len(got) != len(locals) {
		t.Fatalf("%d locals, want %d", len(got), len(locals))
	}
	for k, v := range locals {
		if b, ok := got[k]; !ok || string(b) != v {
			t.Fatalf("local %q is %q, want %q", k, b, v)
		}
	}
}

func apply(t testing.TB, s *Store, puts []*wire.Record, drops []wire.Number, locals map[string][]byte, sync bool) {
	t.Helper()
	if err := s.Apply(puts, drops, locals, sync); err != nil {
		t.Fatal(err)
	}
}

func TestStore_KeepsWhatWasApplied(t *testing.T) {
	for _, opts := range []Options{{}, {Small: true}} {
		t.Run(fmt.Sprintf("small=%v", opts.Small), func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, opts)
			holds(t, s, nil, nil)
			apply(t, s, []*wire.Record{record(3, 10), record(1, 10), record(2, 300<<10)}, nil,
				map[string][]byte{"inc": {7}, "empty": {}, "gone": {1}}, true)
			apply(t, s, []*wire.Record{record(4, 10), record(1, 10)}, []wire.Number{record(3, 10).Num, record(99, 10).Num},
				map[string][]byte{"gone": nil, "inc": {8}, "never": nil}, false)
			want := map[string]string{"inc": "\x08", "empty": ""}
			for range 2 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatalf("second Close: %v", err)
				}
				s = open(t, dir, opts)
				holds(t, s, []uint64{1, 2, 4}, want)
			}
		})
	}
}

func TestStore_SplitsABatchTooBigForOneTransaction(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Small: true})
	var puts []*wire.Record
	var want []uint64
	for seq := uint64(1); seq <= 5000; seq++ {
		puts, want = append(puts, record(seq, 200)), append(want, seq)
	}
	apply(t, s, puts, nil, map[string][]byte{"mark": {1}}, true)
	if err := s.Collect(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, dir, Options{Small: true}), want, map[string]string{"mark": "\x01"})
}

func TestStore_CollectsWhatWasOverwritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Small: true})
	for i := range 40 {
		apply(t, s, []*wire.Record{record(uint64(i+1), 200<<10)}, nil, nil, false)
		if i > 0 {
			apply(t, s, nil, []wire.Number{record(uint64(i), 8).Num}, nil, i%8 == 0)
		}
		if i%10 == 9 {
			if err := s.Collect(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, dir, Options{Small: true}), []uint64{40}, nil)
}

func TestOpen_SecondProcessIsToldWhoHasIt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	_, err := Open(dir, Options{})
	want := fmt.Sprintf("state directory %s is in use by process %d: stop it or use another --state", dir, os.Getpid())
	if err == nil || err.Error() != want {
		t.Fatalf("error %q, want %q", err, want)
	}
	if got := Holder(dir); got != fmt.Sprint("process ", os.Getpid()) {
		t.Errorf("held by %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := Holder(dir) + Holder(t.TempDir()); got != "" {
		t.Errorf("held by %q", got)
	}
	open(t, dir, Options{})
}

func TestOpen_RefusesANewerSchema(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "schema"), []byte(schemaText(3)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir, Options{})
	want := fmt.Sprintf("state directory %s was written by a newer shoal (schema 3, this one knows 1): update shoal", dir)
	if err == nil || err.Error() != want {
		t.Fatalf("error %q, want %q", err, want)
	}
}

// The file schema may say anything, and be gone. What names a greater version is
// refused; what names none is damage, unless there is nothing yet.
func TestOpen_JudgesWhatTheSchemaSays(t *testing.T) {
	gone := "(gone)"
	one, three := schemaText(1), schemaText(3)
	for text, want := range map[string]string{
		one: "", "1": "", "1\n": "", "7" + one[1:]: "", // its checksum says 1
		gone: "damage: the file schema of state directory DIR is gone",
		"":   "damage: the file schema of state directory DIR cannot be read", "\x00\x00\n": "damage: ", "schema 2": "damage: ", "0": "damage: ",
		"1 " + three[2:9]: "damage: ", one[:4]: "damage: ", one[:9] + "x\n": "damage: ", strings.Repeat("9", 100_000): "damage: ",
		three: "was written by a newer shoal (schema 3, ", "?" + three[1:]: "was written by a newer shoal (schema 3, ",
		"2": "says 2, with no valid checksum", "99\n": "update shoal or, if no newer one has run here, delete that file",
		three[:9] + "x\n": "says 3, with no valid checksum",
	} {
		for _, hasData := range []bool{true, false} {
			if !hasData && len(text) > 6 {
				continue // enough of it
			}
			dir := t.TempDir()
			if hasData {
				s := open(t, dir, Options{Small: true})
				apply(t, s, []*wire.Record{record(1, 10)}, nil, nil, true)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "schema")
			err := os.Remove(path)
			if text != gone {
				err = os.WriteFile(path, []byte(text), 0o600)
			}
			if err != nil && hasData {
				t.Fatal(err)
			}
			damage, isDamage := strings.CutPrefix(strings.ReplaceAll(want, "DIR", dir), "damage: ")
			if isDamage && !hasData {
				isDamage, damage = false, ""
			}
			if !isDamage && damage != "" {
				if _, err := Open(dir, Options{Small: true}); err == nil || !strings.Contains(err.Error(), damage) {
					t.Errorf("%.20q: error %v, want %q", text, err, damage)
				}
				if b, _ := os.ReadFile(path); string(b) != text {
					t.Errorf("%.20q: rewritten to %q", text, b)
				}
				continue
			}
			opensWith(t, dir, text, isDamage, damage)
		}
	}
}

// opensWith fails the test unless a store opens with that damage, remembers it, and has
// a good file schema from then on.
func opensWith(t *testing.T, dir, text string, isDamage bool, want string) {
	t.Helper()
	for again := range 3 {
		s, err := Open(dir, Options{Small: true})
		if err != nil {
			t.Fatalf("%.20q: %v", text, err)
		}
		_, _, damage := s.Load()
		switch {
		case (damage != nil) != (isDamage && again < 2):
			t.Errorf("%.20q: start %d: damage %v", text, again, damage)
		case damage != nil && again == 0 && !strings.Contains(damage.Error(), want):
			t.Errorf("%.20q: %v, want %q", text, damage, want)
		case damage != nil && again == 1:
			err = s.Mend()
		}
		b, rerr := os.ReadFile(filepath.Join(dir, "schema"))
		if err := errors.Join(err, rerr, s.Close()); err != nil || string(b) != schemaText(Schema) {
			t.Errorf("%.20q: the file schema holds %q, %v", text, b, err)
		}
		if damage == nil {
			return
		}
	}
}

func TestOpen_SaysThatItCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sealed := t.TempDir()
	if err := os.Chmod(sealed, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), filepath.Join(sealed, "below"), sealed} {
		_, err := Open(dir, Options{})
		if os.Getuid() == 0 && strings.HasPrefix(dir, sealed) {
			continue // root may write everywhere
		}
		if err == nil || !strings.HasPrefix(err.Error(), "state directory "+dir+" cannot be written: ") ||
			!strings.HasSuffix(err.Error(), ": mend that or use another --state") {
			t.Errorf("%s: error %q", dir, err)
		}
	}
}

func TestBallast_IsThereOnceAndGivenBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	path := filepath.Join(dir, "ballast")
	if info, err := os.Stat(path); err != nil || info.Size() != BallastBytes {
		t.Fatalf("ballast %v, %v", info, err)
	}
	for range 2 {
		if err := s.ReleaseBallast(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Fatalf("ballast is still there: %v", err)
		}
	}
	small := t.TempDir()
	open(t, small, Options{Small: true})
	if _, err := os.Stat(filepath.Join(small, "ballast")); !os.IsNotExist(err) {
		t.Fatal("a small store has a ballast")
	}
	free, total, err := Free(dir)
	if err != nil || free <= 0 || total < free {
		t.Fatalf("free %d of %d, %v", free, total, err)
	}
}

func TestStore_RefusesEverythingAfterAFailure(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	_ = s.head.f.Close() // the disk with the head is gone
	first := s.Apply([]*wire.Record{record(1, 10)}, nil, nil, true)
	if first == nil {
		t.Fatal("a promise without its head was made")
	}
	if err := s.Apply([]*wire.Record{record(2, 10)}, nil, nil, false); err != first { //nolint:errorlint // the very same
		t.Fatalf("second error %v, want the first, %v", err, first)
	}
	_ = s.Close()
	if err := s.Apply(nil, nil, nil, false); err == nil {
		t.Fatal("a closed store was written")
	}
}
