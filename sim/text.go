package sim

import (
	"encoding/json"
	"time"
)

// written is a duration as JSON output has it, with its unit: "1m2.5s".
type written time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d written) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// MarshalJSON implements json.Marshaler: durations have their unit.
func (f Failure) MarshalJSON() ([]byte, error) {
	type plain Failure
	return json.Marshal(struct {
		plain
		At written `json:"at"`
	}{plain(f), written(f.At)})
}

// MarshalJSON implements json.Marshaler: durations have their unit.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result
	return json.Marshal(struct {
		plain
		Simulated written `json:"simulated"`
		Calm      written `json:"calm,omitempty"`
		Wall      written `json:"wall"`
	}{plain(r), written(r.Simulated), written(r.Calm), written(r.Wall)})
}

// MarshalJSON implements json.Marshaler: durations have their unit.
func (s Soaked) MarshalJSON() ([]byte, error) {
	type plain Soaked
	return json.Marshal(struct {
		plain
		Time      written `json:"time"`
		Simulated written `json:"simulated"`
		Wall      written `json:"wall"`
	}{plain(s), written(s.Time), written(s.Simulated), written(s.Wall)})
}

// MarshalJSON implements json.Marshaler: durations have their unit.
func (v StepView) MarshalJSON() ([]byte, error) {
	type plain StepView
	return json.Marshal(struct {
		plain
		At     written `json:"at"`
		Now    written `json:"now"`
		WakeAt written `json:"wakeAt"`
	}{plain(v), written(v.At), written(v.Now), written(v.WakeAt)})
}
