package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/job"
)

// makesSense refuses what each line may say by itself and the whole file shows to be
// wrong: a time after the end of the run, a machine or a job that there never is, a
// job that no peer would take. Found during the run it would look like a failure of
// the peers, or like nothing at all.
func (p *parser) makesSense() error {
	for i := range p.s.Ops {
		op := &p.s.Ops[i]
		for _, check := range []func(*Op) error{p.withinRun, p.peersExist, p.restIsSomebody, p.jobExists, p.slotsExist} {
			if err := check(op); err != nil {
				return fmt.Errorf("%s:%d: %w", p.name, op.Line, err)
			}
		}
	}
	for _, l := range p.s.Net.Links {
		err := p.exist(refWords(l.Sides), 0)
		if err == nil {
			err = p.someRest(l.Sides, 0)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: link: %w", p.name, l.Line, err)
		}
	}
	return p.specsAreValid()
}

// withinRun refuses a line whose time never comes. One at the very end still counts.
func (p *parser) withinRun(op *Op) error {
	if op.Moment == Calm || op.Time <= p.s.Run {
		return nil
	}
	word, _, _ := strings.Cut(op.String(), " ")
	return fmt.Errorf("%s %v is after the end of the run (%v): raise run, or take an earlier time", word, op.Time, p.s.Run)
}

// namedPeers are, by verb, how many of the arguments name machines; verbs that are
// not here name jobs, slots, messages or images.
var namedPeers = map[string]int{
	"drain": 1, "leave": 1, "expel": 1, "crash": 1, "crashdaemon": 1, "restart": 1, "clockjump": 1,
	"cut": 1, "oneway": 1, "bridge": 1, "ring": 1, "link": 1, "linked": 2, "forge": 1, "newer": 1,
	"crashsync": 1, "diskfail": 1, "diskfull": 1, "diskslow": 1, "rot": 1, "pause": 1, "sleep": 1, "slow": 1,
	"engine": 1, "startfail": 1, "hang": 1, "hangcall": 1, "fix": 1, "enginerestart": 1, "orphan": 1, "conflict": 1,
	"heard": 1, "image": 1, "upgrade": 1, "flood": 1, "lie": 1, "carries": 1, "ready": 1, "joining": 1, "steppedback": 1, "idle": 1,
}

// refOptions are the options whose value is, or ends with, a machine.
var refOptions = []string{"at", "from", "to", "not", "is", "by", "on", "disk"}

// refWords splits "n1,n2..n4|rest" into its words.
func refWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",|>.", r) })
}

// peerWords are the words of an op that may name machines by number.
func (o *Op) peerWords() (words []string) {
	for _, arg := range o.Args[:min(namedPeers[o.Verb], len(o.Args))] {
		words = append(words, refWords(arg)...)
	}
	for _, key := range refOptions {
		words = append(words, strings.TrimPrefix(o.Opts[key], "clone-of:"))
	}
	return words
}

// peersExist refuses a machine that there is not by the time of the line.
func (p *parser) peersExist(op *Op) error {
	by := op.Time
	if op.Moment == Calm {
		by = p.s.Run
	}
	if err := p.exist(op.peerWords(), by); err != nil {
		return fmt.Errorf("%s: %w", op.Verb, err)
	}
	return nil
}

// exist looks for each machine named among those of the head and those that have
// joined by a time.
func (p *parser) exist(words []string, by time.Duration) error {
	for _, word := range words {
		r, err := parseRef(word)
		if err != nil || r.kind != "n" || r.n < p.s.peers() {
			continue
		}
		joined := 0
		for i := range p.s.Ops {
			if p.s.Ops[i].Verb == "join" && p.s.Ops[i].Time <= by {
				joined++
			}
		}
		if n := p.s.peers() + joined; r.n >= n {
			return fmt.Errorf("there is no %s at %v: the scenario has %d peers, %d of them by a join before it; name one from n1 to n%d, or raise peers",
				word, by, n, joined, n)
		}
	}
	return nil
}

// restIsSomebody refuses a side "rest" that has nobody, so that the line does nothing.
func (p *parser) restIsSomebody(op *Op) error {
	if !slices.Contains([]string{"cut", "oneway", "bridge", "link"}, op.Verb) || len(op.Args) == 0 {
		return nil
	}
	if err := p.someRest(op.Args[0], op.Time); err != nil {
		return fmt.Errorf("%s: %w", op.Verb, err)
	}
	return nil
}

// someRest looks for a machine, of those there by a time, that the sides do not name.
func (p *parser) someRest(sides string, by time.Duration) error {
	named, rest := map[int]bool{}, false
	for _, side := range strings.FieldsFunc(sides, func(r rune) bool { return r == '|' || r == '>' }) {
		refs, err := splitRefs(side)
		if err != nil {
			return err
		}
		for _, text := range refs {
			r, err := parseRef(text)
			switch {
			case text == "rest":
				rest = true
			case err == nil && r.kind == "n":
				named[r.n] = true
			}
		}
	}
	if n := p.peersBy(by); rest && len(named) >= n {
		return fmt.Errorf("%s: rest is nobody, all %d peers stand there by name", sides, n)
	}
	return nil
}

// peersBy is how many machines there are by a time.
func (p *parser) peersBy(by time.Duration) int {
	n := p.s.peers()
	for i := range p.s.Ops {
		if p.s.Ops[i].Verb == "join" && p.s.Ops[i].Time <= by {
			n++
		}
	}
	return n
}

// asksOfJobs are the verbs whose last argument is a job, or a slot, that must have
// been submitted for them to hold or to be taken.
var asksOfJobs = []string{"scale", "remove", "redeploy", "rollback", "held", "running", "serving", "accepted", "same"}

// jobExists refuses to speak of a job that no line submits. With fails= the line says
// itself that it may be refused: drawn plans do, and what they are cut down to.
func (p *parser) jobExists(op *Op) error {
	if !slices.Contains(asksOfJobs, op.Verb) || hasKey(op.Opts, "fails") {
		return nil
	}
	id, ok := op.jobID()
	if !ok || p.submits(id) {
		return nil
	}
	return fmt.Errorf("%s: no line submits the job %s; write one above, such as: at 0s submit %s", op.Verb, id.Name(), id.Name())
}

// jobID is the job that an op names; false: none.
func (o *Op) jobID() (job.ID, bool) {
	var id job.ID
	var err error
	switch o.Verb {
	case "held", "same":
		var slot job.SlotID
		slot, err = parseSlot(o.Args[0])
		id = slot.Job
	case "running", "serving":
		if len(o.Args) < 2 {
			return "", false
		}
		id, _, err = jobTask(o.Args[1])
	default:
		id, _, err = jobTask(o.Args[0])
	}
	return id, err == nil
}

// submits reports whether a line submits the job, or a workload can.
func (p *parser) submits(id job.ID) bool {
	for _, w := range p.s.Loads {
		if strings.HasPrefix(id.Name(), w.name+"-") {
			return true
		}
	}
	for i := range p.s.Ops {
		switch op := &p.s.Ops[i]; op.Verb {
		case "submit", "update", "deploy":
			if other, _, err := jobTask(op.Args[0]); err == nil && other == id {
				return true
			}
		}
	}
	return false
}

// specsAreValid refuses a submit whose job no peer would take, with all that earlier
// lines say of that job.
func (p *parser) specsAreValid() error {
	var asked []*Op
	for i := range p.s.Ops {
		if op := &p.s.Ops[i]; op.Moment == At {
			asked = append(asked, op)
		}
	}
	slices.SortStableFunc(asked, func(a, b *Op) int { return int(a.Time - b.Time) })
	specs := map[job.ID]*job.Spec{}
	for _, op := range asked {
		switch op.Verb {
		case "deploy":
			if id, _, err := jobTask(op.Args[0]); err == nil {
				specs[id] = p.s.job(id)
			}
		case "submit", "update":
			id, _, err := jobTask(op.Args[0])
			if err == nil {
				specs[id], err = submitted(specs[id], op)
			}
			if err != nil {
				return fmt.Errorf("%s:%d: %s: %w", p.name, op.Line, op.Verb, err)
			}
		}
	}
	return nil
}
