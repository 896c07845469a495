package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/wire"
)

// stewardsAsked is how many of a lane are asked: the one in charge, and its second,
// which remembers the same.
const stewardsAsked = 2

const maxAnswer = 8 << 20 // of another peer

// peerClient speaks to members; the host of a URL is the peer ID in hexadecimal,
// since host names know no capitals.
func peerClient(open func(context.Context, wire.PeerID) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			var id wire.PeerID
			if n, err := hex.Decode(id[:], []byte(host)); err != nil || n != len(id) {
				return nil, fmt.Errorf("%q names no peer", host)
			}
			return open(ctx, id)
		},
		MaxIdleConnsPerHost: 1, MaxIdleConns: 32, IdleConnTimeout: 30 * time.Second,
		ResponseHeaderTimeout: deadline, DisableCompression: true,
	}}
}

// call asks a member; the answer's body is the caller's to close.
func (s *Server) call(ctx context.Context, to wire.PeerID, method, path string, body any) (*http.Response, error) {
	if s.peers == nil {
		return nil, failf(http.StatusServiceUnavailable, "this peer asks no other peer")
	}
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+hex.EncodeToString(to[:])+"/v1"+path, r)
	if err != nil {
		return nil, err
	}
	resp, err := s.peers.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &Problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxSmall)).Decode(p); err != nil || p.Status < 400 {
		return nil, fmt.Errorf("answer %s", resp.Status)
	}
	return nil, p
}

// fetch asks a member for an answer that fits memory.
func (s *Server) fetch(ctx context.Context, to wire.PeerID, method, path string, body, into any) error {
	resp, err := s.call(ctx, to, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	return decodeAnswer(text, into)
}

// decodeAnswer reads what another peer answered. It may know fields that this version
// does not.
func decodeAnswer(text []byte, into any) error {
	if listed(text) > maxListed {
		return fmt.Errorf("an answer with more than %d elements in lists", maxListed)
	}
	return json.Unmarshal(text, into)
}

// askStewards asks, for each job with slots that nobody holds, the stewards of its
// lane what these wait for, and each peer whose own some slot is. It returns the
// reasons by slot, and by name the peers that did not answer in time.
func (s *Server) askStewards(ctx context.Context, open map[job.ID][]wire.PeerID) (map[string]Waiting, []string) {
	var ask []wire.PeerID
	for _, stewards := range open {
		for _, p := range stewards[:min(len(stewards), stewardsAsked)] {
			if !slices.Contains(ask, p) {
				ask = append(ask, p)
			}
		}
	}
	if len(ask) == 0 {
		return nil, nil
	}
	var self wire.PeerID
	var n names
	if err := s.view(ctx, func(c *node.Core) { self, n = c.Status().Self.ID, namesOf(c) }); err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	answers := gather(ask, func(p wire.PeerID) ([]Waiting, error) {
		if p == self {
			return s.waiting(ctx, nil)
		}
		var got []Waiting
		return got, s.fetch(ctx, p, http.MethodGet, "/waiting", nil, &got)
	})
	waits := map[string]Waiting{}
	var silent []string
	for i, a := range answers {
		if a.err != nil {
			silent = append(silent, n.of(ask[i]))
		}
		for _, w := range a.value {
			// Two may know of a slot; whoever has tried it more often says more, and who has
			// known of it longer says since when.
			had, known := waits[w.Slot]
			longest := max(w.Since, had.Since)
			if !known || w.Asked > had.Asked {
				w.Steward = cmp.Or(w.Steward, n.of(ask[i]))
				had = w
			}
			had.Since = longest
			waits[w.Slot] = had
		}
	}
	slices.Sort(silent)
	return waits, silent
}

type answer[A any] struct {
	value A
	err   error
}

// gather asks all at the same time and returns the answers in the order of ps.
func gather[P, A any](ps []P, f func(P) (A, error)) []answer[A] {
	out := make([]answer[A], len(ps))
	var wg sync.WaitGroup
	for i, p := range ps {
		wg.Go(func() { out[i].value, out[i].err = f(p) })
	}
	wg.Wait()
	return out
}
