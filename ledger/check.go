package ledger

import (
	"fmt"

	"shoal/internal/mutant"
	"shoal/wire"
)

// open decodes a record that came from outside. One that cannot be opened and is
// signed all the same is unfit: its issuer may run a later version, and those who
// pass it on have checked what they can.
func (s *State) open(r *wire.Record) error {
	err := Open(r)
	if err == nil || r == nil || wire.FaultOf(err) == wire.FaultOversized || !r.Verify(s.swarm, s.verify) {
		return err
	}
	return fmt.Errorf("%w: %w", wire.FaultUnfit, err)
}

// check reports what keeps an opened record out of the ledger, as a wire.Fault: what
// a rule has dropped first, the signature last.
func (s *State) check(r *wire.Record) error {
	if err := s.admit(r); err != nil {
		return err
	}
	if mutant.Is(mutant.SkipVerification) {
		return nil
	}
	return r.Check(s.swarm, s.verify)
}
