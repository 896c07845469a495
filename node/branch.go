package node

// A Branch is a rare turn that a core may take. Simulated swarms count them: a
// branch that thousands of them never reach is one that nothing has tested.
type Branch uint8

// The branches that neither an event nor a message tells of.
const (
	BranchMarksForgotten  Branch = iota // a damaged store's marks are dropped, every log is fetched anew
	BranchTakenUpAlone                  // own claims are taken up without an exchange
	BranchBudgetUsedUp                  // a verdict waits for the repair budget
	BranchMayBeMe                       // a verdict waits: this side may be the island
	BranchMuchAtOnce                    // a verdict waits longer, since much went at once
	BranchSucceeded                     // a steward begins for one above it that is doubted
	BranchSpecRevived                   // a spec that was dropped is wanted again
	BranchStopFirst                     // start-first without room becomes stop-first
	BranchSpecBeforeKept                // a rollout came to nothing while the old container ran
	BranchExchangeInParts               // a ledger did not fit one exchange
	BranchFailedBefore                  // the next sale of a slot waits out its failures
	BranchSlept                         // a gap in its own ticking: votes and counts are dropped
	BranchSketchUnclear                 // a sketch was too short, or of what did not differ
	BranchSketchLeft                    // an exchange by sketch was followed by one by vector
	BranchLifeReopened                  // a job's life turned out to be over: it is wanted in the next
	BranchDeputed                       // a job is sold for a steward that did not answer, or has not begun
	NumBranches                         // how many there are
)

var branchNames = [NumBranches]string{
	"damaged marks forgotten", "claims taken up alone", "repair budget used up", "repair waits: may be me",
	"repair waits: much at once", "successor takes over", "spec revived", "start-first without room",
	"rollout fails beside the old", "exchange in parts", "sale waits out failures", "votes dropped after sleep",
	"sketch unclear", "sketch left something", "life reopened",
	"job sold by a deputy",
}

func (b Branch) String() string { return branchNames[b] }

// reach notes that a branch was taken: one bit, and nothing else.
func (c *Core) reach(b Branch) { c.branches |= 1 << b }

// Branches returns the branches this core has taken since its start, in order.
func (c *Core) Branches() []Branch {
	if c.mem.Stats().Slept > 0 {
		c.reach(BranchSlept)
	}
	var out []Branch
	for b := range NumBranches {
		if c.branches&(1<<b) != 0 {
			out = append(out, b)
		}
	}
	return out
}
