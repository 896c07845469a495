package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
	"shoal/runtime"
)

func TestMain(m *testing.M) {
	code := m.Run()
	labtest.RemoveBinary()
	os.Exit(code)
}

const shopFile = "../examples/shop/compose.yaml"

// shopSlots are what examples/shop/compose.yaml asks for.
var shopSlots = []string{"shop/api.0", "shop/redis.0", "shop/web.0", "shop/web.1"}

// swarm is a lab whose peers have joined one another.
type swarm struct {
	*lab.Lab
	t testing.TB
}

// startSwarm builds n peers with the shop's images and joins them.
func startSwarm(t testing.TB, n int) swarm {
	t.Helper()
	binary := labtest.Binary(t)
	programs := labtest.Programs(t, "shoal/examples/shop/web", "shoal/examples/shop/api")
	images := append(lab.DemoImages(programs), lab.Busybox())
	s := swarm{labtest.Start(t, lab.Config{Peers: n, Binary: binary, Images: images}), t}
	began := time.Now()
	must(t, s.Peers[0].StartDaemon(t.Context(), "--new"))
	ticket := strings.TrimSpace(s.shoal(s.Peers[0], "ticket"))
	for _, p := range s.Peers[1:] {
		must(t, p.StartDaemon(t.Context(), ticket))
	}
	s.within(20*time.Second, func(ctx context.Context) error {
		for _, p := range s.Peers {
			if err := knows(ctx, p, s.Peers); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("%d peers joined after %s", n, since(began))
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }

// shoal runs the command line on a peer and returns what it printed; it must
// succeed, within a minute.
func (s swarm) shoal(p *lab.Peer, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	out, err := ask(ctx, p, args...)
	must(s.t, err)
	return out
}

// ask is shoal for use in within, where a failure may pass.
func ask(ctx context.Context, p *lab.Peer, args ...string) (string, error) {
	result, err := p.Shoal(ctx, args...)
	if err == nil && result.Code != 0 {
		err = fmt.Errorf("%s$ shoal %s exited with %d:\n%s%s", p.Name, strings.Join(args, " "), result.Code, result.Stdout, result.Stderr)
	}
	return result.Stdout, err
}

// askObjects is ask for JSON: it returns every object in the answer, at any depth.
func askObjects(ctx context.Context, p *lab.Peer, args ...string) ([]map[string]any, error) {
	out, err := ask(ctx, p, append(args, "-o", "json")...)
	if err != nil {
		return nil, err
	}
	return objects(out)
}

// within polls f until it succeeds and returns how long that took.
func (s swarm) within(limit time.Duration, f func(context.Context) error) time.Duration {
	s.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	if err := lab.Poll(ctx, func() error { return f(ctx) }); err != nil {
		s.t.Fatalf("not within %s: %v", limit, err)
	}
	return since(began)
}

// objects decodes JSON and returns every object in it, at any depth.
func objects(text string) ([]map[string]any, error) {
	var all []map[string]any
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			all = append(all, v)
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(v[k])
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	dec := json.NewDecoder(strings.NewReader(text))
	for dec.More() {
		var v any
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("%w in %q", err, text)
		}
		walk(v)
	}
	return all, nil
}

// knows reports whether shoal peers on p names all of others.
func knows(ctx context.Context, p *lab.Peer, others []*lab.Peer) error {
	found, err := askObjects(ctx, p, "peers")
	if err != nil {
		return err
	}
	for _, q := range others {
		if !slices.ContainsFunc(found, func(o map[string]any) bool { return o["name"] == q.Name }) {
			return fmt.Errorf("%s does not list %s", p.Name, q.Name)
		}
	}
	return nil
}

// A containerOn is one running container, as the engine of that peer shows it.
type containerOn struct{ peer, id string }

// running asks the engines of the peers for the copies of each slot that run.
func (s swarm) running(ctx context.Context, peers ...*lab.Peer) (map[string][]containerOn, error) {
	slots := map[string][]containerOn{}
	for _, p := range peers {
		docker, err := p.Docker()
		if err != nil {
			return nil, err
		}
		list, err := docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", runtime.LabelTask))})
		_ = docker.Close()
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			ref, err := runtime.ParseLabels(c.Labels)
			if err != nil {
				return nil, err
			}
			slots[ref.Slot.String()] = append(slots[ref.Slot.String()], containerOn{p.Name, c.ID})
		}
	}
	return slots, nil
}

// onceEach checks that exactly these slots run on these peers, one copy each.
func (s swarm) onceEach(ctx context.Context, want []string, peers ...*lab.Peer) error {
	slots, err := s.running(ctx, peers...)
	if err != nil {
		return err
	}
	if got := slices.Sorted(maps.Keys(slots)); !slices.Equal(got, want) {
		return fmt.Errorf("running %q, want %q", got, want)
	}
	for slot, copies := range slots {
		if len(copies) != 1 {
			return fmt.Errorf("%s runs %d times: %v", slot, len(copies), copies)
		}
	}
	return nil
}

// psAgrees checks that shoal ps on p shows each running slot on the peer whose
// engine runs it.
func (s swarm) psAgrees(ctx context.Context, p *lab.Peer, peers ...*lab.Peer) error {
	slots, err := s.running(ctx, peers...)
	if err != nil {
		return err
	}
	rows, err := askObjects(ctx, p, "ps")
	if err != nil {
		return err
	}
	shown := map[string]string{}
	for _, row := range rows {
		slot, ok1 := row["slot"].(string)
		peer, ok2 := row["peer"].(string)
		if ok1 && ok2 {
			shown[slot] = peer
		}
	}
	for slot, copies := range slots {
		if shown[slot] != copies[0].peer {
			return fmt.Errorf("ps on %s shows %s on %q, it runs on %s", p.Name, slot, shown[slot], copies[0].peer)
		}
	}
	return nil
}

// visitor fetches the shop's page from a peer's published port, and returns the
// number that Redis gave it.
func visitor(ctx context.Context, from, at *lab.Peer) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	page, err := from.Get(ctx, "http://"+at.Addr+":8080/")
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(page, "visitor number ")
	if !ok {
		return 0, fmt.Errorf("page %q", page)
	}
	var n int
	_, err = fmt.Sscan(after, &n)
	return n, err
}

// answers checks that the shop answers on the published port of each peer.
func answers(ctx context.Context, peers ...*lab.Peer) error {
	var errs []error
	for _, p := range peers {
		_, err := visitor(ctx, p, p)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// runShop deploys the shop at a peer and waits until it runs and answers.
func (s swarm) runShop(at *lab.Peer) {
	s.t.Helper()
	s.shoal(at, "deploy", shopFile)
	s.within(30*time.Second, func(ctx context.Context) error { return s.onceEach(ctx, shopSlots, s.Peers...) })
	s.within(30*time.Second, func(ctx context.Context) error { return answers(ctx, s.Peers...) })
}

func without(peers []*lab.Peer, gone ...*lab.Peer) []*lab.Peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p *lab.Peer) bool { return slices.Contains(gone, p) })
}

// holder returns the peer that runs a slot.
func (s swarm) holder(slot string) *lab.Peer {
	s.t.Helper()
	slots, err := s.running(s.t.Context(), s.Peers...)
	must(s.t, err)
	for _, p := range s.Peers {
		if len(slots[slot]) > 0 && slots[slot][0].peer == p.Name {
			return p
		}
	}
	s.t.Fatalf("%s runs nowhere: %v", slot, slots)
	return nil
}

// equalLedgers compares what shoal status says of each peer's ledger: the hash over
// all its records.
func (s swarm) equalLedgers(ctx context.Context) error {
	digests := map[string]string{}
	for _, p := range s.Peers {
		found, err := askObjects(ctx, p, "status")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(found, func(o map[string]any) bool { _, ok := o["digest"].(string); return ok })
		if i < 0 {
			return fmt.Errorf("status of %s shows no digest of its ledger", p.Name)
		}
		digests[p.Name], _ = found[i]["digest"].(string)
	}
	for _, p := range s.Peers {
		if digests[p.Name] != digests[s.Peers[0].Name] {
			return fmt.Errorf("ledgers differ: %v", digests)
		}
	}
	return nil
}
