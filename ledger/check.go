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
	return s.checkSignature(r)
}

// Telling a record that was signed as one of another kind from any other forgery costs
// seven verifications, and serves who reads the counts alone: both are refused, and held
// against their sender. So only so many are looked at, and more as good ones come: who
// sends forged records has us verify each once.
const (
	domainLooks   = 4  // at most in store
	verifiedALook = 64 // records that verify for one more
)

// checkSignature returns nil, FaultForged or FaultDomain.
func (s *State) checkSignature(r *wire.Record) error {
	err := r.Check(s.swarm, s.verify)
	if err == nil {
		s.verified = min(s.verified+1, domainLooks*verifiedALook)
		return nil
	}
	if s.verified < verifiedALook {
		return err
	}
	s.verified -= verifiedALook
	if kind := r.SignedAs(s.swarm, s.verify); kind != 0 {
		return fmt.Errorf("record %v: %w: it was signed as a %v, not as a %v", r.Num, wire.FaultDomain, kind, r.Kind)
	}
	return err
}
