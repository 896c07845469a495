package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables looks at the ends of Badger's tables before Badger does: it ends the
// process where the length of an index is not what it expects. A table that the
// manifest does not name is one that a kill left half written; Badger removes it.
func checkTables(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	named, known := namedTables(dir)
	for _, path := range paths {
		if id, ok := table.ParseFileID(path); ok && known && !named[id] {
			continue
		}
		if err := checkTable(path); err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// namedTables returns the numbers of the tables that the manifest names; known is
// false if it cannot be read, of which Badger will tell.
func namedTables(dir string) (named map[uint64]bool, known bool) {
	f, err := os.Open(filepath.Join(dir, badgerdb.ManifestFilename))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	manifest, _, err := badgerdb.ReplayManifestFile(f, 0, badgerdb.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, false
	}
	named = map[uint64]bool{}
	for id := range manifest.Tables {
		named[id] = true
	}
	return named, true
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
