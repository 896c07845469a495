package badger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shoal/wire"
)

func TestCheck_AWholeStoreHasNothingToTell(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	apply(t, s, []*wire.Record{record(1, 10), record(2, 9000)}, nil, map[string][]byte{"inc": {1}}, true)
	apply(t, s, []*wire.Record{record(3, 10)}, nil, nil, false)
	c, err := s.Check()
	if err != nil || c.Entries != 4 || c.Records != 3 || c.Altered != 0 || c.Sums+c.Head+c.Damage != "" || c.Batches != 1 || c.Slots != 2 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestCheck_SeesALostAndAnotherStoresHead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	apply(t, s, []*wire.Record{record(1, 10)}, nil, nil, true)
	head := filepath.Join(dir, "head")
	whole, err := os.ReadFile(head)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"gone", nil, "the file head is gone"},
		{"zeroed", make([]byte, len(whole)), "cannot be read"},
		{"other", otherHead(t), "not the one its head belongs to"},
	} {
		if err := os.WriteFile(head, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Check(); err != nil || !strings.Contains(got.Head, c.want) {
			t.Errorf("%s: %+v, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// otherHead is the head of a store that was written otherwise.
func otherHead(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, Options{})
	apply(t, s, []*wire.Record{record(7, 10)}, nil, nil, true)
	b, err := os.ReadFile(filepath.Join(dir, "head"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenCopy_ShowsAStoreAndLeavesItAsItIs(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenCopy(dir, Options{}); err == nil || !strings.Contains(err.Error(), "holds no store") {
		t.Errorf("without a store: %v", err)
	}
	s := open(t, dir, Options{})
	apply(t, s, []*wire.Record{record(1, 10), record(2, 9000)}, nil, map[string][]byte{"inc": {1}}, true)
	if _, err := OpenCopy(dir, Options{}); err == nil || !strings.Contains(err.Error(), "is in use by process") {
		t.Errorf("of a store in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	c, err := OpenCopy(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, c.Store, []uint64{1, 2}, map[string]string{"inc": "\x01"})
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("opened while it is looked at: %v", err)
	}
	apply(t, c.Store, []*wire.Record{record(3, 10)}, nil, nil, true)
	tmp := c.tmp
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tmp); !os.IsNotExist(err) {
		t.Errorf("the copy is still there: %v", err)
	}
	after := contents(t, dir)
	for name, b := range before {
		if !bytes.Equal(b, after[name]) && name != "lock" {
			t.Errorf("%s was changed by a look", name)
		}
	}
}

func TestOpenCopy_OfADamagedStoreSaysSoAndMendsNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	apply(t, s, []*wire.Record{record(1, 10)}, nil, nil, true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "db", "MANIFEST"), 3); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := OpenCopy(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, damage := c.Load(); damage == nil || !strings.HasPrefix(damage.Error(), "the store in "+dir+" cannot be opened") {
			t.Errorf("the damage is not told: %v", damage)
		}
		if got, err := c.Check(); err != nil || got.Damage == "" {
			t.Errorf("check: %+v, %v", got, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever looks at a store has named its directory and knows of no copy.
func TestOpenCopy_ErrorsNameTheDirectoryLookedAt(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, dir, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "schema"), []byte(schemaText(2)), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "state directory " + dir + " was written by a newer shoal (schema 2, this one knows 1): update shoal"
	if _, err := OpenCopy(dir, Options{}); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	t.Setenv("TMPDIR", filepath.Join(dir, "nowhere"))
	want = "state directory " + dir + " cannot be copied into " + os.TempDir() + " to look at it: no such file or directory: set TMPDIR to another directory"
	if _, err := OpenCopy(dir, Options{}); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestOpenCopy_SaysThatItDoesNotFit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	apply(t, s, []*wire.Record{record(1, 300<<10)}, nil, nil, true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	small := mounted(t, "tmpfs", 16)
	t.Setenv("TMPDIR", small)
	want := regexp.MustCompile(`^state directory ` + dir + `: a copy of 3[2-9] MiB does not fit into ` + small +
		` \((15|16) MiB free\): set TMPDIR to a directory with room$`)
	if _, err := OpenCopy(dir, Options{}); err == nil || !want.MatchString(err.Error()) {
		t.Errorf("error %v, want %s", err, want)
	}
	if left, err := os.ReadDir(small); err != nil || len(left) > 0 {
		t.Errorf("left there: %v, %v", left, err)
	}
	c := &Copy{dir: dir, tmp: small} // others took the room meanwhile
	var none *NoRoomError
	if err := c.explained(&FullError{1 << 20, 2 << 20}, Options{}); !errors.As(err, &none) || none.Dir != small || none.FreeBytes == 0 {
		t.Errorf("error %v", err)
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out[strings.TrimPrefix(path, dir+"/")], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
