package reach

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// dnsServer answers for the names of one job's services on the job's bridge, and
// passes everything else to the resolvers outside. The engine's own resolver in
// each container asks it.
type dnsServer struct {
	r       *Reach
	b       *bridge
	servers []*dns.Server
	outside []string

	mu    sync.RWMutex
	names map[string]netip.Addr // lower case, no final dot
}

const nameTTL = 5 // seconds; addresses of services do not change, so this is only for removed ones

func (r *Reach) serveNames(b *bridge, gateway string) (*dnsServer, error) {
	d := &dnsServer{r: r, b: b, outside: r.cfg.Resolver, names: map[string]netip.Addr{}}
	if d.outside == nil {
		d.outside = resolvers()
	}
	addr := net.JoinHostPort(gateway, "53")
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		packets.Close()
		return nil, err
	}
	d.servers = []*dns.Server{{PacketConn: packets, Handler: d}, {Listener: ln, Handler: d}}
	for _, s := range d.servers {
		r.done.Add(1)
		go func() {
			defer r.done.Done()
			_ = s.ActivateAndServe() // ends when its listener is closed
		}()
	}
	return d, nil
}

func (d *dnsServer) close() {
	for _, s := range d.servers {
		if s.PacketConn != nil {
			s.PacketConn.Close()
		}
		if s.Listener != nil {
			s.Listener.Close()
		}
	}
}

// set gives the addresses by task; aliases follow from the services.
func (d *dnsServer) set(addrs map[string]netip.Addr) {
	names := map[string]netip.Addr{}
	d.r.mu.Lock()
	for task, a := range addrs {
		names[strings.ToLower(task)] = a
		if s := d.r.services[key{d.b.job, task}]; s != nil {
			for _, alias := range s.Aliases {
				if _, ok := addrs[alias]; !ok {
					names[strings.ToLower(alias)] = a
				}
			}
		}
	}
	d.r.mu.Unlock()
	d.mu.Lock()
	d.names = names
	d.mu.Unlock()
}

// ServeDNS implements dns.Handler.
func (d *dnsServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if len(q.Question) != 1 {
		d.fail(w, q, dns.RcodeFormatError)
		return
	}
	name := strings.ToLower(strings.TrimSuffix(q.Question[0].Name, "."))
	d.mu.RLock()
	addr, ours := d.names[name]
	d.mu.RUnlock()
	if !ours {
		d.passOn(w, q)
		return
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	if q.Question[0].Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: nameTTL},
			A:   addr.AsSlice(),
		}}
	}
	_ = w.WriteMsg(m)
}

func (d *dnsServer) passOn(w dns.ResponseWriter, q *dns.Msg) {
	ctx, cancel := context.WithTimeout(d.r.ctx, dnsAfter)
	defer cancel()
	c := &dns.Client{Net: w.RemoteAddr().Network(), Timeout: dnsAfter / 2}
	for _, addr := range d.outside {
		if m, _, err := c.ExchangeContext(ctx, q, addr); err == nil {
			_ = w.WriteMsg(m)
			return
		}
	}
	d.fail(w, q, dns.RcodeServerFailure)
}

func (d *dnsServer) fail(w dns.ResponseWriter, q *dns.Msg, code int) {
	m := new(dns.Msg)
	m.SetRcode(q, code)
	_ = w.WriteMsg(m)
}

// resolvers are the host's own, at most three.
func resolvers() []string {
	conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range conf.Servers[:min(len(conf.Servers), 3)] {
		out = append(out, net.JoinHostPort(s, conf.Port))
	}
	return out
}
