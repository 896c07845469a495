package sim

import (
	"os"
	"strconv"
	"testing"
)

// TestTry runs the scenario named by SHOAL_SCENARIO, with SHOAL_SEED if given, and
// prints its notable lines, or with SHOAL_TRACE every step. It is for working on
// the simulator; `shoal sim run` is the same for everybody else.
func TestTry(t *testing.T) {
	file := os.Getenv("SHOAL_SCENARIO")
	if file == "" {
		t.Skip("SHOAL_SCENARIO names no file")
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := Options{Lines: true}
	if s, err := strconv.ParseUint(os.Getenv("SHOAL_SEED"), 10, 64); err == nil {
		o.Seed = &s
	}
	if os.Getenv("SHOAL_TRACE") != "" {
		o.Trace, o.Lines = os.Stdout, false
	}
	res, err := RunScenario(f, file, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range res.Lines {
		t.Log(l)
	}
	t.Log(res.String())
}
