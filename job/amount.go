package job

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// compareAmounts compares two whole numbers, sizes or versions. A version is dotted
// numbers, with or without a "v" before and a suffix behind: "6.1.0-18-amd64", of
// which the suffix does not count. False: one of them is none of these.
func compareAmounts(a, b string) (int, bool) {
	x, isAmount := parseAmount(a)
	y, isToo := parseAmount(b)
	if isAmount && isToo {
		return cmp.Compare(x, y), true
	}
	return compareVersions(a, b)
}

// parseAmount reads a whole number, or a size in bytes.
func parseAmount(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	return parseSize(s)
}

// units are those of Compose: all are powers of two.
var units = map[string]int64{
	"k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "tib": 1 << 40,
}

// ParseSize reads a size with its unit, "512MiB", "1.5g"; units are as in Compose,
// all powers of two.
func ParseSize(s string) (bytes int64, ok bool) { return parseSize(s) }

func parseSize(s string) (int64, bool) {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end <= 0 {
		return 0, false
	}
	unit, ok := units[strings.ToLower(s[end:])]
	whole, fraction, dotted := strings.Cut(s[:end], ".")
	if !ok || whole == "" || dotted && (fraction == "" || len(fraction) > 3 || strings.Contains(fraction, ".")) {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n >= math.MaxInt64/unit {
		return 0, false
	}
	thousandths, _ := strconv.ParseInt((fraction + "000")[:3], 10, 64)
	return n*unit + thousandths*unit/1000, true
}

// compareVersions compares the dotted numbers that two texts begin with.
func compareVersions(a, b string) (int, bool) {
	x, okX := version(a)
	y, okY := version(b)
	if !okX || !okY {
		return 0, false
	}
	for i := range max(len(x), len(y)) {
		if d := cmp.Compare(at(x, i), at(y, i)); d != 0 {
			return d, true
		}
	}
	return 0, true
}

func at(list []int64, i int) int64 {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// version reads up to 8 dotted numbers of up to 15 digits; what follows must be set
// apart from them.
func version(s string) (parts []int64, ok bool) {
	s = strings.TrimPrefix(s, "v")
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 && !strings.ContainsRune("-+_~ ", rune(s[end])) {
		return nil, false
	}
	if end >= 0 {
		s = s[:end]
	}
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || len(part) > 15 || len(parts) == 8 {
			return nil, false
		}
		parts = append(parts, n)
	}
	return parts, true
}
