package report

import (
	"fmt"
	"strconv"
	"time"
)

// rules are the invariants in their order, each in a few words.
var rules = []struct{ name, means string }{
	{"S1", "an accepted job is on as many disks as its answer named"},
	{"S3", "no record is kept that its issuer has not signed; looked at while somebody forges"},
	{"S4", "what a peer has taken never exceeds what it has"},
	{"S5", "no token, incarnation or sequence falls; one open claim per slot and peer"},
	{"S6", "merge does not depend on order, grouping or repetition"},
	{"S7", "every container has a record, or is soon gone"},
	{"S8", "what was removed stays removed"},
	{"V1", "all ledgers become equal"},
	{"V2", "every slot that can run, runs"},
	{"V3", "surplus copies end"},
	{"V4", "traffic falls back to its idle rate"},
	{"joining", "only a ready peer takes slots and accepts changes of jobs"},
	{"yield", "who is declared lost refutes only with its container there, or while nobody else has the slot"},
	{"deaths", "nobody is believed dead by half of its observers or fewer; what goes with many waits 30 s"},
	{"moves", "an update moves no more slots at a time than its parallelism"},
	{"keys", "of two machines with one key all but one step back"},
	{"kinds", "a record of a later version's kind is kept"},
	{"ready", "every running peer comes to be ready"},
	{"fair", "only who was made to forge is blamed"},
}

// count writes 1234567 as "1 234 567", with thin spaces.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return s
}

// short writes 1234567 as "1.2 M".
func short(x float64) string {
	for _, u := range []struct {
		from float64
		unit string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if x >= u.from {
			if u.unit == "k" {
				return fmt.Sprintf("%.0f k", x/1e3)
			}
			return fmt.Sprintf("%.1f %s", x/u.from, u.unit)
		}
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}

func bytesText(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.1f MB", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.0f kB", x/1e3)
	case x >= 1e3:
		return fmt.Sprintf("%.1f kB", x/1e3)
	}
	return fmt.Sprintf("%.0f B", x)
}

// clock writes a time of the run as "12:34.567", or "1:12:34.567".
func clock(d time.Duration) string {
	h, m, s := int(d.Hours()), int(d.Minutes())%60, d.Seconds()-60*float64(int(d.Minutes()))
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%06.3f", h, m, s)
	}
	return fmt.Sprintf("%d:%06.3f", m, s)
}

// long writes how long a run was: "1 h 30 min", "2 min 5 s", "90.2 s".
func long(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}
