//go:build mutants

package mutant

// A Bug is what the catalogue says of a mutant.
type Bug struct {
	Mutant Mutant
	Name   string // "second_claim": of the file of its kept scenario, too
	Breaks string // the promise, in a few words
	Twice  bool   // shows only when the same plan is run twice
}

// Catalogue lists all bugs, in their order.
func Catalogue() []Bug {
	return []Bug{
		{SkipSync, "skip_sync", "durable before it is sent", false},
		{StoreUnsynced, "store_unsynced", "a store vouches for what is on its disk", false},
		{EarlyAccept, "early_accept", "accepted means stored where the answer says", false},
		{SameIncarnation, "same_incarnation", "every start has an incarnation of its own", false},
		{MarkOnPush, "mark_on_push", "only a complete exchange raises a mark", false},
		{NoAntiEntropy, "no_anti_entropy", "repair finds what gossip lost", false},
		{DropUnknown, "drop_unknown", "unknown kinds are kept and passed on", false},
		{SkipVerification, "skip_verification", "no record counts without its issuer's signature", false},
		{ForgetRemoved, "forget_removed", "what was removed stays removed", false},
		{LeakMapOrder, "leak_map_order", "equal inputs give equal outputs", true},
		{SecondClaim, "second_claim", "one open claim per slot and peer", false},
		{AcceptStale, "accept_stale", "tokens only grow", false},
		{IgnoreReserved, "ignore_reserved", "claims fit the peer", false},
		{Overcommit, "overcommit", "only the bidder decides what it accepts", false},
		{ActWhileJoining, "act_while_joining", "only a ready peer bids and accepts", false},
		{EndFirst, "end_first", "a claim ends after its container", false},
		{KeepSurplus, "keep_surplus", "the beaten copy stops", false},
		{ForgetTieBreak, "forget_tie_break", "one winner, alike for all", false},
		{RefuteAlways, "refute_always", "without its container a holder yields to who bought the slot", false},
		{RestartResold, "restart_resold", "what was sold again is not started twice", false},
		{NeverMove, "never_move", "slots come to run the head's spec", false},
		{FailedIsFinal, "failed_is_final", "a slot that failed is sold again", false},
		{MoveAllAtOnce, "move_all_at_once", "an update moves parallelism slots at a time", false},
		{KeepOrphans, "keep_orphans", "a container without a claim goes", false},
		{NeverCallAgain, "never_call_again", "a waiting slot is offered again", false},
		{RepublishUnpaced, "republish_unpaced", "an idle swarm is quiet", false},
		{CountDeadObservers, "count_dead_observers", "survivors can condemn any number of the dead", false},
		{CountVoteTwice, "count_vote_twice", "a death takes more than half of the observers", false},
		{NoMassWait, "no_mass_wait", "when much goes at once repair waits 30 s", false},
		{NoStepBack, "no_step_back", "of two starts with one key the older steps back", false},
		{NeverReadyAgain, "never_ready_again", "who starts again comes to be ready", false},
	}
}
