package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/job"
	"shoal/sim"
)

// Bounds of what a file draws, so that it stays within a few megabytes.
const (
	maxBars   = 40_000
	maxSpans  = 20_000
	maxMarks  = 1000
	maxPoints = 400 // of a distribution
	maxText   = 200 << 10
)

// A view is what the page says; data is what its script draws.
type view struct {
	Title, Verdict, Headline string
	Bad                      bool
	Failure                  *sim.Failure
	FailedAt                 string
	Replay, Hash             string
	Facts                    []fact
	Checks                   []check
	Kinds                    []kind
	Notes                    []string
	Text                     string
	data                     data
	names                    []string
}

type fact struct{ Label, Value, More string }

type check struct {
	Rule, Means, Count, State string
	Bad                       bool
}

type kind struct {
	Name, Count string
	Share       float64 // of the most frequent, in percent
}

// data is what the script gets. Times are in milliseconds since the world began.
type data struct {
	End     int64      `json:"end"`
	Run     int64      `json:"run"`
	Fail    int64      `json:"fail"` // -1: nothing failed
	Rule    string     `json:"rule"`
	Peers   []lane     `json:"peers"`
	Tasks   []string   `json:"tasks"`
	Whys    []string   `json:"whys"`
	Bars    [][7]int64 `json:"bars"`  // peer, task, slot, token, from, to, why (-1: open)
	Kinds   []string   `json:"kinds"` // of faults
	Texts   []string   `json:"texts"`
	Faults  [][5]int64 `json:"faults"` // peer (-1: the network), kind, from, to, text
	Marks   []mark     `json:"marks"`
	Step    int64      `json:"step"`
	Samples samples    `json:"samples"`
	Placed  []int64    `json:"placed"` // quantiles, rising
	Failed  []int64    `json:"failed"`
	Diagram diagram    `json:"diagram"`
	Means   [4]float64 `json:"means"` // messages and bytes per peer and second: calm, then under faults
}

type lane struct {
	Name string `json:"n"`
	Site string `json:"s,omitempty"`
}

type mark struct {
	At   int64  `json:"t"`
	Peer int    `json:"p"`
	Text string `json:"x"`
	Lane bool   `json:"l,omitempty"` // drawn on the lane of its peer, or, Peer -2, of all
}

type samples struct {
	Same  []float64 `json:"same"` // percent
	Run   []int     `json:"run"`
	Msg   []float64 `json:"msg"`   // per peer and second
	Bytes []float64 `json:"bytes"` // per peer and second
}

type diagram struct {
	Title  string  `json:"title"`
	Arrows []arrow `json:"arrows"`
}

type arrow struct {
	From int    `json:"f"`
	To   int    `json:"t"`
	Sent int64  `json:"s"` // microseconds
	Took int64  `json:"d"`
	Kind string `json:"k"`
	Text string `json:"x"`
	Lost bool   `json:"l,omitempty"`
}

// emptyData is that of a run in which nothing happened. No list of it is nil: JSON
// would write null, and the script asks each list for its length.
func emptyData() data {
	return data{
		Fail: -1, Peers: []lane{}, Tasks: []string{}, Whys: []string{}, Bars: [][7]int64{}, Kinds: []string{}, Texts: []string{},
		Faults: [][5]int64{}, Marks: []mark{}, Placed: []int64{}, Failed: []int64{}, Diagram: diagram{Arrows: []arrow{}},
		Samples: samples{Same: []float64{}, Run: []int{}, Msg: []float64{}, Bytes: []float64{}},
	}
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

func newView(res *sim.Result, o Options) *view {
	v := &view{Title: o.Title, Verdict: string(res.Verdict), Failure: res.Failure, Replay: res.Replay, Hash: res.Hash, names: o.Names}
	rec := res.Recording
	v.data = emptyData()
	v.data.End, v.data.Run, v.data.Step = ms(rec.End), ms(rec.Run), ms(rec.Step)
	v.Headline = "All invariants held."
	if f := res.Failure; f != nil {
		v.Bad, v.FailedAt, v.data.Fail, v.data.Rule = true, clock(f.At), ms(f.At), f.Rule
		v.Headline = map[sim.Verdict]string{
			sim.Crash: "A core crashed.", sim.Safety: "An invariant was broken.", sim.Liveness: "Something that had to come about did not.",
		}[res.Verdict]
	}
	for _, slot := range res.Waits {
		v.note("At the end a slot waits: %s.", slot)
	}
	for _, line := range res.DidNothing {
		v.note("A line did nothing: %s.", line)
	}
	v.lanes(rec, o.Names)
	v.bars(rec)
	v.faults(rec)
	v.samples(rec)
	v.data.Placed, v.data.Failed = quantiles(rec.Placed), quantiles(rec.FailedOver)
	v.diagram(rec)
	v.facts(res)
	v.checks(res)
	v.kinds(res)
	if v.Text = o.Text; len(v.Text) > maxText {
		v.Text = v.Text[:maxText] + "\n…"
	}
	return v
}

func (v *view) lanes(rec *sim.Recording, names []string) {
	for i, p := range rec.Peers {
		l := lane{p.Name, p.Site}
		if i < len(names) {
			l.Name = names[i]
		}
		v.data.Peers = append(v.data.Peers, l)
	}
}

func (v *view) bars(rec *sim.Recording) {
	var tasks, whys index
	names := map[string]bool{}
	for _, c := range rec.Containers {
		names[taskName(c.Slot)] = true
	}
	for name := range names {
		tasks.list = append(tasks.list, name)
	}
	slices.Sort(tasks.list)
	for i := range rec.Containers {
		if i == maxBars {
			v.note("%d of %d containers are drawn.", maxBars, len(rec.Containers)+rec.Left)
			break
		}
		c := &rec.Containers[i]
		why := -1
		if !c.Open {
			why = whys.of(c.Why)
		}
		v.data.Bars = append(v.data.Bars, [7]int64{int64(c.Peer), int64(tasks.of(taskName(c.Slot))), int64(c.Slot.Index),
			int64(c.Token), ms(c.From), ms(c.To), int64(why)})
	}
	v.data.Tasks, v.data.Whys = append(v.data.Tasks, tasks.list...), append(v.data.Whys, whys.list...)
}

// named writes the peers in a text as people call them.
func (v *view) named(text string) string { return sim.NamePeers(text, v.names) }

func taskName(s job.SlotID) string { return s.Job.String() + "/" + s.Task }

// An index numbers texts in the order of their first use.
type index struct {
	list []string
	at   map[string]int
}

func (x *index) of(text string) int {
	if x.at == nil {
		x.at = map[string]int{}
		for i, t := range x.list {
			x.at[t] = i
		}
	}
	i, ok := x.at[text]
	if !ok {
		i = len(x.list)
		x.at[text], x.list = i, append(x.list, text)
	}
	return i
}

func (v *view) note(format string, args ...any) {
	v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
}

func (v *view) faults(rec *sim.Recording) {
	var kinds, texts index
	for i := range rec.Faults {
		if i == maxSpans {
			v.note("%d of %d faults are drawn.", maxSpans, len(rec.Faults))
			break
		}
		f := &rec.Faults[i]
		v.data.Faults = append(v.data.Faults, [5]int64{int64(f.Peer), int64(kinds.of(f.Kind)), ms(f.From), ms(f.To), int64(texts.of(v.named(f.Text)))})
	}
	v.data.Kinds, v.data.Texts = append(v.data.Kinds, kinds.list...), append(v.data.Texts, texts.list...)
	for i, m := range rec.Marks {
		if i == maxMarks {
			v.note("%d of %d things done are listed.", maxMarks, len(rec.Marks))
			break
		}
		v.data.Marks = append(v.data.Marks, mark{ms(m.At), m.Peer, v.named(m.Text), m.Lane})
	}
}

// samples turns counts into rates, and means of them without faults and with.
func (v *view) samples(rec *sim.Recording) {
	s, n := &v.data.Samples, [2]float64{}
	step := rec.Step.Seconds()
	for _, x := range rec.Samples {
		share := 100.0
		if x.Ready > 0 {
			share = 100 * float64(x.Same) / float64(x.Ready)
		}
		up := float64(max(x.Up, 1))
		msg, bytes := float64(x.Messages)/up/step, float64(x.Bytes)/up/step
		s.Same, s.Run = append(s.Same, round(share)), append(s.Run, x.Running)
		s.Msg, s.Bytes = append(s.Msg, round(msg)), append(s.Bytes, round(bytes))
		state := 0
		if x.Faults > 0 {
			state = 1
		}
		v.data.Means[2*state] += msg
		v.data.Means[2*state+1] += bytes
		n[state]++
	}
	for i := range v.data.Means {
		v.data.Means[i] = round(v.data.Means[i] / max(n[i/2], 1))
	}
}

func round(x float64) float64 { return float64(int64(x*10+0.5)) / 10 }

// quantiles are the times in rising order, thinned out to maxPoints.
func quantiles(list []sim.Handover) []int64 {
	all := make([]int64, len(list))
	for i, h := range list {
		all[i] = ms(h.Took)
	}
	slices.Sort(all)
	if len(all) <= maxPoints {
		return all
	}
	out := make([]int64, maxPoints)
	for i := range out {
		out[i] = all[i*(len(all)-1)/(maxPoints-1)]
	}
	return out
}

func (v *view) diagram(rec *sim.Recording) {
	v.data.Diagram.Title = v.named(rec.Diagram.Title)
	for _, a := range rec.Diagram.Arrows {
		sent, took := a.Sent.Microseconds(), (a.Arrives - a.Sent).Microseconds()
		v.data.Diagram.Arrows = append(v.data.Diagram.Arrows, arrow{a.From, a.To, sent, took, a.Kind, v.named(a.Text), a.Lost})
	}
}

func (v *view) facts(res *sim.Result) {
	rec := res.Recording
	slots := map[job.SlotID]bool{}
	for i := range rec.Containers {
		slots[rec.Containers[i].Slot] = true
	}
	v.Facts = []fact{
		{"peers", count(uint64(res.Peers)), sites(rec)},
		{"simulated", long(res.Simulated), fmt.Sprintf("calm after %.1f s", res.Calm.Seconds())},
		{"slots that ran", count(uint64(len(slots))), count(uint64(len(rec.Containers)+rec.Left)) + " containers started"},
		{"faults", count(uint64(rec.Harms)), "of peers and of the network"},
		{"placement", percentile(rec.Placed, 50), "median; p99 " + percentile(rec.Placed, 99)},
		{"fail-over", percentile(rec.FailedOver, 50), fmt.Sprintf("median of %d; p99 %s", len(rec.FailedOver), percentile(rec.FailedOver, 99))},
		{"messages", short(float64(res.Messages)), fmt.Sprintf("%.1f per peer and second without faults", v.data.Means[0])},
		{"traffic", bytesText(v.data.Means[1]) + "/s", "per peer without faults; " + bytesText(v.data.Means[3]) + "/s under them"},
	}
	if len(rec.FailedOver) == 0 {
		v.Facts[5].More = "no slot went elsewhere"
	}
	if v.data.Means[3] == 0 {
		v.Facts[7].More = "per peer"
	}
	if res.Calm == 0 {
		v.Facts[1].More = "ended before its calm"
	}
}

func sites(rec *sim.Recording) string {
	seen := map[string]bool{}
	for _, p := range rec.Peers {
		seen[p.Site] = true
	}
	if delete(seen, ""); len(seen) == 0 {
		return "at one site"
	}
	if len(seen) == 1 {
		return "at one site"
	}
	return fmt.Sprintf("at %d sites", len(seen))
}

// percentile is the nearest rank: the least time that p percent of all do not exceed.
func percentile(list []sim.Handover, p int) string {
	q := quantiles(list)
	if len(q) == 0 {
		return "–"
	}
	return seconds(q[(len(q)*p+99)/100-1])
}

func seconds(ms int64) string {
	if ms < 1000 {
		return fmt.Sprintf("%d ms", ms)
	}
	return fmt.Sprintf("%.1f s", float64(ms)/1000)
}

// checks lists the rules in their order, with how often each was looked at.
func (v *view) checks(res *sim.Result) {
	for _, r := range rules {
		c := check{Rule: r.name, Means: r.means, Count: count(res.Checks[r.name]), State: "held"}
		switch {
		case res.Failure != nil && res.Failure.Rule == r.name:
			c.State, c.Bad = "broken at "+clock(res.Failure.At), true
		case res.Checks[r.name] == 0:
			c.State = "not exercised"
		}
		v.Checks = append(v.Checks, c)
	}
}

func (v *view) kinds(res *sim.Result) {
	var most uint64
	for name, n := range res.Kinds {
		v.Kinds = append(v.Kinds, kind{Name: name, Count: count(n), Share: float64(n)})
		most = max(most, n)
	}
	slices.SortFunc(v.Kinds, func(a, b kind) int { return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.Name, b.Name)) })
	for i := range v.Kinds {
		v.Kinds[i].Share = round(100 * v.Kinds[i].Share / float64(max(most, 1)))
	}
}
