package badger

import (
	"crypto/sha256"
	"errors"
	"fmt"
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

// checkSchema refuses what a newer shoal wrote. It is a file of its own, so that it
// can be read whatever a newer shoal does with the rest. Of what it cannot read it
// makes a new one: that is damage that the store itself does not share. The first
// stores had the number alone.
func checkSchema(dir string) error {
	path := filepath.Join(dir, "schema")
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("state directory %s: %w", dir, err)
	}
	if string(b) == schemaText(Schema) {
		return nil
	}
	number, _, _ := strings.Cut(string(b), " ")
	if v, err := strconv.Atoi(number); err == nil && v > Schema && string(b) == schemaText(v) {
		return fmt.Errorf("state directory %s was written by a newer shoal (schema %d, this one knows %d): update shoal", dir, v, Schema)
	}
	return writeWhole(path, []byte(schemaText(Schema)))
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
