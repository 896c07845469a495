package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables looks at the ends of Badger's tables before Badger does: it ends the
// process where the length of an index is not what it expects.
func checkTables(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := checkTable(path); err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// checkTable checks a table's index. A table ends with the index, the length of
// it, its checksum, and the length of that, each length four bytes, big-endian.
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	take := func(n int64) []byte {
		if err != nil || n > end {
			err = errors.Join(err, errors.New("its end is not one of a table"))
			return make([]byte, 4)
		}
		end -= n
		b := make([]byte, n)
		if _, rerr := f.ReadAt(b, end); rerr != nil {
			err = rerr
		}
		return b
	}
	sumBytes := take(int64(binary.BigEndian.Uint32(take(4))))
	index := take(int64(binary.BigEndian.Uint32(take(4))))
	if err != nil {
		return err
	}
	sum := new(pb.Checksum)
	if proto.Unmarshal(sumBytes, sum) != nil || sum.Algo > pb.Checksum_XXHash64 {
		return errors.New("its index has no checksum")
	}
	if len(index) == 0 || y.VerifyChecksum(index, sum) != nil {
		return errors.New("its index was altered")
	}
	return nil
}
