package reach

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/miekg/dns"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// loopback is the network of plain processes: every job has a part of 127/8.
type loopback byte

func (l loopback) EnsureNetwork(_ context.Context, id job.ID) (runtime.NetworkInfo, error) {
	p := fmt.Sprintf("127.99.%d.", l)
	return runtime.NetworkInfo{Job: id, Bridge: "lo", Gateway: p + "1", Subnet: p + "0/24", First: p + "2", Last: p + "9"}, nil
}

func (loopback) RemoveNetwork(context.Context, job.ID) error             { return nil }
func (loopback) Networks(context.Context) ([]runtime.NetworkInfo, error) { return nil, nil }

// slot is a running copy of a service: it sends its name and echoes.
func slot(t *testing.T, ip, name string) (port uint16) {
	ln, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintf(c, "%s:", name)
				io.Copy(c, c)
			}()
		}
	}()
	return uint16(ln.Addr().(*net.TCPAddr).Port)
}

// pair is two peers whose streams are pipes.
func pair(t *testing.T) (a, b *Reach, pa, pb wire.PeerID) {
	pa, pb = wire.PeerID{1}, wire.PeerID{2}
	open := func(to **Reach) func(context.Context, wire.PeerID) (net.Conn, error) {
		return func(context.Context, wire.PeerID) (net.Conn, error) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			defer ln.Close()
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return nil, err
			}
			s, err := ln.Accept()
			if err != nil {
				return nil, err
			}
			go (*to).Serve(wire.PeerID{}, s)
			return c, nil
		}
	}
	a = New(Config{Self: pa, Networks: loopback(1), Open: open(&b), Publish: "127.0.0.1"})
	b = New(Config{Self: pb, Networks: loopback(2), Open: open(&a), Publish: "127.0.0.2"})
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	return a, b, pa, pb
}

// say connects, sends text, and returns all that comes back.
func say(t *testing.T, addr, text string) string {
	t.Helper()
	var c net.Conn
	var err error
	for range 200 { // the listener follows an Update within moments
		if c, err = net.Dial("tcp", addr); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read from %s: %v", addr, err)
	}
	return string(b)
}

func TestReach(t *testing.T) {
	a, b, pa, pb := pair(t)
	port := slot(t, "127.0.0.1", "web.0")
	const published = 43917
	web := Service{
		Job: "default/shop", Task: "web", Local: true, Ports: []job.Port{{Target: port, Published: published}},
		Endpoints: []Endpoint{{Slot: job.SlotID{Job: "default/shop", Task: "web"}, Peer: pb, Serving: true}},
	}
	atB := web
	atB.Endpoints = []Endpoint{{Slot: web.Endpoints[0].Slot, Peer: pb, Address: "127.0.0.1", Serving: true}}
	a.Update([]Service{web})
	b.Update([]Service{atB})

	t.Run("a published port answers on the holder and elsewhere", func(t *testing.T) {
		for _, addr := range []string{"127.0.0.1", "127.0.0.2"} {
			if got := say(t, fmt.Sprintf("%s:%d", addr, published), "hello"); got != "web.0:hello" {
				t.Errorf("%s: got %q", addr, got)
			}
		}
	})
	t.Run("a service's own address forwards too", func(t *testing.T) {
		b := &bridge{first: mustAddr("127.99.1.2"), count: 8, addrs: nil, info: runtime.NetworkInfo{Bridge: "lo"}}
		b.addrs = map[string]netip.Addr{}
		if err := b.follow([]string{"web"}); err != nil {
			t.Fatal(err)
		}
		if got := say(t, fmt.Sprintf("%s:%d", b.address("web"), port), "x"); got != "web.0:x" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a connection waits for a slot that moves", func(t *testing.T) {
		none := web
		none.Endpoints = nil
		a.Update([]Service{none})
		got := make(chan string, 1)
		go func() { got <- say(t, fmt.Sprintf("127.0.0.1:%d", published), "moved") }()
		for a.conns.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		here := web
		here.Endpoints = []Endpoint{{Slot: web.Endpoints[0].Slot, Peer: pa, Address: "127.0.0.1", Serving: true}}
		a.Update([]Service{here})
		if g := <-got; g != "web.0:moved" {
			t.Errorf("got %q", g)
		}
	})
	t.Run("a connection to a peer that is gone ends", func(t *testing.T) {
		a.Update([]Service{web})
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", published))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, len("web.0:"))); err != nil {
			t.Fatal(err)
		}
		none := web
		none.Endpoints = nil
		a.Update([]Service{none})
		if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Errorf("read: %v, want the connection ended", err)
		}
	})
	t.Run("a port that is not declared is refused", func(t *testing.T) {
		c, err := a.cfg.Open(t.Context(), pb)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := ask(c, request{Job: "default/shop", Task: "web", Port: port + 1}); err == nil {
			t.Error("it was forwarded")
		}
	})
	t.Run("a removed service no longer listens", func(t *testing.T) {
		a.Update(nil)
		deadline := time.Now().Add(5 * time.Second)
		for {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", published))
			if err != nil {
				return
			}
			c.Close()
			if time.Now().After(deadline) {
				t.Fatal("it still listens")
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// A port published on all addresses and a service's own port of the same number
// are told apart by the address that was asked.
func TestReach_SamePortTwice(t *testing.T) {
	r := New(Config{Self: wire.PeerID{1}, Networks: loopback(4), Publish: ""})
	defer r.Close()
	port := slot(t, "127.0.0.1", "front")
	other := net.JoinHostPort("127.99.200.200", strconv.Itoa(int(port)))
	ln, err := net.Listen("tcp", other)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "back:")
			c.Close()
		}
	}()
	const published = 43918
	end := func(task, address string) Endpoint {
		return Endpoint{Slot: job.SlotID{Job: "default/shop", Task: task}, Peer: wire.PeerID{1}, Address: address, Serving: true}
	}
	r.Update([]Service{
		{Job: "default/shop", Task: "front", Ports: []job.Port{{Target: port, Published: published}}, Endpoints: []Endpoint{end("front", "127.0.0.1")}},
		{Job: "default/shop", Task: "back", Ports: []job.Port{{Target: port}}, Endpoints: []Endpoint{end("back", "127.99.200.200")}},
	})
	if got := say(t, fmt.Sprintf("127.0.0.1:%d", published), "x"); got != "front:x" {
		t.Errorf("published: %q", got)
	}
	want := map[string]target{
		":80":         {key{"default/shop", "front"}, 80, 80},
		"10.0.0.1:80": {key{"default/shop", "back"}, 80, 0},
		"10.0.0.1:81": {key{"default/shop", "back"}, 81, 0},
	}
	r.shade(want)
	if _, still := want["10.0.0.1:80"]; still || len(want) != 2 || r.shaded["10.0.0.1:80"].task != "back" {
		t.Errorf("listens on %v, shaded %v", want, r.shaded)
	}
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestServiceAddressesAreStable(t *testing.T) {
	newBridge := func() *bridge {
		return &bridge{first: mustAddr("127.99.1.2"), count: 4, addrs: map[string]netip.Addr{}, info: runtime.NetworkInfo{Bridge: "lo"}}
	}
	a, b := newBridge(), newBridge()
	tasks := []string{"api", "db", "redis", "web"}
	if err := a.follow(tasks); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, task := range tasks {
		seen[a.address(task)] = true
	}
	if len(seen) != 4 || seen[""] {
		t.Errorf("four services have %d addresses: %v", len(seen), a.addrs)
	}
	_ = b.follow(tasks)
	for _, task := range tasks {
		if a.address(task) != b.address(task) {
			t.Errorf("%s: %s and, after a restart, %s", task, a.address(task), b.address(task))
		}
	}
}

func TestNames(t *testing.T) {
	r := New(Config{Self: wire.PeerID{1}, Networks: loopback(3), Resolver: []string{}})
	defer r.Close()
	d := &dnsServer{r: r, b: &bridge{job: "default/shop"}, outside: []string{}}
	r.Update([]Service{{Job: "default/shop", Task: "redis", Aliases: []string{"cache"}}})
	d.set(map[string]netip.Addr{"redis": mustAddr("10.64.0.5")})
	ask := func(name string, kind uint16) *dns.Msg {
		w := &answer{}
		q := new(dns.Msg)
		q.SetQuestion(name, kind)
		d.ServeDNS(w, q)
		return w.msg
	}
	for _, name := range []string{"redis.", "REDIS.", "cache."} {
		m := ask(name, dns.TypeA)
		if len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != "10.64.0.5" {
			t.Errorf("%s: %v", name, m)
		}
	}
	if m := ask("redis.", dns.TypeAAAA); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 0 {
		t.Errorf("AAAA of a service: %v, want an empty answer", m)
	}
	if m := ask("elsewhere.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("a foreign name without a resolver: %v", m)
	}
}

type answer struct {
	dns.ResponseWriter
	msg *dns.Msg
}

func (a *answer) WriteMsg(m *dns.Msg) error { a.msg = m; return nil }
func (a *answer) RemoteAddr() net.Addr      { return &net.UDPAddr{} }

// A published port that another program has is told, and answers once it is free.
func TestProblems_PortTaken(t *testing.T) {
	a, _, pa, _ := pair(t)
	port := slot(t, "127.0.0.1", "web.0")
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := uint16(other.Addr().(*net.TCPAddr).Port)
	a.Update([]Service{{
		Job: "default/shop", Task: "web", Ports: []job.Port{{Target: port, Published: taken}},
		Endpoints: []Endpoint{{Slot: job.SlotID{Job: "default/shop", Task: "web"}, Peer: pa, Address: "127.0.0.1", Serving: true}},
	}})
	until := func(n int) []Problem {
		for range 500 {
			if got := a.Problems(); len(got) == n {
				return got
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("problems %v, want %d", a.Problems(), n)
		return nil
	}
	want := Problem{"default/shop", "web", taken, fmt.Sprintf("port %d is taken on this peer: address already in use", taken)}
	if got := until(1); got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
	other.Close()
	until(0)
	if got := say(t, other.Addr().String(), "hello"); got != "web.0:hello" {
		t.Errorf("got %q", got)
	}
}
