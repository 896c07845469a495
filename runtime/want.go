package runtime

import (
	"time"

	"shoal/clock"
	"shoal/job"
)

// A Want is one own claim that is not at its end: what the reconciler is to bring
// about for it. Claims are told apart by slot, life and token; another Ref.Spec
// under the same three is an update in place.
type Want struct {
	Ref    Ref
	Task   *job.Task     // of Ref.Spec, never changed afterwards; nil is allowed with Stop and Keep
	Run    uint32        // the last run that the claim's record has; 0: never started
	MaxRun uint32        // the last run that may follow one that failed; 0: no bound. It lives on over restarts of the daemon
	Phase  Phase         // of that run, as recorded; 0: unknown. An adopted container does not fall behind it
	GPUs   job.GPUSet    // the devices that meet the task's needs; they change with Ref.Spec alone
	Grace  time.Duration // between the ask to end and the kill; 0: the task's own, else job.DefaultStopGrace

	Hold bool // start nothing yet, a dependency is not there: Waiting is reported; what runs goes on
	Stop bool // end it: stop, remove, report Gone
	Keep bool // the claim is at its end, its exited container stays for its logs until the Want goes; nothing is started
}

// startFirst reports whether an update starts the new container before it stops
// the old one. A peer without room for both passes a task that says otherwise.
func (w *Want) startFirst() bool { return w.Task != nil && w.Task.Update.Order == "start-first" }

func (w *Want) grace() time.Duration {
	switch {
	case w.Grace > 0:
		return w.Grace
	case w.Task != nil && w.Task.StopGrace > 0:
		return w.Task.StopGrace
	default:
		return job.DefaultStopGrace
	}
}

// A Phase is how far a run of a claim has come. Within a run it only moves
// forward; each start of a container is a new run and begins at Starting.
//
//	Waiting → Starting → Serving → Backoff → (next run) Starting …
//	                └────────┴────────┴→ Completed, Failed, Gone
type Phase uint8

// The phases of a run. From Completed on they end the claim on this peer.
const (
	Waiting   Phase = iota + 1 // held: nothing has been started
	Starting                   // being created or started, or running and not yet serving
	Serving                    // its health check passes, or without one it has run for Task.Monitor
	Backoff                    // has ended; Report.Next says when it is started again
	Completed                  // has ended as it should: ExitCode 0 under a policy that does not repeat it
	Failed                     // will not be started again here: restarts used up, policy "no", or a permanent error
	Gone                       // was to stop, and no container of the claim is left
)

func (p Phase) String() string {
	return [...]string{"?", "waiting", "starting", "serving", "backoff", "completed", "failed", "gone"}[min(p, Gone)]
}

// Terminal reports whether a claim in phase p has come to its end on this peer.
func (p Phase) Terminal() bool { return p >= Completed }

// A Report says how a claim stands. One is given at each change. Completed and
// Failed are not reported before the container of that run is known to have
// ended, so that the claim's needs are free by then.
type Report struct {
	Ref        Ref
	Run        uint32
	Phase      Phase
	ExitCode   int    // of the last ended run; meaningful from Backoff on
	Address    string // of the running container, empty until the engine has said it
	Err        string // one sentence: why it ended, or why the engine's last try failed
	Permanent  bool   // Failed: another try on this peer cannot help
	NotServing bool   // has not served within NotServingAfter of its first start; nothing is stopped for it
	// OldRuns says that a container of an earlier spec of this claim still runs:
	// an update is under way or, with Failed, has come to nothing. The claim then
	// lives on if the core wants that earlier spec again.
	OldRuns bool
	Next    clock.Instant // Backoff: when the next run begins, at the earliest
}

// A Status is a claim's latest Report with what only a closer look asks for.
type Status struct {
	Report
	Failures int           // runs that ended in a row without serving for SteadyAfter
	Tries    int           // errors of the engine in a row in creating and starting
	Since    clock.Instant // when the running container was started, or found running
	Busy     Op            // the action in flight on the slot; 0: none
}

// A Container is one observed container as `ps` shows it.
type Container struct {
	Observed
	Wanted  bool   // it is the container of a claim's present spec
	Serving bool   // it is wanted and serves
	Run     uint32 // of a wanted one
	Busy    Op     // the action in flight on it; 0: none
}
