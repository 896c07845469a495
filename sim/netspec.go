package sim

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A NetSpec is how the network is while no fault changes it. The zero value is
// instant, free and loses nothing.
type NetSpec struct {
	Delay     span          // one way; every duration equally likely
	Lognormal bool          // Delay is the median and the 99th percentile of a lognormal one
	Jitter    time.Duration // up to so much more, each time
	Loss      float64       // of each packet, 0 to 1: streams send again, topics lose
	TopicLoss *float64      // of a topic's message at each peer; nil: Loss
	Dup       float64       // of each input, 0 to 1
	Reorder   float64       // of a topic's copies that are held back, 0 to 1
	Bandwidth int64         // of each link, bits a second; 0: without bound
	Uplink    int64         // of each peer to all others; 0: without bound

	Matrix    *Matrix // round-trip times instead of Delay; nil: none
	Indexed   bool    // machine n lives in the matrix's row n, instead of one drawn from the seed
	ConnCap   int     // connections a peer accepts from one address; 0: without bound
	Punch     float64 // chance that two peers behind NAT meet without a relay
	NoRelay   bool    // no member relays for others
	GossipCap int     // messages waiting for one neighbour; 0: gossipQueue
	Links     []LinkSpec
}

// A LinkSpec changes some links: those of Sides ("n1,n2>n3", "n1|rest").
type LinkSpec struct {
	Sides string
	Opts  map[string]string
	Line  int
}

var defaultNet = NetSpec{Delay: span{time.Millisecond, 5 * time.Millisecond}}

// linkOptions are the options of a link; those of net contain them.
var linkOptions = []string{"delay", "jitter", "loss", "topicloss", "dup", "reorder", "bandwidth"}

var wholeNetOptions = []string{"uplink", "matrix", "rows", "conncap", "punch", "relays", "queue"}

// option reads one option into the spec; dir is where relative paths begin.
func (s *NetSpec) option(key, value, dir string) (err error) {
	switch key {
	case "delay":
		s.Delay, s.Lognormal, err = parseDelay(value)
	case "jitter":
		s.Jitter, err = parseDuration(value)
	case "loss":
		s.Loss, err = parseRate(value)
	case "topicloss":
		var rate float64
		rate, err = parseRate(value)
		s.TopicLoss = &rate
	case "dup":
		s.Dup, err = parseRate(value)
	case "reorder":
		s.Reorder, err = parseRate(value)
	case "bandwidth":
		s.Bandwidth, err = parseBits(value)
	case "uplink":
		s.Uplink, err = parseBits(value)
	case "matrix":
		if !filepath.IsAbs(value) {
			value = filepath.Join(dir, value)
		}
		s.Matrix, err = loadMatrix(value)
	case "rows":
		s.Indexed, err = value == "index", oneOf("index", "draw")(value)
	case "conncap":
		s.ConnCap, err = parseCount(value, "connections")
	case "punch":
		s.Punch, err = parseRate(value)
	case "relays":
		s.NoRelay, err = value == "no", oneOf("yes", "no")(value)
	case "queue":
		s.GossipCap, err = parseCount(value, "messages")
	default:
		known := append(append([]string{}, linkOptions...), wholeNetOptions...)
		err = fmt.Errorf("unknown option; known are %s", strings.Join(known, ", "))
	}
	return err
}

// String writes the statements that make the spec.
func (s *NetSpec) String() string {
	kind := ""
	if s.Lognormal {
		kind = lognormalPrefix
	}
	out := fmt.Sprintf("net delay=%s%v..%v loss=%s dup=%s", kind, s.Delay.from, s.Delay.to, formatRate(s.Loss), formatRate(s.Dup))
	if s.Matrix != nil {
		out += " matrix=" + s.Matrix.path
	}
	if s.TopicLoss != nil {
		out += " topicloss=" + formatRate(*s.TopicLoss)
	}
	for _, o := range []struct {
		set  bool
		text string
	}{
		{s.Jitter > 0, fmt.Sprintf("jitter=%v", s.Jitter)},
		{s.Reorder > 0, "reorder=" + formatRate(s.Reorder)},
		{s.Bandwidth > 0, fmt.Sprintf("bandwidth=%dbit", s.Bandwidth)},
		{s.Uplink > 0, fmt.Sprintf("uplink=%dbit", s.Uplink)},
		{s.Indexed, "rows=index"},
		{s.ConnCap > 0, fmt.Sprintf("conncap=%d", s.ConnCap)},
		{s.Punch > 0, "punch=" + formatRate(s.Punch)},
		{s.NoRelay, "relays=no"},
		{s.GossipCap > 0, fmt.Sprintf("queue=%d", s.GossipCap)},
	} {
		if o.set {
			out += " " + o.text
		}
	}
	out += "\n"
	for _, l := range s.Links {
		out += "link " + l.Sides
		for _, k := range sortedKeys(l.Opts) {
			out += " " + k + "=" + l.Opts[k]
		}
		out += "\n"
	}
	return out
}

func (p *parser) net(words []string) error {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if err := p.s.Net.option(key, value, filepath.Dir(p.name)); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

// link reads "link n1,n2>n3 loss=5% bandwidth=10Mbit", a lasting property.
func (p *parser) link(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("want: link %s", linkUsage)
	}
	l := LinkSpec{Sides: words[0], Opts: map[string]string{}, Line: p.line}
	if _, _, err := splitCut(l.Sides); err != nil {
		return err
	}
	if strings.Contains(l.Sides, "(") {
		return fmt.Errorf("%q depends on the moment; here write n1, n2..n5 or rest", l.Sides)
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		l.Opts[key] = value
	}
	if err := checkLinkOptions(l.Opts); err != nil {
		return err
	}
	p.s.Net.Links = append(p.s.Net.Links, l)
	return nil
}

const linkUsage = "n1,n2>n3 (or n1|n2 both ways) loss=5% delay=20ms..80ms bandwidth=10Mbit"

func checkLinkOptions(opts map[string]string) error {
	if len(opts) == 0 {
		return fmt.Errorf("want: %s", linkUsage)
	}
	for _, k := range sortedKeys(opts) {
		if !containsString(linkOptions, k) {
			return fmt.Errorf("%s=%s: unknown option; known are %s", k, opts[k], strings.Join(linkOptions, ", "))
		}
		if err := (&NetSpec{}).option(k, opts[k], ""); err != nil {
			return fmt.Errorf("%s=%s: %w", k, opts[k], err)
		}
	}
	return nil
}

func containsString(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// nicSpec is what a line of peers says of their connection to the network.
type nicSpec struct {
	NAT    string // "": can be dialled; "yes": behind NAT; "relay": behind one that cannot be punched through
	Addr   string // the public address it shares with others; "": its own
	Uplink int64  // bits a second; 0: NetSpec.Uplink
}

// option reads an option of peers and join; ok is false if it is none of these.
func (s *nicSpec) option(key, value string) (ok bool, err error) {
	switch key {
	case "nat":
		s.NAT, err = value, oneOf("yes", "relay")(value)
	case "addr":
		s.Addr, err = value, isText(value)
	case "uplink":
		s.Uplink, err = parseBits(value)
	default:
		return false, nil
	}
	return true, err
}

func (s *nicSpec) String() (out string) {
	if s.NAT != "" {
		out += " nat=" + s.NAT
	}
	if s.Addr != "" {
		out += " addr=" + s.Addr
	}
	if s.Uplink > 0 {
		out += fmt.Sprintf(" uplink=%dbit", s.Uplink)
	}
	return out
}

const lognormalPrefix = "lognormal:"

// parseDelay reads "20ms", "20ms..80ms", or "lognormal:20ms..80ms", whose ends are
// the median and the 99th percentile.
func parseDelay(s string) (span, bool, error) {
	text, isLog := strings.CutPrefix(s, lognormalPrefix)
	d, err := parseSpan(text)
	if err == nil && d.to > maxRTT {
		err = fmt.Errorf("%v is more than %v, the longest delay there is", d.to, maxRTT)
	}
	if err == nil && isLog && d.from <= 0 {
		err = fmt.Errorf("%q: the median of a lognormal delay is above zero", s)
	}
	return d, isLog, err
}

var bitUnits = []struct {
	suffix string
	factor float64
}{{"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}, {"bit", 1}}

// parseBits reads "512kbit", "10Mbit" or "1Gbit", each a second. 0 is refused: a
// link that carries nothing is a cut.
func parseBits(s string) (int64, error) {
	for _, u := range bitUnits {
		text, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		if v, err := strconv.ParseFloat(text, 64); err == nil && v*u.factor >= 100 && v*u.factor <= 1e12 {
			return int64(v * u.factor), nil
		}
	}
	return 0, fmt.Errorf("%q is no bandwidth from 100bit to 1000Gbit a second; write one such as 512kbit or 10Mbit", s)
}

func parseCount(s, what string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1<<20 {
		return 0, fmt.Errorf("%q is no number of %s from 1 to %d", s, what, 1<<20)
	}
	return n, nil
}
