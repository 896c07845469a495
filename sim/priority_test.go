package sim

import (
	"fmt"
	"testing"
)

// Room that appears goes to the more urgent of two jobs, of whatever lanes they are: their
// names, and so their lanes, are made of the seed.
func TestPriority_AcrossLanes(t *testing.T) {
	for seed := 1; seed <= 20; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			holds(t, fmt.Sprintf(`peers 4 cpu=2 mem=4GiB run 160s seed=%[1]d
at 4s   submit fill replicas=8 cpu=1
at 10s  submit lo%[1]d replicas=2 cpu=1 priority=1
at 11s  submit hi%[1]d replicas=2 cpu=1 priority=99
at 2m   scale fill replicas=6
at 135s running 2 of hi%[1]d
at 135s running 0 of lo%[1]d
`, seed))
		})
	}
}

// What is more urgent and fits nowhere keeps nobody out of the room.
func TestPriority_WhatNeverFitsKeepsNobodyOut(t *testing.T) {
	for seed := 1; seed <= 4; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			holds(t, fmt.Sprintf(`peers 4 cpu=2 mem=4GiB run 140s seed=%[1]d
at 4s   submit fill replicas=8 cpu=1
at 10s  submit lo%[1]d replicas=2 cpu=1 priority=1
at 11s  submit hi%[1]d replicas=2 cpu=3 priority=99
at 100s scale fill replicas=6
by 105s event claimed job=lo%[1]d count=>=2
`, seed))
		})
	}
}

func holds(t *testing.T, text string) {
	t.Helper()
	if res := runText(t, text, "priority"); res.Verdict != OK {
		t.Fatal(res.String())
	}
}
