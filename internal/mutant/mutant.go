// Package mutant names bugs that can be planted in the shipped code, so that the
// simulator can show that its rules find them. Where a bug could be, the code asks
//
//	if mutant.Is(mutant.SecondClaim) { … }
//
// Built as usual, Is is false for the compiler, which leaves the branch out: a
// release has none of them. Built with the tag mutants, one of them may be planted
// for the whole process by Plant, before any core runs. The package has no state of
// a core, no IO and no imports, so pure packages may use it.
package mutant

// A Mutant is one bug. The zero value is none.
type Mutant uint8

// The bugs, by what the code does wrong. Catalogue says which promise each breaks.
const (
	None Mutant = iota

	SkipSync         // sends before its records are on the disk
	StoreUnsynced    // vouches for a submission that it has not synced
	EarlyAccept      // answers the user before other stores have the job
	SameIncarnation  // does not count its starts
	MarkOnPush       // raises a mark for what was merely pushed to it
	NoAntiEntropy    // never compares ledgers with a neighbour
	DropUnknown      // refuses records of a kind that it does not know
	SkipVerification // takes records without looking at their signature
	ForgetRemoved    // forgets a removed job at once, and its lives
	LeakMapOrder     // lets map order reach its outputs

	SecondClaim      // claims a slot on which it still holds a claim
	AcceptStale      // accepts an award under a token that has passed
	IgnoreReserved   // holds for free what its claims have reserved
	Overcommit       // takes an award without looking at the room it has
	ActWhileJoining  // bids and accepts jobs before it is ready
	EndFirst         // ends a claim before its container
	KeepSurplus      // goes on running a slot that another won
	ForgetTieBreak   // takes the claim that came first for the winner
	RefuteAlways     // refutes a verdict without a running container
	RestartResold    // takes up its claims before it has asked what became of them
	NeverMove        // never takes a slot to a new spec
	FailedIsFinal    // never sells a slot again that has failed
	MoveAllAtOnce    // takes all slots to a new spec at once
	KeepOrphans      // leaves alone the containers of nobody
	NeverCallAgain   // calls once for a slot and never again
	RepublishUnpaced // publishes its card again and again, unchanged

	CountDeadObservers // lets the dead have a say in who is dead
	CountVoteTwice     // counts each vote twice
	NoMassWait         // repairs at once though it may itself be the one cut off
	NoStepBack         // goes on though its key runs elsewhere
	NeverReadyAgain    // stays joining after a restart
)
