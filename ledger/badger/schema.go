package badger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Schema is the version of the state directory this shoal writes. It reads that one
// and all before it.
const Schema = 1

// schemaText is the file schema: the version and a checksum, so that a flipped bit
// does not pass for a newer shoal.
func schemaText(version int) string {
	sum := sha256.Sum256([]byte("shoal schema " + strconv.Itoa(version)))
	return fmt.Sprintf("%d %x\n", version, sum[:4])
}

// greatestSchema bounds the versions that a damaged file is taken to name.
const greatestSchema = 999

// checkSchema refuses what a newer shoal wrote, and tells whether the file schema is to
// be written once the store is open. It is a file of its own, so that it can be read
// whatever a newer shoal does with the rest.
//
// A store has the file before it has anything else. So where it is gone beside a store,
// or tells no version, what the store is can only be guessed: that counts as damage.
// The store is opened with what is left, since a file system that lost the file must
// lock nobody out, and others refill it, since what is left may not be all. If it was a
// newer shoal's after all, what cannot be read of it is set aside, not overwritten.
// But a file that names a greater version is refused, even without its checksum: to ask
// whoever looks after it costs less than a wrong guess.
func (s *Store) checkSchema() (write bool, err error) {
	text, err := readSchema(s.dir)
	isGone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isGone {
		return false, fmt.Errorf("state directory %s: %w", s.dir, cause(err))
	}
	v, sure := schemaIn(text)
	switch {
	case v > Schema && sure:
		return false, fmt.Errorf("state directory %s was written by a newer shoal (schema %d, this one knows %d): update shoal", s.dir, v, Schema)
	case v > Schema:
		return false, fmt.Errorf("state directory %s seems to be of a newer shoal (its file schema says %d, with no valid checksum; this one knows %d): "+
			"update shoal or, if no newer one has run here, delete that file", s.dir, v, Schema)
	case !s.hasData():
		return false, s.writeSchema()
	case isGone:
		s.found("the file schema of state directory %s is gone", s.dir)
	case !sure:
		s.found("the file schema of state directory %s cannot be read", s.dir)
	}
	return text != schemaText(Schema), nil
}

// schemaIn is the version that a file schema tells; sure says that it cannot be another.
// A number that does not match a good checksum is what was damaged. The first stores had
// the number alone.
func schemaIn(text string) (version int, sure bool) {
	number, sum, _ := strings.Cut(strings.TrimSpace(text), " ")
	for v := 1; v <= greatestSchema && len(sum) == 8; v++ {
		if strings.HasSuffix(schemaText(v), " "+sum+"\n") {
			return v, true
		}
	}
	v, err := strconv.Atoi(number)
	if err != nil || v < 1 || v > greatestSchema {
		return 0, false
	}
	return v, sum == "" && v <= Schema
}

// readSchema reads the file schema, or as much of it as could be one.
func readSchema(dir string) (string, error) {
	f, err := os.Open(filepath.Join(dir, "schema"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	return string(b), err
}

func (s *Store) writeSchema() error {
	return writeWhole(filepath.Join(s.dir, "schema"), []byte(schemaText(Schema)))
}

// hasData reports whether the directory holds a store, or a part of one.
func (s *Store) hasData() bool {
	for _, name := range []string{"head", dbDir, freshDir} {
		if _, err := os.Lstat(filepath.Join(s.dir, name)); err == nil {
			return true
		}
	}
	return false
}

// writeWhole replaces a file as a whole.
func writeWhole(path string, b []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, cause(err))
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}
