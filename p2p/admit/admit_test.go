package admit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"shoal/internal/fuzztest"
	"shoal/p2p/internal/codec"
	"shoal/wire"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// key makes the same key for the same n.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func id(n byte) wire.PeerID { return wire.PeerID(key(n).Public().(ed25519.PublicKey)) }

func root() Signer { return Signer{Key: key(0)} }

func member(t testing.TB, by Signer, n byte, rights Rights, notAfter time.Time) Signer {
	t.Helper()
	c, err := by.Issue(id(n), rights, notAfter)
	if err != nil {
		t.Fatal(err)
	}
	return Signer{Key: key(n), Certificate: &c}
}

func TestCertificate_ChainVerifiesAfterTransport(t *testing.T) {
	signer := root()
	for n := byte(1); n <= MaxChain; n++ {
		signer = member(t, signer, n, Member, time.Time{})
		b := signer.Certificate.Encode()
		if len(b) > MaxCertificateBytes {
			t.Fatalf("chain of %d: %d bytes", n, len(b))
		}
		got, err := DecodeCertificate(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Verify(SwarmIDOf(key(0)), now); err != nil {
			t.Fatalf("chain of %d: %v", n, err)
		}
		if got.Peer != id(n) || got.Rights != Member || string(got.Encode()) != string(b) {
			t.Fatalf("chain of %d changed on the way: %+v", n, got)
		}
	}
	if _, err := signer.Issue(id(99), Run, time.Time{}); !errors.Is(err, ErrRights) {
		t.Errorf("chain beyond %d: %v", MaxChain, err)
	}
}

func TestCertificate_Refusals(t *testing.T) {
	swarm := SwarmIDOf(key(0))
	soon := now.Add(time.Hour)
	first := member(t, root(), 1, Member, soon)
	second := member(t, first, 2, Run, time.Time{})
	if !second.Certificate.NotAfter.Equal(soon) {
		t.Errorf("expiry %v is not cut to the issuer's %v", second.Certificate.NotAfter, soon)
	}
	// forge signs what Issue would not.
	forge := func(by Signer, rights Rights, notAfter time.Time) Certificate {
		c := Certificate{Swarm: swarm, Peer: id(3), Rights: rights, NotAfter: notAfter, Issuer: by.Certificate}
		p := id(3)
		c.body = codec.Marshal(certificateBody{Swarm: swarm[:], Peer: p[:], Rights: uint64(rights), NotAfter: unix(notAfter)})
		c.sig = sign(by.Key, certificateDomain, c.body)
		return c
	}
	stolen := *second.Certificate
	stolen.sig = append([]byte{}, stolen.sig...)
	stolen.sig[5] ^= 1
	for _, c := range []struct {
		name string
		cert Certificate
		at   time.Time
		want error
	}{
		{"good", *second.Certificate, soon, nil},
		{"one second late", *second.Certificate, soon.Add(time.Second), ErrExpired},
		{"zero", Certificate{}, now, ErrMalformed},
		{"of another swarm", *member(t, Signer{Key: key(9)}, 1, Member, soon).Certificate, now, ErrForeign},
		{"altered", stolen, now, ErrForged},
		{"more rights than the issuer", forge(first, All, soon), now, ErrRights},
		{"longer than the issuer", forge(first, Run, soon.Add(time.Second)), now, ErrRights},
		{"for ever by one that ends", forge(first, Run, time.Time{}), now, ErrRights},
		{"issuer without invite", forge(second, Run, soon), now, ErrRights},
		{"signed by the wrong key", forge(Signer{Key: key(7), Certificate: first.Certificate}, Run, soon), now, ErrForged},
		{"no root's", forge(Signer{Key: key(7)}, Run, soon), now, ErrForged},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.cert.Verify(swarm, c.at); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, err := second.Issue(id(4), Run, time.Time{}); !errors.Is(err, ErrRights) {
		t.Errorf("a peer without invite issues: %v", err)
	}
}

func TestCertificate_FieldsOfANewerVersionAreKept(t *testing.T) {
	swarm, p := SwarmIDOf(key(0)), id(1)
	body := codec.Marshal(map[int]any{1: swarm[:], 2: p[:], 3: 0x107, 90: "new"})
	b := codec.Marshal(envelope{Body: body, Sig: sign(key(0), certificateDomain, body)})
	c, err := DecodeCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(swarm, now); err != nil {
		t.Error(err)
	}
	if c.Rights != Member || string(c.Encode()) != string(b) {
		t.Errorf("rights %s, or bytes changed", c.Rights)
	}
}

func ticket(t testing.TB) Ticket {
	t.Helper()
	tk, err := member(t, root(), 1, Member, time.Time{}).Invite(Member, now.Add(time.Hour), 3, []PeerAddrs{
		{Peer: id(1), Addrs: []string{"/ip4/192.0.2.7/udp/7462/quic-v1", "/ip4/192.0.2.7/tcp/7462"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func TestTicket_RoundTrip(t *testing.T) {
	tk := ticket(t)
	text := tk.String()
	t.Logf("%d characters: %s", len(text), text)
	for _, form := range []string{text, " " + text + "\n", text[:40] + "\n  " + text[40:]} {
		got, err := ParseTicket(form)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Verify(SwarmIDOf(key(0)), now); err != nil {
			t.Error(err)
		}
		if got.String() != text || got.ID() != tk.ID() || got.MaxUses != 3 || got.Peers[0].Addrs[1] != "/ip4/192.0.2.7/tcp/7462" {
			t.Errorf("changed on the way: %+v", got)
		}
	}
}

func TestTicket_CutAndMistypedAreToldApart(t *testing.T) {
	text := ticket(t).String()
	for cut := len(Prefix); cut < len(text); cut++ {
		if _, err := ParseTicket(text[:cut]); !errors.Is(err, ErrCut) {
			t.Fatalf("cut to %d: %v", cut, err)
		}
	}
	for i := len(Prefix); i < len(text); i++ {
		c := byte('2')
		if text[i] == c {
			c = '3'
		}
		if _, err := ParseTicket(text[:i] + string(c) + text[i+1:]); !errors.Is(err, ErrCut) {
			t.Fatalf("mistyped at %d: %v", i, err)
		}
	}
	for _, s := range []string{"", "hello", "https://example.org", "Shoal1abc", Prefix + strings.Repeat("z", MaxTicketText)} {
		if _, err := ParseTicket(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.20q: %v", s, err)
		}
	}
}

func TestInvitation_Refusals(t *testing.T) {
	tk := ticket(t)
	swarm := SwarmIDOf(key(0))
	for _, c := range []struct {
		name  string
		swarm SwarmID
		at    time.Time
		want  error
	}{
		{"last second", swarm, now.Add(time.Hour), nil},
		{"expired", swarm, now.Add(time.Hour + time.Second), ErrExpired},
		{"another swarm", SwarmIDOf(key(9)), now, ErrForeign},
	} {
		if err := tk.Verify(c.swarm, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := member(t, root(), 2, Run, time.Time{}).Invite(Run, time.Time{}, 1, nil); !errors.Is(err, ErrRights) {
		t.Errorf("a peer without invite invites: %v", err)
	}
	if _, err := member(t, root(), 2, Member, time.Time{}).Invite(All, time.Time{}, 1, nil); !errors.Is(err, ErrRights) {
		t.Errorf("a member hands on admin: %v", err)
	}
	widened, err := DecodeInvitation(tk.Invitation.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var body invitationBody
	if err := codec.Unmarshal(widened.body, 1<<10, &body); err != nil {
		t.Fatal(err)
	}
	body.MaxUses = 1000
	widened.body = codec.Marshal(body)
	if err := widened.Verify(swarm, now); !errors.Is(err, ErrForged) {
		t.Errorf("altered count of uses: %v", err)
	}
}

func TestTicket_ProofIsGoodForOnePairAlone(t *testing.T) {
	tk := ticket(t)
	proof := tk.Prove(id(5), id(1))
	if !tk.CheckProof(id(5), id(1), proof) {
		t.Error("own proof refused")
	}
	if tk.CheckProof(id(6), id(1), proof) || tk.CheckProof(id(5), id(2), proof) || tk.CheckProof(id(5), id(1), nil) {
		t.Error("proof passes for another pair")
	}
	if strings.Contains(string(tk.Invitation.Encode()), string(tk.secret)) {
		t.Error("the invitation shown to members holds the secret")
	}
}

func FuzzDecodeCertificate(f *testing.F) {
	f.Add(member(f, member(f, root(), 1, Member, now), 2, Run, now).Certificate.Encode())
	chain := root()
	for i := range byte(MaxChain - 1) {
		chain = member(f, chain, i+1, Member, now)
	}
	f.Add(chain.Certificate.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() { DecodeCertificate(b) })
		c, err := DecodeCertificate(b)
		if err != nil {
			return
		}
		c.Verify(SwarmIDOf(key(0)), now)
		if again, err := DecodeCertificate(c.Encode()); err != nil || again.Peer != c.Peer {
			t.Errorf("does not survive its own encoding: %v", err)
		}
	})
}

func FuzzParseTicket(f *testing.F) {
	f.Add(ticket(f).String())
	f.Add(Prefix + "1")
	f.Fuzz(func(t *testing.T, s string) {
		fuzztest.Bounded(t, len(s), func() { ParseTicket(s) })
		tk, err := ParseTicket(s)
		if err != nil {
			return
		}
		tk.Verify(SwarmIDOf(key(0)), now)
		if _, err := ParseTicket(tk.String()); err != nil {
			t.Errorf("does not survive its own printing: %v", err)
		}
	})
}

// Past the checksum, where chance never gets.
func FuzzDecodeTicket(f *testing.F) {
	peers, _ := ticket(f).peers()
	f.Add(codec.Marshal(ticketBody{Invitation: ticket(f).Invitation.Encode(), Secret: ticket(f).secret, Peers: peers}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() { decodeTicket(b) })
		if tk, err := decodeTicket(b); err == nil {
			tk.Verify(SwarmIDOf(key(0)), now)
		}
	})
}
