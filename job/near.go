package job

import (
	"cmp"
	"slices"
	"strings"
)

// Near returns up to three of the known names that someone who typed name may
// have meant: those that begin with it, or are few edits away, nearest first.
func Near(name string, known []string) []string {
	type match struct {
		name string
		far  int
	}
	var found []match
	most := 1 + len(name)/4
	for _, k := range known {
		far := distance(name, k)
		if name != "" && strings.HasPrefix(k, name) {
			far = min(far, 1)
		}
		if far <= most {
			found = append(found, match{k, far})
		}
	}
	slices.SortFunc(found, func(a, b match) int { return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.name, b.name)) })
	var out []string
	for _, m := range found[:min(len(found), 3)] {
		out = append(out, m.name)
	}
	return out
}

// distance counts the edits from a to b: insertions, deletions, replacements
// (Levenshtein 1966). Names are short, so one row of the table is enough.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			edit := diagonal
			if a[i-1] != b[j-1] {
				edit++
			}
			diagonal = row[j]
			row[j] = min(edit, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
