package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// TestTry runs the scenario named by SHOAL_SCENARIO and prints its trace.
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
		o.Trace = os.Stdout
	}
	res, err := RunScenario(f, file, o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Trace == nil {
		for _, l := range res.Lines {
			fmt.Println(l)
		}
	}
	fmt.Println(res.String(), res.Wall, res.Steps, res.Kinds)
}
