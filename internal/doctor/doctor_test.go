package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const gib = 1 << 30

// sound is a peer among two others, and its machine, with nothing wrong.
func sound() (Peer, Machine) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	yes := true
	p := Peer{
		Name: "kitchen", State: "ready", Version: "1.2", Uptime: time.Hour, Now: now,
		Members: []Member{
			{Name: "attic", State: "ready", Version: "1.2", Path: "direct", Observes: true},
			{Name: "cellar", State: "ready", Version: "1.2", Path: "punched", Observes: true},
		},
		Clocks: []Clock{{"attic", 3 * time.Millisecond, time.Millisecond}, {"cellar", -2 * time.Millisecond, time.Millisecond}},
		Reach:  Reach{Tries: true, Asked: 2, Reached: 2},
		Conns:  Conns{Open: 2, High: 256, Max: 1024},
		Store:  Store{Records: 12, Digest: "abc"},
	}
	m := Machine{
		Engine: Engine{Driver: "docker", Host: "unix:///run/docker.sock", Version: "27.0", Cgroup: "2", Root: "/var/lib/docker", FreeBytes: 40 * gib, TotalBytes: 80 * gib},
		Disk:   Disk{Dir: "/var/lib/shoal", FreeBytes: 40 * gib, TotalBytes: 80 * gib, NeedBytes: 32 << 20, BidBytes: 256 << 20},
		Files:  Files{Limit: 524288, Open: 60}, Port: Port{Number: 7462, Bound: []string{"/ip4/0.0.0.0/tcp/7462"}}, Synced: &yes,
	}
	return p, m
}

func TestSound(t *testing.T) {
	p, m := sound()
	for _, f := range Running(p, m) {
		if f.Grade != OK || f.Do != "" || f.Saw == "" {
			t.Errorf("%+v", f)
		}
	}
}

// Where a machine alone speaks another version than all others, each check that this
// spoils says so, and none sends its user to look for a firewall.
func TestRunning_AnotherVersionIsTheOneCause(t *testing.T) {
	p, m := sound()
	p.Speaks = "/shoal/hello/2"
	for i := range p.Members {
		p.Members[i].State, p.Members[i].Path, p.Members[i].OtherVersion = "dead", "", true
	}
	found := map[string]Finding{}
	for _, f := range Running(p, m) {
		if f.Grade != OK {
			found[f.Check] = f
		}
	}
	for check, saw := range map[string]string{
		"versions":   "attic, cellar speak another version of the protocol than this peer, which speaks /shoal/hello/2: neither lets the other in",
		"neighbours": "connected to none of 2 other members: attic, cellar speak another version of the protocol",
		"members":    "attic, cellar speak another version of the protocol, so that this peer holds them dead",
	} {
		if f := found[check]; !strings.Contains(f.Saw, saw) || f.Do != oneVersion {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if len(found) != 3 || found["versions"].Grade != Fail {
		t.Errorf("%+v", found)
	}
}

// A peer whose key runs elsewhere says that, and nothing of others, with whom it does
// not speak; a copy that was heard of is no news after a day.
func TestRunning_KeyElsewhere(t *testing.T) {
	p, m := sound()
	p.State, p.SteppedBack = "stepped back", p.Now.Add(-10*time.Minute)
	for i := range p.Members {
		p.Members[i].State, p.Members[i].Path = "dead", ""
	}
	var bad []string
	for _, f := range Running(p, m) {
		if f.Grade != OK {
			bad = append(bad, f.Check)
		}
		if f.Check == "identity" && (!strings.Contains(f.Saw, "stepped back 10m0s ago, at 07:50:00") || f.Grade != Fail) {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(bad, []string{"member", "identity"}) {
		t.Errorf("found %v", bad)
	}
	p, _ = sound()
	p.Copied = p.Now.Add(-copiedFor)
	if f, is := identity(p); is {
		t.Errorf("after a day: %+v", f)
	}
}

// A small peer that somebody outside dials has its port forwarded, or is in the open.
func TestReach_SmallAndDialled(t *testing.T) {
	p, _ := sound()
	p.Reach = Reach{NAT: true, Dialled: true, Profile: "small"}
	if f := reach(p); f.Grade != OK {
		t.Errorf("%+v", f)
	}
}

// Each thing that is wrong changes its own check and no other, and says what to do.
func TestRunning_FindsWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Peer, *Machine)
		check string
		grade Grade
		saw   string
	}{
		{"joining", func(p *Peer, _ *Machine) { p.State, p.Why = "joining", "it hears no other peer" }, "member", Fail, "joining: it hears no other peer"},
		{"its key elsewhere", func(p *Peer, _ *Machine) { p.State = "stepped back" }, "member", Fail, "stepped back"},
		{"its key copied", func(p *Peer, _ *Machine) { p.Copied = p.Now.Add(-2 * time.Hour) }, "identity", Warn, "ran as kitchen too, heard of 2h0m0s ago, at 06:00:00: it was started earlier"},
		{"certificate over", func(p *Peer, _ *Machine) { p.Expires = p.Now.Add(-time.Hour) }, "member", Fail, "ended 1h0m0s ago"},
		{"certificate soon over", func(p *Peer, _ *Machine) { p.Expires = p.Now.Add(100 * time.Hour) }, "member", Warn, "ends in 100h"},

		{"clock wrong", func(p *Peer, _ *Machine) { p.Clocks = ahead(30*time.Second, 31*time.Second) }, "clock", Warn, "30s behind, the middle of attic, cellar"},
		{"clock very wrong", func(p *Peer, _ *Machine) { p.Clocks = ahead(-time.Hour, -time.Hour) }, "clock", Fail, "1h0m0s ahead"},
		{"another's clock wrong", func(p *Peer, _ *Machine) { p.Clocks = ahead(0, time.Hour) }, "clock", Warn, "not of cellar (1h0m0s ahead)"},
		{"one other clock", func(p *Peer, _ *Machine) { p.Clocks = ahead(-5 * time.Second) }, "clock", Warn, "5s ahead, compared with attic"},
		{"no clock tells", func(p *Peer, m *Machine) { p.Clocks, p.Unasked = nil, []string{"attic"}; no := false; m.Synced = &no }, "clock", Warn, "no answer from attic"},

		{"engine silent", func(_ *Peer, m *Machine) { m.Engine.Err = "no word in 5s" }, "engine", Fail, "no word in 5s"},
		{"cgroup v1", func(_ *Peer, m *Machine) { m.Engine.Cgroup = "1" }, "cgroup", Warn, "version 1"},
		{"no limit of memory", func(_ *Peer, m *Machine) { m.Engine.NoLimits = []string{"memory"} }, "cgroup", Warn, "without limits of memory"},
		{"engine restarts", func(_ *Peer, m *Machine) { m.Engine.Restarts = []string{"shop_web_0"} }, "restarts", Warn, "shop_web_0"},
		{"few room for images", func(_ *Peer, m *Machine) { m.Engine.FreeBytes = gib }, "images", Warn, "1.0 GiB of 80.0 GiB free at /var/lib/docker"},
		{"no room for images", func(_ *Peer, m *Machine) { m.Engine.FreeBytes = 9 << 20 }, "images", Fail, "9 MiB"},

		{"firewall on this machine", func(_ *Peer, m *Machine) { m.Port.Err = "cannot be dialled" }, "port", Fail, "cannot be dialled"},
		{"store cannot write", func(_ *Peer, m *Machine) { m.Disk.FreeBytes = 30 << 20 }, "disk", Fail, "30 MiB of 80.0 GiB free at /var/lib/shoal, the store writes nothing below 32 MiB"},
		{"takes no work", func(_ *Peer, m *Machine) { m.Disk.FreeBytes = 200 << 20 }, "disk", Fail, "takes no work below 288 MiB"},
		{"nearly so", func(_ *Peer, m *Machine) { m.Disk.FreeBytes = 400 << 20 }, "disk", Warn, "400 MiB"},
		{"disk cannot be read", func(_ *Peer, m *Machine) { m.Disk.Err = "it hangs" }, "disk", Fail, "it hangs"},
		{"few files", func(_ *Peer, m *Machine) { m.Files.Limit = 256 }, "files", Warn, "60 of 256 open"},
		{"files used up", func(_ *Peer, m *Machine) { m.Files = Files{Limit: 4096, Open: 4000} }, "files", Fail, "4000 of 4096"},

		{"hidden, one relay", func(p *Peer, _ *Machine) {
			p.Reach = Reach{Tries: true, Hidden: true, NAT: true, Relays: []string{"attic"}}
		}, "reach", Warn, "behind a NAT, reached through attic alone; 1 link punched, 0 links relayed"},
		{"hidden, no relay", func(p *Peer, _ *Machine) { p.Reach = Reach{Tries: true, Hidden: true, Asked: 1} }, "reach", Fail, "cannot be dialled from outside, and no member carries"},
		{"small behind a NAT", func(p *Peer, _ *Machine) {
			p.Reach = Reach{NAT: true, Seen: []string{"203.0.113.5"}, Profile: "small"}
		}, "reach", Warn, "seen as 203.0.113.5, and nobody outside has dialled it: profile small uses no relays"},
		{"hidden, and a member that uses no relays", func(p *Peer, _ *Machine) {
			p.Reach = Reach{Tries: true, Hidden: true, Relays: []string{"attic", "den"}}
			p.Members[1].Path, p.Members[1].Profile, p.Members[1].Observes = "", "small", false
		}, "neighbours", Warn, "no connection to cellar: profile small uses no relays"},
		{"connections trimmed", func(p *Peer, _ *Machine) { p.Conns.Open = 300 }, "connections", Warn, "300 open"},
		{"connections refused", func(p *Peer, _ *Machine) { p.Conns.Open = 1000 }, "connections", Fail, "at 1024 no more are taken"},
		{"cut off from an observer", func(p *Peer, _ *Machine) { p.Members[0].Path = "" }, "neighbours", Warn, "no connection to attic, of 2 members that observe it"},
		{"a member dead", func(p *Peer, _ *Machine) { p.Members[0].State, p.Members[0].Heard = "dead", 20*time.Second }, "members", Warn, "attic is dead, heard 20s ago"},
		{"versions mixed", func(p *Peer, _ *Machine) { p.Members[1].Version = "1.3" }, "versions", Warn, "1.2 on kitchen, attic; 1.3 on cellar"},
		{"protocols differ", func(p *Peer, _ *Machine) { p.Protocol = []Lack{{"attic", []string{"/shoal/alive/1"}}} }, "versions", Fail, "attic does not speak /shoal/alive/1"},
		{"store damaged", func(p *Peer, _ *Machine) { p.Store.Damage = "12 of 40 entries are left" }, "store", Fail, "12 of 40"},
		{"store damaged, loss accepted", func(p *Peer, _ *Machine) { p.Store.Damage, p.Store.AcceptLoss = "12 of 40", true }, "store", Warn, "12 of 40"},
		{"holds still", func(p *Peer, _ *Machine) { p.Store.Held = "the disk is full" }, "store", Fail, "holds still: the disk is full"},
		{"metric missing", func(p *Peer, _ *Machine) { p.Missing = []string{"memory: no /proc"} }, "facts", Fail, "memory: no /proc"},
		{"port taken", func(p *Peer, _ *Machine) { p.Ports = []string{"shop: port 80 is taken"} }, "published", Warn, "port 80"},
	} {
		p, m := sound()
		c.spoil(&p, &m)
		var bad []Finding
		for _, f := range Running(p, m) {
			if f.Grade != OK {
				bad = append(bad, f)
			}
		}
		if len(bad) != 1 || bad[0].Check != c.check || bad[0].Grade != c.grade || !strings.Contains(bad[0].Saw, c.saw) {
			t.Errorf("%s: %+v, want %s %s %q", c.name, bad, c.grade, c.check, c.saw)
			continue
		}
		if do := bad[0].Do; !strings.HasSuffix(do, ".") || strings.Contains(do, ". ") {
			t.Errorf("%s: %q is not one sentence", c.name, do)
		}
	}
}

func ahead(by ...time.Duration) []Clock {
	var out []Clock
	for i, d := range by {
		out = append(out, Clock{Peer: []string{"attic", "cellar"}[i], Ahead: d, Error: time.Millisecond})
	}
	return out
}

// Who is right is what most say; a middle of two is between them.
func TestMiddleClock(t *testing.T) {
	for _, c := range []struct {
		others []time.Duration
		middle time.Duration
		off    int
	}{
		{[]time.Duration{0, 0}, 0, 0},
		{[]time.Duration{-time.Hour, -time.Hour}, -time.Hour, 2},
		{[]time.Duration{time.Hour, 0}, 0, 1},
		{[]time.Duration{time.Hour}, time.Hour, 1},
	} {
		if middle, off := middleClock(ahead(c.others...)); middle != c.middle || len(off) != c.off {
			t.Errorf("%v: %v, %v", c.others, middle, off)
		}
	}
}

func TestAlone(t *testing.T) {
	_, m := sound()
	m.Port = Port{Number: 7462}
	for _, c := range []struct {
		o   Outside
		saw string
		do  string
	}{
		{Outside{Socket: "/run/s"}, "none answers at /run/s", "shoal up"},
		{Outside{Socket: "/run/s", Foreign: true}, "belongs to another user", "the user who ran"},
		{Outside{Socket: "/run/s", Hung: true, Err: "no answer in 15s"}, "does not answer: no answer in 15s", "its log"},
		{Outside{Socket: "/run/s", Holder: "process 12"}, "process 12 has the state directory open", "--socket"},
	} {
		all := Alone(c.o, m)
		if f := all[0]; f.Grade != Fail || !strings.Contains(f.Saw, c.saw) || !strings.Contains(f.Do, c.do) {
			t.Errorf("%+v", f)
		}
		if !Failed(all) || slices.ContainsFunc(all[1:], func(f Finding) bool { return f.Grade == Fail }) {
			t.Errorf("%+v", all)
		}
	}
}

func TestAlone_TellsOfTheStore(t *testing.T) {
	_, m := sound()
	for _, c := range []struct {
		at    *AtRest
		grade Grade
		saw   string
	}{
		{nil, "", ""},
		{&AtRest{Records: 12}, OK, "12 records, all as they were written"},
		{&AtRest{Damage: "the file head is gone"}, Fail, "damaged: the file head is gone"},
		{&AtRest{Refused: "it is of a newer shoal"}, Fail, "it is of a newer shoal"},
		{&AtRest{Dir: "/srv/shoal", Unseen: "process 12 has it open"}, Warn, "not looked at: process 12 has it open"},
	} {
		all := Alone(Outside{Store: c.at}, m)
		i := slices.IndexFunc(all, func(f Finding) bool { return f.Check == "store" })
		if i < 0 && c.at == nil {
			continue
		}
		if i < 0 || all[i].Grade != c.grade || all[i].Saw != c.saw || (c.grade == OK) != (all[i].Do == "") {
			t.Errorf("%+v: %+v", c.at, all)
		}
	}
}

// Nothing is known: no check may panic or invent something.
func TestNothingKnown(t *testing.T) {
	for _, f := range append(Running(Peer{}, Machine{}), Alone(Outside{}, Machine{})...) {
		if f.Check == "" || f.Saw == "" {
			t.Errorf("%+v", f)
		}
	}
}
