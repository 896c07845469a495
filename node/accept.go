package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// submissions are jobs on their way to other stores before the user is answered.
type submissions struct {
	open map[uint64]*submission // by the ID of their Store
}

// A submission is accepted here, durably; it waits for two more stores.
type submission struct {
	reply    Reply
	records  []*wire.Record
	head     *wire.Record
	queue    []wire.PeerID // ready peers not asked yet, by rank
	asked    []wire.PeerID
	stored   []wire.PeerID
	nextAsk  clock.Instant
	firstAsk clock.Instant
	deputed  bool // whether somebody must sell it for a silent steward has been settled
	deadline clock.Instant
	reopened int // times that its life turned out to be over
}

const (
	storesWanted   = 2                      // beside the accepting peer
	askNextAfter   = 300 * time.Millisecond // a silent store is passed over
	lastStoreAfter = 1200 * time.Millisecond
	maxSubmissions = 1024
	maxReopened    = 3
)

// request serves what a user asks.
func (c *Core) request(r *Request) {
	var err error
	var imported []ledger.Offered
	code := CodeInvalid
	switch {
	case r.Import != nil:
		imported, code, err = c.importRecords(r.Import)
	case r.Drain != nil:
		code, err = c.drain(r.Drain)
	case r.Label != nil:
		c.setLabels(r.Label.Set)
	case r.Pause != nil:
		c.self.wait = min(max(r.Pause.For, 0), 24*time.Hour)
	case r.Leave != nil:
		c.leave(r.Leave)
	case !c.mayAct():
		code, err = CodeNotReady, fmt.Errorf("this peer is %s, not ready: %s", c.self.stage, c.waitsFor())
	case !c.mayDeploy():
		code, err = CodeForbidden, fmt.Errorf("this peer may only run: it joined with a ticket made by `shoal ticket --run`")
	case len(c.subs.open) >= maxSubmissions:
		code, err = CodeNotReady, fmt.Errorf("%d submissions wait for other stores already: try again in a second", len(c.subs.open))
	case r.Expel != nil:
		code, err = c.expel(r.Expel.Peer)
	default:
		code, err = c.change(r)
		if err == nil {
			return // answered by change, or once stored
		}
	}
	rep := Reply{ID: r.ID, Changed: err == nil, Imported: imported}
	if err != nil {
		rep.Err, rep.Code = err.Error(), code
	}
	c.out.Replies = append(c.out.Replies, rep)
}

// change serves requests that write a new head of a job.
func (c *Core) change(r *Request) (Code, error) {
	switch {
	case r.Deploy != nil:
		if err := r.Deploy.Spec.Validate(); err != nil {
			return CodeInvalid, err
		}
		return c.deploy(r.ID, &r.Deploy.Spec, c.encode(wire.KindSpec, &r.Deploy.Spec), r.Deploy.Base)
	case r.Remove != nil:
		return c.remove(r.ID, r.Remove)
	case r.Scale != nil:
		return c.edit(r.ID, r.Scale.Job, func(s *job.Spec) error { return scale(s, r.Scale.Task, r.Scale.Count) })
	case r.Stop != nil:
		return c.edit(r.ID, r.Stop.Job, func(s *job.Spec) error { return scaleAll(s, r.Stop.Task, 0) })
	case r.Restart != nil && r.Restart.Index >= 0:
		return CodeInvalid, fmt.Errorf("one slot alone cannot be restarted: restart the task %s/%s", r.Restart.Job, r.Restart.Task)
	case r.Restart != nil:
		return c.edit(r.ID, r.Restart.Job, func(s *job.Spec) error { return renew(s, r.Restart.Task) })
	case r.Rollback != nil:
		return c.rollback(r.ID, r.Rollback)
	}
	return CodeInvalid, fmt.Errorf("the request asks for nothing")
}

// deploy makes a spec the wanted one: durable here first, then on two more stores.
// Its encoding may have fields of a later version, which the spec has no place for, and
// the spec values of one: what is made from a job's own spec may keep both.
func (c *Core) deploy(id uint64, spec *job.Spec, body []byte, base uint64) (Code, error) {
	if _, err := spec.Judge(); err != nil {
		return CodeInvalid, err
	}
	if len(body) > job.MaxSpecBytes {
		return CodeInvalid, fmt.Errorf("job %s takes %d bytes, at most %d are allowed: split it into several jobs", spec.ID(), len(body), job.MaxSpecBytes)
	}
	if err := c.portsTaken(spec); err != nil {
		return CodeConflict, err
	}
	hash := wire.HashOf(body)
	old := c.led.HeadRecord(spec.ID())
	head := &ledger.Head{Job: spec.ID(), Life: c.led.RemovedLife(spec.ID()) + 1, Revision: 1, Spec: hash, Author: c.cfg.Self, Over: ledger.Over(old)}
	if old != nil {
		h := old.Value.(*ledger.Head)
		if base != 0 && base != h.Revision {
			return CodeConflict, fmt.Errorf("job %s is at revision %d, not %d: look at `shoal inspect %s` and deploy again", spec.ID(), h.Revision, base, spec.ID())
		}
		switch {
		case h.Deleted:
			head.Life = h.Life + 1
		case h.Spec == hash:
			c.confirm(id, old)
			return CodeOK, nil
		default:
			head.Life, head.Revision = h.Life, h.Revision+1
			head.Previous = h.Spec
			if c.anyBad(h) && !h.Previous.IsZero() {
				head.Previous = h.Previous // a spec that failed is nothing to roll back to
			}
		}
	}
	var recs []*wire.Record
	if c.led.SpecRecord(hash) == nil {
		recs = append(recs, c.writeEncoded(wire.KindSpec, body, cloneSpec(body)))
	} else {
		recs = append(recs, c.led.SpecRecord(hash))
	}
	c.submit(id, head, recs)
	return CodeOK, nil
}

func (c *Core) mayDeploy() bool {
	return c.cfg.Entitled == nil || c.cfg.Entitled(c.cfg.Self, c.cfg.Cert)
}

// portsTaken refuses a published port that another job publishes: it answers on
// every peer, and can be one job's only.
func (c *Core) portsTaken(spec *job.Spec) error {
	publishes := func(p job.Port) bool { return p.Published != 0 }
	if !slices.ContainsFunc(spec.Tasks, func(t job.Task) bool { return slices.ContainsFunc(t.Ports, publishes) }) {
		return nil // spares looking at all jobs
	}
	for _, id := range c.led.Jobs() {
		if id == spec.ID() {
			continue
		}
		for _, w := range c.led.Wanted(id) {
			for _, have := range w.Task.Ports {
				for i := range spec.Tasks {
					for _, p := range spec.Tasks[i].Ports {
						if p.Published != 0 && p.Published == have.Published {
							return fmt.Errorf("task %q publishes port %d, which %s/%s publishes already: choose another", spec.Tasks[i].Name, p.Published, id, w.Task.Name)
						}
					}
				}
			}
		}
	}
	return nil
}

// cloneSpec decodes its own copy, so that nobody can change it afterwards.
func cloneSpec(body []byte) *job.Spec {
	s := new(job.Spec)
	if err := wire.Unmarshal(body, s); err != nil {
		panic("node: own spec: " + err.Error())
	}
	return s
}

func (c *Core) anyBad(h *ledger.Head) bool {
	return slices.ContainsFunc(c.led.BadSpecs(h.Job), func(b *ledger.BadSpec) bool {
		return b.Life == h.Life && b.Revision == h.Revision
	})
}

// confirm answers a deploy that changes nothing: it writes nothing, and has two
// other stores vouch for what they hold as for a new one.
func (c *Core) confirm(id uint64, head *wire.Record) {
	h := head.Value.(*ledger.Head)
	recs := []*wire.Record{head}
	if spec := c.led.SpecRecord(h.Spec); spec != nil {
		recs = append(recs, spec)
	}
	c.sync = true
	c.distribute(Reply{ID: id, Job: h.Job, Life: h.Life, Revision: h.Revision, Stores: []wire.PeerID{c.cfg.Self}}, head, recs)
}

func (c *Core) remove(id uint64, r *Remove) (Code, error) {
	old := c.led.HeadRecord(r.Job)
	if old == nil || old.Value.(*ledger.Head).Deleted && !r.Volumes {
		return CodeNotFound, c.noJob(r.Job)
	}
	h := old.Value.(*ledger.Head)
	c.submit(id, &ledger.Head{
		Job: r.Job, Life: h.Life, Revision: h.Revision + 1, Deleted: true, Volumes: r.Volumes,
		Spec: h.Spec, Author: c.cfg.Self, Over: ledger.Over(old),
	}, nil)
	return CodeOK, nil
}

// edit deploys the present spec of a job with a change; what a later version wrote into
// it stays.
func (c *Core) edit(id uint64, of job.ID, change func(*job.Spec) error) (Code, error) {
	h := c.led.Head(of)
	if h == nil || h.Deleted {
		return CodeNotFound, c.noJob(of)
	}
	r := c.led.SpecRecord(h.Spec)
	if r == nil {
		return CodeNotReady, fmt.Errorf("the spec of job %s has not reached this peer yet: try again in a second", of)
	}
	spec := cloneSpec(r.Body)
	if err := change(spec); err != nil {
		return CodeInvalid, err
	}
	return c.deploy(id, spec, c.extend(wire.KindSpec, ledger.CarrySpec(r.Body, spec)), 0)
}

func scale(s *job.Spec, task string, count int) error {
	t := s.Task(task)
	if t == nil {
		return fmt.Errorf("job %s has no task %q: it has %s", s.ID(), task, strings.Join(taskNames(s), ", "))
	}
	if count < 0 || count > job.MaxCount {
		return fmt.Errorf("task %s/%s: %d copies; 0 to %d are allowed", s.ID(), task, count, job.MaxCount)
	}
	t.Count = count
	return nil
}

func scaleAll(s *job.Spec, task string, count int) error {
	if task != "" {
		return scale(s, task, count)
	}
	for i := range s.Tasks {
		s.Tasks[i].Count = count
	}
	return nil
}

// renew changes nothing but the generation, so that every container is replaced
// by the rules of an update.
func renew(s *job.Spec, task string) error {
	found := false
	for i := range s.Tasks {
		if task == "" || s.Tasks[i].Name == task {
			s.Tasks[i].Generation++
			found = true
		}
	}
	if !found {
		return fmt.Errorf("job %s has no task %q: it has %s", s.ID(), task, strings.Join(taskNames(s), ", "))
	}
	return nil
}

func taskNames(s *job.Spec) []string {
	var names []string
	for i := range s.Tasks {
		names = append(names, s.Tasks[i].Name)
	}
	return names
}

func (c *Core) rollback(id uint64, r *Rollback) (Code, error) {
	h := c.led.Head(r.Job)
	if h == nil || h.Deleted {
		return CodeNotFound, c.noJob(r.Job)
	}
	var have []string
	for _, rec := range c.led.Heads(r.Job) {
		old := rec.Value.(*ledger.Head)
		if old == h || old.Deleted || old.Life != h.Life || old.Spec == h.Spec {
			continue
		}
		have = append(have, fmt.Sprint(old.Revision))
		if r.Revision != 0 && old.Revision != r.Revision {
			continue
		}
		if spec := c.led.SpecRecord(old.Spec); spec != nil {
			return c.deploy(id, cloneSpec(spec.Body), spec.Body, 0)
		}
	}
	if len(have) == 0 {
		return CodeNotFound, fmt.Errorf("job %s has no earlier revision to go back to", r.Job)
	}
	return CodeNotFound, fmt.Errorf("job %s: revision %d is not kept; kept are %s", r.Job, r.Revision, strings.Join(have, ", "))
}

// noJob says that a job is not known, with near matches.
func (c *Core) noJob(id job.ID) error {
	var names []string
	for _, known := range c.led.Jobs() {
		if h := c.led.Head(known); h != nil && !h.Deleted {
			names = append(names, known.String())
		}
	}
	if near := job.Near(id.String(), names); len(near) > 0 {
		return fmt.Errorf("no job %q here; did you mean %s?", id, strings.Join(near, " or "))
	}
	if len(names) == 0 {
		return fmt.Errorf("no job %q here: no job is deployed", id)
	}
	return fmt.Errorf("no job %q here; there is %s", id, strings.Join(names[:min(len(names), 8)], ", "))
}

// submit writes a head and sends it, with what it rests on, down the ranking.
func (c *Core) submit(id uint64, h *ledger.Head, recs []*wire.Record) {
	rec := c.write(wire.KindHead, h)
	recs = append(recs, rec)
	c.distribute(Reply{ID: id, Job: h.Job, Life: h.Life, Revision: h.Revision, Changed: true, Stores: []wire.PeerID{c.cfg.Self}}, rec, recs)
	c.publishHead(recs)
	c.holding.dirty = true
	c.welcome(h)
	c.dirtyLanes()
	what := "accepted"
	if h.Deleted {
		what = "removed"
	}
	c.event(Event{Kind: what, Job: h.Job, Peer: c.cfg.Self, Text: fmt.Sprintf("%s revision %d was %s here", h.Job, h.Revision, what)})
}

// distribute has records stored by the peers next in the ranking, and answers when
// two have, or all in reach were asked.
func (c *Core) distribute(reply Reply, head *wire.Record, recs []*wire.Record) {
	c.ask(&submission{reply: reply, records: recs, head: head, deadline: c.now.Add(10 * time.Second)})
}

// ask has a submission go down the ranking, from its beginning.
func (c *Core) ask(s *submission) {
	for _, at := range c.ranking(laneOf(s.head.Value.(*ledger.Head).Job)) {
		switch p := at.peer; {
		case p == c.cfg.Self:
		case c.mem.Doubted(p):
			s.reply.Unreached = append(s.reply.Unreached, p)
		default:
			s.queue = append(s.queue, p)
		}
	}
	for _, p := range c.led.Members() {
		if c.mem.Dead(p) && !slices.Contains(s.reply.Unreached, p) {
			s.reply.Unreached = append(s.reply.Unreached, p)
		}
	}
	c.subs.open[c.id()] = s
}

// publishHead tells everybody of a new head; whoever misses it finds it by
// exchange.
func (c *Core) publishHead(recs []*wire.Record) {
	size := 0
	for _, r := range recs {
		size += len(r.Body) + 200
	}
	if size <= wire.MaxGossip {
		c.post(wire.Envelope{Topic: wire.TopicJobs, Msg: &wire.Push{Records: recs}})
	}
}

func (c *Core) settleSubmissions() {
	if len(c.subs.open) == 0 {
		return
	}
	for _, id := range slices.Sorted(keys(c.subs.open)) {
		c.settleSubmission(id, c.subs.open[id])
	}
}

func (c *Core) settleSubmission(id uint64, s *submission) {
	c.settleDeputy(id, s)
	pending := len(s.asked) - len(s.stored)
	for len(s.queue) > 0 && (len(s.stored)+pending < storesWanted || c.due(s.nextAsk)) {
		p := s.queue[0]
		s.queue = s.queue[1:]
		if len(s.queue) == 0 {
			s.deadline = min(s.deadline, c.now.Add(lastStoreAfter))
		}
		if c.mem.Doubted(p) {
			s.reply.Unreached = append(s.reply.Unreached, p)
			continue
		}
		s.asked = append(s.asked, p)
		if mutant.Is(mutant.EarlyAccept) {
			s.stored = append(s.stored, p)
		}
		s.nextAsk = c.now.Add(askNextAfter)
		if s.firstAsk == 0 {
			s.firstAsk = max(c.now, 1)
		}
		pending++
		c.send(p, &wire.Store{ID: id, Records: s.records})
	}
	enough := len(s.stored) >= storesWanted
	allSaid := len(s.queue) == 0 && len(s.asked) == len(s.stored)
	if !enough && !allSaid && !c.due(s.deadline) {
		return
	}
	delete(c.subs.open, id)
	for _, p := range s.asked {
		if !slices.Contains(s.stored, p) && !enough {
			s.reply.Unreached = append(s.reply.Unreached, p)
		}
	}
	s.reply.Stores = append(s.reply.Stores, s.stored...)
	c.noteConflict(s)
	c.out.Replies = append(c.out.Replies, s.reply)
}

// noteConflict says in the answer if another head of the job came to light.
func (c *Core) noteConflict(s *submission) {
	mine := s.head.Value.(*ledger.Head)
	now := c.led.HeadRecord(mine.Job)
	if now != nil && now != s.head && !slices.Contains(now.Value.(*ledger.Head).Over, ledger.HeadHash(s.head)) {
		h := now.Value.(*ledger.Head)
		s.reply.Conflict = fmt.Sprintf("revision %d by %s was deployed at the same time and wins; this one lost and is kept for rollback", h.Revision, c.nameOf(h.Author))
		return
	}
	for _, lost := range c.led.Conflicts(mine.Job) {
		s.reply.Conflict = fmt.Sprintf("revision %d by %s was deployed at the same time and lost to this one; it is kept for rollback", lost.Revision, c.nameOf(lost.Author))
	}
}

// onStore takes over a submission: the answer goes out once it is on disk.
func (c *Core) onStore(from wire.PeerID, m *wire.Store) error {
	if c.self.stage != ready {
		c.send(from, &wire.Stored{ID: m.ID, Refused: "not ready"})
		return nil
	}
	if c.noRoomOnDisk() {
		c.send(from, &wire.Stored{ID: m.ID, Refused: "disk is nearly full"})
		return nil
	}
	if err := c.mergeAll(m.Records, from, 1); err != nil {
		c.send(from, &wire.Stored{ID: m.ID, Refused: "not valid"})
		return err
	}
	c.sync = c.sync || !mutant.Is(mutant.StoreUnsynced)
	ans := &wire.Stored{ID: m.ID}
	for _, r := range m.Records {
		if !c.led.Holds(r) {
			ans.Refused = "stale here: " + r.Kind.String()
		}
		if h, ok := r.Value.(*ledger.Head); ok {
			if now := c.led.HeadRecord(h.Job); now != nil && now.Hash() != r.Hash() {
				ans.Conflict = now
			}
			if over := c.led.RemovedLife(h.Job); h.Life <= over {
				ans.Over = over
			}
		}
	}
	c.send(from, ans)
	c.dirtyLanes()
	for _, r := range m.Records {
		switch h, ok := r.Value.(*ledger.Head); {
		case !ok || ans.Refused != "" || h.Deleted:
		case m.Sell:
			c.depute(h.Job)
		default:
			c.welcome(h)
		}
	}
	return nil
}

func (c *Core) onStored(from wire.PeerID, m *wire.Stored) {
	if m.Conflict != nil {
		_ = c.mergeAll([]*wire.Record{m.Conflict}, from, 1)
	}
	s := c.subs.open[m.ID]
	if s == nil || !slices.Contains(s.asked, from) || slices.Contains(s.stored, from) {
		return
	}
	if c.mustReopen(s, m.Over) {
		delete(c.subs.open, m.ID)
		c.reopen(s, m.Over)
		return
	}
	if m.Refused != "" {
		s.firstAsk = min(s.firstAsk, c.now.Add(-askNextAfter)) // it will not sell it either
		s.asked = slices.DeleteFunc(s.asked, func(p wire.PeerID) bool { return p == from })
		s.reply.Unreached = append(s.reply.Unreached, from)
		s.nextAsk = c.now
		return
	}
	s.stored = append(s.stored, from)
}

// mustReopen reports whether a submission must be made anew, because another remembers that
// the life it is of was removed. Who joined since, or lost its disk, does not: a removed
// life is nobody's record. What was removed before somebody wants it is not what he wants
// removed.
func (c *Core) mustReopen(s *submission, over uint64) bool {
	h := s.head.Value.(*ledger.Head)
	return over >= h.Life && over < ledger.MaxLife && !h.Deleted && s.reopened < maxReopened && c.led.HeadRecord(h.Job) == s.head
}

// reopen submits what is wanted once more, in the life after those that are over.
func (c *Core) reopen(s *submission, over uint64) {
	c.reach(BranchLifeReopened)
	old := s.head.Value.(*ledger.Head)
	h := &ledger.Head{Job: old.Job, Life: over + 1, Revision: 1, Spec: old.Spec, Author: c.cfg.Self, Over: ledger.Over(s.head)}
	recs := slices.DeleteFunc(slices.Clone(s.records), func(r *wire.Record) bool { return r == s.head })
	head := c.write(wire.KindHead, h)
	recs = append(recs, head)
	reply := s.reply
	reply.Life, reply.Revision, reply.Changed, reply.Unreached = h.Life, h.Revision, true, nil
	c.ask(&submission{reply: reply, records: recs, head: head, deadline: s.deadline, reopened: s.reopened + 1})
	c.publishHead(recs)
	c.holding.dirty = true
	c.dirtyLanes()
}

func (c *Core) setLabels(set map[string]string) {
	for _, k := range sortedKeys(set) {
		if len(c.self.labels) < 256 {
			c.self.labels[k] = set[k]
		}
	}
	c.self.relabels++
	c.local(localLabels, wire.MustMarshal(c.self.labels), true)
}

func (c *Core) expel(p wire.PeerID) (Code, error) {
	if p == c.cfg.Self {
		return CodeInvalid, fmt.Errorf("a peer does not remove itself: use `shoal leave`")
	}
	if c.led.Card(p) == nil && c.led.Member(p) == nil {
		return CodeNotFound, fmt.Errorf("no peer %s in this swarm", p)
	}
	seq := uint64(1)
	if m := c.led.Member(p); m != nil {
		seq = m.Seq + 1
	}
	r := c.write(wire.KindMember, &ledger.Member{Peer: p, Revoked: true, Seq: seq, Why: "removed by " + c.cfg.Name})
	c.publishHead([]*wire.Record{r})
	c.learned([]*wire.Record{r})
	c.dirtyLanes()
	return CodeOK, nil
}
