package p2p

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"shoal/wire"
)

const (
	maxBook     = 4096    // peers known in memory
	maxRemember = 256     // peers kept on disk, the latest met
	maxAddrs    = 8       // addresses of one peer, the latest good ones first
	maxBookFile = 1 << 20 // bytes of the file that are read
)

// The book holds members' addresses: from hellos, the ledger, tickets, and from
// the file of the last run. Of peers never met it keeps what it was told.
type book struct {
	mu    sync.Mutex
	peers map[wire.PeerID]*entry
	dirty bool
}

type entry struct {
	addrs []ma.Multiaddr
	met   time.Time // when it was last admitted; zero: only heard of
}

func newBook() *book { return &book{peers: map[wire.PeerID]*entry{}} }

// add puts addrs first; met says that the peer is here. Ways through relays change:
// new ones, or a peer that is here without any, replace the old. A full book gives up
// the peer met longest ago.
func (b *book) add(p wire.PeerID, addrs []ma.Multiaddr, met bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.peers[p]
	if e == nil {
		if len(b.peers) >= maxBook {
			delete(b.peers, slices.MinFunc(slices.Collect(maps.Keys(b.peers)), func(x, y wire.PeerID) int {
				return b.peers[x].met.Compare(b.peers[y].met)
			}))
		}
		e = &entry{}
		b.peers[p] = e
	}
	merged := make([]ma.Multiaddr, 0, maxAddrs)
	old := e.addrs
	if met || slices.ContainsFunc(addrs, isRelayed) {
		old, _ = splitRelayed(old)
	}
	for _, a := range slices.Concat(addrs, old) {
		if len(merged) < maxAddrs && !slices.ContainsFunc(merged, a.Equal) {
			merged = append(merged, a)
		}
	}
	e.addrs = merged
	if met {
		e.met = time.Now()
	}
	b.dirty = true
}

// hear notes addresses a third party tells of, behind those known. The peer may have
// moved since it told its own: the last of those make room.
func (b *book) hear(p wire.PeerID, addrs []ma.Multiaddr) {
	known := b.addrs(p)
	if len(addrs) == 0 || !slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return !slices.ContainsFunc(known, a.Equal) }) {
		return
	}
	addrs = addrs[:min(len(addrs), maxAddrs/2)]
	b.add(p, slices.Concat(known[:min(len(known), maxAddrs-len(addrs))], addrs), false)
}

func (b *book) remove(p wire.PeerID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.peers, p)
	b.dirty = true
}

func (b *book) addrs(p wire.PeerID) []ma.Multiaddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.peers[p]; e != nil {
		return slices.Clone(e.addrs)
	}
	return nil
}

// all lists the peers with an address, the latest met first.
func (b *book) all() []wire.PeerID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sorted()
}

func (b *book) sorted() []wire.PeerID {
	var ids []wire.PeerID
	for id, e := range b.peers {
		if len(e.addrs) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y wire.PeerID) int {
		if c := b.peers[y].met.Compare(b.peers[x].met); c != 0 {
			return c
		}
		return x.Compare(y)
	})
	return ids
}

// bookFile is the form on disk, readable and mendable by a person.
type bookFile struct {
	Version int        `json:"version"`
	Peers   []bookPeer `json:"peers"`
}

type bookPeer struct {
	ID    wire.PeerID `json:"id"`
	Met   time.Time   `json:"met"`
	Addrs []string    `json:"addrs"`
}

// load reads the file. That there is none is no error; a damaged one is, and the
// caller may go on without it.
func (b *book) load(file string) error {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxBookFile {
		return fmt.Errorf("%s: %d bytes, at most %d are read", file, info.Size(), maxBookFile)
	}
	var saved bookFile
	if err := json.NewDecoder(f).Decode(&saved); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, p := range saved.Peers[:min(len(saved.Peers), maxRemember)] {
		var addrs []ma.Multiaddr
		for _, s := range p.Addrs[:min(len(p.Addrs), maxAddrs)] {
			if a, err := ma.NewMultiaddr(s); err == nil && dialable(a) {
				addrs = append(addrs, a)
			}
		}
		b.add(p.ID, addrs, false)
		b.mu.Lock()
		b.peers[p.ID].met = p.Met
		b.dirty = false
		b.mu.Unlock()
	}
	return nil
}

// save replaces the file if something changed since the last time: written beside
// it, synced, renamed, so a power cut leaves the old or the new one.
func (b *book) save(file string) error {
	b.mu.Lock()
	if !b.dirty || file == "" {
		b.mu.Unlock()
		return nil
	}
	saved := bookFile{Version: 1}
	ids := b.sorted()
	for _, id := range ids[:min(len(ids), maxRemember)] {
		e := b.peers[id]
		p := bookPeer{ID: id, Met: e.met.UTC().Truncate(time.Second)}
		for _, a := range e.addrs {
			p.Addrs = append(p.Addrs, a.String())
		}
		saved.Peers = append(saved.Peers, p)
	}
	b.dirty = false
	b.mu.Unlock()
	err := replaceFile(file, saved)
	if err != nil {
		b.mu.Lock()
		b.dirty = true
		b.mu.Unlock()
	}
	return err
}

func replaceFile(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.new")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
