package p2p

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"shoal/p2p/admit"
	"shoal/wire"
)

// Bounds of what is counted: uses of tickets that have not expired.
const (
	maxUses     = 4096
	maxUsesFile = 1 << 20
)

// useCount counts the uses of tickets where no hook does, by who used them: the same
// peer may come again. A use is on disk before it is granted.
type useCount struct {
	log  *slog.Logger
	file string // empty: uses are forgotten with the process

	mu      sync.Mutex
	tickets map[string]*usedTicket // by TicketID, in hexadecimal
	damaged error                  // the file cannot be trusted: no counted ticket is good
}

type usedTicket struct {
	NotAfter time.Time     `json:"notAfter,omitzero"` // zero: never
	Peers    []wire.PeerID `json:"peers"`
}

type usesFile struct {
	Version int                    `json:"version"`
	Tickets map[string]*usedTicket `json:"tickets"`
}

func newUseCount(file string, log *slog.Logger) *useCount {
	u := &useCount{log: log, file: file, tickets: map[string]*usedTicket{}}
	if file == "" {
		return u
	}
	if u.damaged = u.load(); u.damaged != nil {
		log.Warn("tickets with a number of uses admit nobody until this file is mended or deleted", "file", file, "err", u.damaged)
	}
	return u
}

func (u *useCount) load() error {
	info, err := os.Stat(u.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Size() > maxUsesFile {
		return fmt.Errorf("%d bytes, at most %d are read", info.Size(), maxUsesFile)
	}
	text, err := os.ReadFile(u.file)
	if err != nil {
		return err
	}
	var saved usesFile
	if err := json.Unmarshal(text, &saved); err != nil {
		return err
	}
	if saved.Version != 1 {
		return fmt.Errorf("version %d, this shoal knows 1", saved.Version)
	}
	for id, t := range saved.Tickets {
		if raw, err := hex.DecodeString(id); err != nil || len(raw) != len(admit.TicketID{}) || t == nil {
			return fmt.Errorf("%q is no ticket", id)
		}
		u.tickets[id] = t
	}
	return nil
}

// count grants a use or says why not: admit.ErrUsedUp, or errCannotAdmit.
func (u *useCount) count(r JoinRequest, now time.Time) error {
	if r.MaxUses == 0 {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.damaged != nil {
		return fmt.Errorf("count of uses: %w: %w", u.damaged, errCannotAdmit)
	}
	id := r.Ticket.String()
	t := u.tickets[id]
	if t == nil {
		t = &usedTicket{NotAfter: r.NotAfter}
	}
	for _, p := range t.Peers {
		if p == r.Peer {
			return nil
		}
	}
	switch {
	case len(t.Peers) >= r.MaxUses:
		return admit.ErrUsedUp
	case u.forget(now) >= maxUses:
		return fmt.Errorf("%d uses of tickets are counted already: %w", maxUses, errCannotAdmit)
	}
	t.Peers = append(t.Peers, r.Peer)
	u.tickets[id] = t
	if err := u.save(); err != nil {
		t.Peers = t.Peers[:len(t.Peers)-1]
		u.log.Warn("a use of a ticket cannot be kept, so nobody is admitted with it", "file", u.file, "err", err)
		return fmt.Errorf("keep the use of a ticket: %w: %w", err, errCannotAdmit)
	}
	return nil
}

// forget drops tickets that have expired and returns how many uses are left.
func (u *useCount) forget(now time.Time) int {
	n := 0
	for id, t := range u.tickets {
		// A day more than needed: clocks of peers differ.
		if !t.NotAfter.IsZero() && now.After(t.NotAfter.Add(24*time.Hour)) {
			delete(u.tickets, id)
			continue
		}
		n += len(t.Peers)
	}
	return n
}

func (u *useCount) save() error {
	if u.file == "" {
		return nil
	}
	return replaceFile(u.file, usesFile{Version: 1, Tickets: u.tickets})
}
