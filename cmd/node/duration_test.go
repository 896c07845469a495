package main

import (
	"errors"
	"testing"
	"time"
)

func TestDurationValue(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration
		err  string
	}{
		{"1s", time.Second, ""}, {"8784h", forEver, ""}, {"999ms", 0, "want a second to 366 days, such as 10m"},
		{"8784h1ns", 0, "want a second to 366 days, such as 10m"}, {"-3s", 0, "want a second to 366 days, such as 10m"},
		{"99999999h", 0, "want a second to 366 days, such as 10m"}, {"-99999999h1.5m", 0, "want a second to 366 days, such as 10m"},
		{"0", 0, "want a second to 366 days, such as 10m"}, {"soon", 0, "no duration"}, {"", 0, "no duration"}, {"3", 0, "no duration"},
		{"1h ", 0, "no duration"}, {"99999999y", 0, "no duration"},
	} {
		var d time.Duration
		err := (&durationValue{&d, deadlines}).Set(tt.text)
		var outside *boundsError
		switch {
		case tt.err == "" && (err != nil || d != tt.want):
			t.Errorf("%q: %v, %v", tt.text, d, err)
		case tt.err != "" && (err == nil || err.Error() != tt.err || errors.As(err, &outside) == (tt.err == "no duration")):
			t.Errorf("%q: %v, want %s", tt.text, err, tt.err)
		}
	}
}
