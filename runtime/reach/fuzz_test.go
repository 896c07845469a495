package reach

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"shoal/internal/fuzztest"
)

// asked is a question's way back.
type asked struct {
	dns.ResponseWriter
	answers int
}

func (a *asked) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (a *asked) WriteMsg(m *dns.Msg) error {
	if _, err := m.Pack(); err == nil {
		a.answers++
	}
	return nil
}

// FuzzNames answers whatever a container sends to the name server: no panic, one
// answer.
func FuzzNames(f *testing.F) {
	for _, name := range []string{"web.", "WEB.", "other.example."} {
		q := new(dns.Msg)
		q.SetQuestion(name, dns.TypeA)
		b, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	d := &dnsServer{r: &Reach{ctx: context.Background()}, names: map[string]netip.Addr{"web": netip.MustParseAddr("127.99.1.2")}}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.BoundedBy(t, len(b), 64, 64<<10, func() { _ = new(dns.Msg).Unpack(b) })
		q := new(dns.Msg)
		if q.Unpack(b) != nil {
			return // the library answers that itself
		}
		var w asked
		if d.ServeDNS(&w, q); w.answers > 1 {
			t.Errorf("%d answers", w.answers)
		}
	})
}
