package job

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxQuoted is how much of a foreign text an error repeats, in bytes.
const maxQuoted = 80

// quote prints a text that came from outside: escaped, and cut if it is long.
func quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return strconv.Quote(s)
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// onlyBytes reports whether s consists of ASCII letters, digits and the extras.
func onlyBytes(s, extra string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte(extra, s[i]) < 0 {
			return false
		}
	}
	return true
}

// imageName is what engines take for an image: registry, path, tag, digest, as the
// distribution project's reference grammar has it.
var imageName = regexp.MustCompile(`^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?` + // registry
	`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*` + // path
	`(?::\w[\w.-]{0,127})?(?:@[a-zA-Z][a-zA-Z0-9]*(?:[-_+.][a-zA-Z][a-zA-Z0-9]*)*:[0-9a-fA-F]{32,})?$`)

// checkImage says what is wrong with an image's name; empty: nothing.
func checkImage(s string) string {
	switch {
	case s == "":
		return "is empty; name one, such as nginx:1.29"
	case len(s) <= 512 && imageName.MatchString(s):
		return ""
	}
	name, tag := s, ""
	if i := strings.LastIndexAny(s, ":/"); i > 0 && s[i] == ':' {
		name, tag = s[:i], s[i:]
	}
	if lower := strings.ToLower(name) + tag; len(s) <= maxQuoted && imageName.MatchString(lower) {
		return fmt.Sprintf("%s is no image name: only its tag may have capitals; write %s", quote(s), lower)
	}
	return quote(s) + " is no image name; write one such as nginx:1.29"
}

// isVisible reports whether s is valid UTF-8 without blanks and controls.
func isVisible(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r)
	})
}

// isPlain reports whether s can go into a C string: valid UTF-8 without NUL.
// Line breaks are allowed, for certificates and scripts in variables.
func isPlain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// isAbsolute reports whether s is a clean absolute path without controls, so that
// two spellings of one path compare equal.
func isAbsolute(s string) bool {
	return len(s) <= 4096 && strings.HasPrefix(s, "/") && path.Clean(s) == s && isPlain(s) &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

// isHostname accepts names of hosts as resolvers do: labels of letters, digits,
// '-' and '_', joined by dots.
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || len(part) > 63 || !isAlnum(part[0]) || !onlyBytes(part, "-_") {
			return false
		}
	}
	return true
}
