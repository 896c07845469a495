package reach

import (
	"bytes"
	"context"
	"io"
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

// FuzzRequest answers whatever a member sends on a stream for a task's port.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{`{"job":"default/shop","task":"web","index":0,"port":80}`, `null`, `{"index":1e99}`} {
		var b bytes.Buffer
		if err := writeBlock(&b, []byte(text)); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &Reach{ctx: context.Background()}
		fuzztest.BoundedBy(t, len(b), 64, 64<<10, func() {
			if up, err := r.answer(only{Reader: bytes.NewReader(b)}); err == nil {
				up.Close()
				t.Error("a port that nobody listens on was opened")
			}
		})
	})
}

// only is a connection that can be read.
type only struct {
	net.Conn
	io.Reader
}

func (o only) Read(b []byte) (int, error) { return o.Reader.Read(b) }
