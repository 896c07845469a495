package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"shoal/job"
)

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err == nil && d < 0:
		return 0, fmt.Errorf("%q must not be negative", s)
	case err == nil && d > maxRun:
		return 0, fmt.Errorf("%q is too long; at most %v", s, maxRun)
	case err != nil:
		return 0, fmt.Errorf("%q is no duration; write one such as 250ms, 6s or 1m30s", s)
	}
	return d, nil
}

// parseSpan reads "20ms..80ms" or "20ms".
func parseSpan(s string) (span, error) {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		to = from
	}
	a, err := parseDuration(from)
	if err != nil {
		return span{}, err
	}
	b, err := parseDuration(to)
	if err != nil {
		return span{}, err
	}
	if b < a {
		return span{}, fmt.Errorf("%q ends before it begins", s)
	}
	return span{a, b}, nil
}

// parseRate reads "2%" or "0.02".
func parseRate(s string) (float64, error) {
	text, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(text, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%q is no rate; write one such as 2%%", s)
	}
	return v, nil
}

// parseCPU reads "500m" or "2" into thousandths of a core.
func parseCPU(s string) (int64, error) {
	text, milli := strings.CutSuffix(s, "m")
	v, err := strconv.ParseFloat(text, 64)
	if !milli {
		v *= 1000
	}
	if err != nil || !(v >= 0 && v <= 1e9) {
		return 0, fmt.Errorf("%q is no amount of CPU; write one such as 500m or 2", s)
	}
	return int64(v), nil
}

var byteUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}}

// parseBytes reads "256MiB", "4GiB" or a plain number.
func parseBytes(s string) (int64, error) {
	text, factor := s, int64(1)
	for _, u := range byteUnits {
		if t, ok := strings.CutSuffix(s, u.suffix); ok {
			text, factor = t, u.factor
			break
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v*float64(factor) <= 1<<50) {
		return 0, fmt.Errorf("%q is no amount of memory; write one such as 256MiB or 4GiB", s)
	}
	return int64(v * float64(factor)), nil
}

// parseGPUs reads a share of one GPU, "0.5", or so many whole ones, as thousandths.
func parseGPUs(s string) (int64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= job.MaxGPUs) || v > 1 && v != math.Trunc(v) {
		return 0, fmt.Errorf("%q is no number of GPUs; write a share of one such as 0.5, or 0 to %d whole ones", s, job.MaxGPUs)
	}
	return int64(math.Round(v * job.WholeGPU)), nil
}

// optionKinds says how the value of each option of a verb is read; an option
// means the same wherever it stands.
var optionKinds = map[string]func(string) error{
	"replicas": isCopies, "token": isInt, "code": isInt, "count": isInt, "after": isInt, "stores": isInt, "exit": isInt,
	"attempts": isInt, "priority": isInt, "parallelism": isInt, "restarts": isInt, "least": isInt, "revision": isInt,
	"cpu":     func(s string) error { _, err := parseCPU(s); return err },
	"gpus":    func(s string) error { _, err := parseGPUs(s); return err },
	"mem":     func(s string) error { _, err := parseBytes(s); return err },
	"free":    func(s string) error { _, err := parseBytes(s); return err },
	"fill":    func(s string) error { _, err := parseBytes(s); return err },
	"records": isCount, "life": isInt, "p": isRate,
	"sync":   func(s string) error { _, err := parseSpan(s); return err },
	"create": isPace, "start": isPace, "op": oneOf("create", "start", "stop", "remove"),
	"torn": oneOf("", "yes"), "log": oneOf("yes"), "links": oneOf("die"), "live": oneOf("yes", "no"), "starts": oneOf("no", "never"),
	"child":   oneOf("", "yes"),
	"stopped": oneOf("", "yes"),
	"for":     isDuration, "deadline": isDuration, "lasts": isDuration, "failover": isFailover, "within": isDuration, "monitor": isDuration,
	"by": isShift, "drift": func(s string) error { _, err := parseDrift(s); return err },
	"at": isRef, "from": isRef, "to": isRef, "not": isRef, "is": isRef, "on": isMessageOrRef,
	"loss": isRate, "dup": isRate, "part": isRate,
	"delay": isSpan, "pull": isSpan,
	"type": oneOf("service", "batch", "system"), "onreturn": oneOf("incumbent", "newest"), "inisland": oneOf("heal", "wait"),
	"health": oneOf("ok", "bad"), "when": oneOf("before", "after"), "order": oneOf("stop-first", "start-first"),
	"failure": oneOf("pause", "rollback"), "policy": oneOf("spread", "pack"), "fails": oneOf("", "yes", "no"),
	"image": isText, "volume": isText, "constraint": isText, "job": isText, "first": isText, "disk": isText,
	"label": isText, "datacenter": isText, "profile": oneOf("lan", "metered", "small"), "stuck": oneOf("", "yes"),
	"version": isText, "volumes": oneOf("", "yes"), "undo": oneOf("", "yes"), "down": oneOf("", "yes"), "depends": isText,
	"near": isText, "apart": isText, "spread": isText, "where": isConstraint, "later": isLaterField, "field": isLaterField,
}

// CheckValue reports why an option of a scenario cannot have a value, as Parse would.
func CheckValue(option, value string) error {
	kind := optionKinds[option]
	if kind == nil {
		return fmt.Errorf("there is no option %s=", option)
	}
	return kind(value)
}

func isText(s string) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	return nil
}

func isInt(s string) error {
	if _, err := strconv.Atoi(strings.TrimPrefix(s, ">=")); err != nil {
		return fmt.Errorf("%q is no number", s)
	}
	return nil
}

// isCopies accepts the numbers of copies that a task may have.
func isCopies(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 0 || n > job.MaxCount {
		return fmt.Errorf("%q is no number of copies from 0 to %d", s, job.MaxCount)
	}
	return nil
}

// isCount accepts the numbers of records that a disk could have.
func isCount(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("%q is no number from 1 to 1000000", s)
	}
	return nil
}

func isPace(s string) error { _, err := parsePace(s); return err }

func isSpan(s string) error       { _, err := parseSpan(s); return err }
func isConstraint(s string) error { _, err := job.ParseConstraint(s); return err }

func isRate(s string) error { _, err := parseRate(s); return err }

func isDuration(s string) error { _, err := parseDuration(s); return err }

// isShift reads what "by" means in clockjump; in held it is a peer.
func isShift(s string) error {
	_, err := parseShift(s)
	if err == nil || strings.ContainsAny(s[:min(1, len(s))], "+-0123456789") {
		return err
	}
	return isRef(s)
}

// parseShift reads "10y", "-10y", "90s".
func parseShift(s string) (time.Duration, error) {
	if years, ok := strings.CutSuffix(s, "y"); ok {
		n, err := strconv.Atoi(years)
		if err != nil || n < -200 || n > 200 {
			return 0, fmt.Errorf("%q is no number of years from -200y to 200y", s)
		}
		return time.Duration(n) * 365 * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no shift of a clock; write one such as -10y or 90s", s)
	}
	return d, nil
}

// maxDrift is by how many millionths a clock may be fast or slow; quartz stays below
// 200, what a virtual machine shows below 500.
const maxDrift = 10_000

func parseDrift(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < -maxDrift || n > maxDrift {
		return 0, fmt.Errorf("%q is no drift; write millionths from -%d to %d", s, maxDrift, maxDrift)
	}
	return n, nil
}

func isFailover(s string) error {
	if s == "never" {
		return nil
	}
	return isDuration(s)
}

func isMessage(s string) error {
	for _, name := range messageNames {
		if name == s {
			return nil
		}
	}
	return fmt.Errorf("%q is no kind of message; one such as award, reply, call, delta is", s)
}

// isMessageOrRef reads what "on" means: to crash a message, to running a peer.
func isMessageOrRef(s string) error {
	if isRef(s) == nil {
		return nil
	}
	return isMessage(s)
}

func isRef(s string) error { _, err := parseRef(s); return err }

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		for _, v := range values {
			if v == s {
				return nil
			}
		}
		return fmt.Errorf("is none of %s", strings.Trim(strings.Join(values, ", "), ", "))
	}
}
