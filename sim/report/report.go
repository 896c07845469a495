// Package report draws what happened in a simulated run: one HTML file with all of
// its styles, code and data, which asks no network for anything. Equal runs give equal
// files, byte for byte. The file stays within a few megabytes, whatever the run: what
// is too much to draw is left out, and the file says so.
package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"

	"shoal/sim"
)

//go:embed page.html
var pageText string

//go:embed style.css
var style string

//go:embed script.js
var script string

// Begin is how every report begins, so that a new one takes the place of nothing else.
const Begin = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta name=\"generator\" content=\"shoal sim\">"

// Options say what the result does not.
type Options struct {
	Title string   // empty: the scenario's name
	Names []string // what people call each peer; nil: "n1" and so on
	Text  string   // of the scenario, shown at the end; empty: not shown
}

// Write draws a result that has a Recording.
func Write(w io.Writer, res *sim.Result, o Options) error {
	if res.Recording == nil {
		return fmt.Errorf("report of %s: the run was not recorded", res.Scenario)
	}
	if o.Title == "" {
		o.Title = res.Scenario
	}
	v := newView(res, o)
	data, err := json.Marshal(v.data) // escapes <, > and &: safe within a script
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, v.page(string(data)))
	return err
}
