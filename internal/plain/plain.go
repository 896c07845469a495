// Package plain opens files that a user names: a pipe would block for ever, and a
// device never end, so anything but a plain file of bearable size is refused.
package plain

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Open opens a plain file of at most limit bytes; 0: of any size. The error is one
// sentence that names the path and says what is wanted: "a scenario".
func Open(path, want string, limit int64) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file; want %s", path, want)
	case errors.Is(err, fs.ErrPermission):
		return nil, unreadable(path, want)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory; want %s", path, want)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no plain file; want %s", path, want)
	case limit > 0 && info.Size() > limit:
		return nil, tooLarge(path, want, limit)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, unreadable(path, want)
	}
	return f, err
}

// Read is all of a plain file of at most limit bytes.
func Read(path, want string, limit int64) ([]byte, error) {
	f, err := Open(path, want, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1)) // it may grow, and some say that they are empty
	if err == nil && int64(len(data)) > limit {
		err = tooLarge(path, want, limit)
	}
	return data, err
}

func unreadable(path, want string) error {
	return fmt.Errorf("%s: this user may not read it; want %s that can be read", path, want)
}

func tooLarge(path, want string, limit int64) error {
	return fmt.Errorf("%s has more than %d MiB; want %s of at most that", path, limit>>20, want)
}
