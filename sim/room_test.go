package sim

import (
	"fmt"
	"strings"
	"testing"
)

// Of seven jobs of as many priorities that wait in whatever lanes, the two most urgent have
// the room of two peers that appears at once. Seeds 38 and 55 sold it to others.
func TestPriority_OfManyTheMostUrgentHaveTheRoom(t *testing.T) {
	overSeeds(t, `peers 4 cpu=1 mem=8GiB      net delay=2ms..20ms      run 45s
at 10s   submit fill replicas=4 cpu=800m mem=64MiB
by 18s   running 4 of fill
at 19s   submit low1 cpu=800m mem=64MiB priority=1
at 19s   submit low2 cpu=800m mem=64MiB priority=2
at 19s   submit low3 cpu=800m mem=64MiB priority=3
at 20s   submit mid1 cpu=800m mem=64MiB priority=40
at 20s   submit mid2 cpu=800m mem=64MiB priority=41
at 24s   submit hi1 cpu=800m mem=64MiB priority=90
at 24s   submit hi2 cpu=800m mem=64MiB priority=91
at 35s   scale fill replicas=2
by 44s   running 1 of hi1
by 44s   running 1 of hi2
`, 1, 2, 3, 38, 55, 56, 60, 64)
}

// Room that appears while a sale is under way that has asked its peer before is used within
// two seconds and what a stop takes. Seeds 75, 101 and 193 left it for half a minute.
func TestCapacity_ThatAppearsDuringASaleIsUsed(t *testing.T) {
	overSeeds(t, `peers 5 cpu=1 mem=8GiB      net delay=2ms..20ms      run 65s
at 10s   submit fill replicas=5 cpu=800m mem=64MiB
by 20s   running 5 of fill
at 22s   submit x1 replicas=2 cpu=800m mem=64MiB
at 22s   submit x2 replicas=2 cpu=700m mem=64MiB
at 60s   scale fill replicas=1
by 62750ms event claimed job=x1 count=2
by 62750ms event claimed job=x2 count=2
`, 1, 2, 75, 101, 193)
}

// An award that is ahead of the new number of copies waits for it: else who is nearest to
// the new copies would have none of them. Seeds 3, 4, 6 and 12 were uneven.
func TestScale_UpIsSpreadEvenly(t *testing.T) {
	text := `peers 6 cpu=4 mem=8GiB      net delay=2ms..20ms      run 32s
at 12s   submit w replicas=6 cpu=100m mem=64MiB
by 18s   running 6 of w
at 22s   scale w replicas=12
by 30s   running 12 of w
`
	for n := 1; n <= 6; n++ {
		text += fmt.Sprintf("at 31s running 2 of w on=n%d\n", n)
	}
	overSeeds(t, text, 1, 2, 3, 4, 6, 12, 21, 28)
}

// overSeeds has a scenario hold from each of some seeds.
func overSeeds(t *testing.T, text string, seeds ...int) {
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			holds(t, strings.Replace(text, "s\n", fmt.Sprintf("s seed=%d\n", seed), 1))
		})
	}
}
