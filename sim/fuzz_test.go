package sim

import (
	"os"
	"strings"
	"testing"
)

// FuzzMatrix reads anything as a table of round-trip times.
func FuzzMatrix(f *testing.F) {
	text, err := os.ReadFile("testdata/latency/four_sites.tsv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("0 1\n1 0\n")
	f.Add("1e300\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := readMatrix(strings.NewReader(text), "m.tsv")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "m.tsv:") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		for _, row := range m.oneWay {
			for _, d := range row {
				if d < 0 || d > maxRTT {
					t.Fatalf("%v one way", d)
				}
			}
		}
	})
}
