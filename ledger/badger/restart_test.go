package badger

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A table that a kill left half written, and the manifest does not name, is no damage.
func TestStore_HalfWrittenTableIsNoDamage(t *testing.T) {
	dir, promised := t.TempDir(), uint64(0)
	for promised == 0 {
		r := killedRun(t, dir, "small", promised, false, 50*time.Millisecond)
		if r.err != nil {
			t.Fatal(r.err)
		}
		promised = r.promised
	}
	if _, err := os.Stat(filepath.Join(dir, "db", "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "db", "009999.sst")
	if err := os.WriteFile(half, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{Small: true})
	if _, err := lastWritten(s, promised); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("the half table is still there")
	}
}

// A kill may come when a log file has just been made: Badger does not open an empty one.
func TestStore_EmptyLogsAreNoDamage(t *testing.T) {
	for _, name := range []string{"000099.vlog", "00099.mem"} {
		dir := filledThenKilled(t, "small")
		if err := os.WriteFile(filepath.Join(dir, "db", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, Options{Small: true})
		if records, _, damage := s.Load(); damage != nil || len(records) != filled(Options{Small: true}) {
			t.Errorf("%s: %d records, damage: %v", name, len(records), damage)
		}
	}
}

// TestStore_ProfileMayChangeBetweenStarts takes over the logs that a kill left, with
// the buffers of the other profile. What is in them fits into no memtable of a small one.
func TestStore_ProfileMayChangeBetweenStarts(t *testing.T) {
	for _, before := range []string{"big", "small"} {
		t.Run("before "+before, func(t *testing.T) {
			s := open(t, filledThenKilled(t, before), Options{Small: before == "big"})
			records, _, damage := s.Load()
			if want := filled(Options{Small: before == "small"}); len(records) != want || damage != nil {
				t.Fatalf("%d records, want %d; damage %v", len(records), want, damage)
			}
		})
	}
}

// TestOpen_ReadsStoresOfEarlierSchemas opens stores that earlier versions left behind
// when they were killed: forty records and their table, then twenty in the log, the
// fifth dropped. A change of the schema adds a file here and keeps those before it.
func TestOpen_ReadsStoresOfEarlierSchemas(t *testing.T) {
	for schema := 1; schema <= Schema; schema++ {
		dir := t.TempDir()
		untar(t, fmt.Sprintf("testdata/schema%d.tar.gz", schema), dir)
		var want []uint64
		for seq := uint64(1); seq <= 60; seq++ {
			if seq != 5 {
				want = append(want, seq)
			}
		}
		holds(t, open(t, dir, Options{Small: true}), want, map[string]string{"inc": "\x07"})
		if b, err := os.ReadFile(filepath.Join(dir, "schema")); err != nil || string(b) != schemaText(Schema) {
			t.Errorf("the file schema holds %q, %v", b, err)
		}
	}
}

func untar(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else if b, rerr := io.ReadAll(r); rerr != nil {
			err = rerr
		} else {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
