package sim

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// NamePeers writes the machines in a text, "n3", as people call them: names in the
// order of the machines. Only whole words are replaced, so that a file n3.yaml or a job
// n3/web keeps its name.
func NamePeers(text string, names []string) string {
	if len(names) == 0 {
		return text
	}
	var b strings.Builder
	for from := 0; from < len(text); {
		at := machineName.FindStringSubmatchIndex(text[from:])
		if at == nil {
			b.WriteString(text[from:])
			break
		}
		begin, end := from+at[0], from+at[1]
		word := text[begin:end]
		if n, err := strconv.Atoi(word[1:]); err == nil && n <= len(names) && alone(text, begin, end) {
			word = names[n-1]
		}
		b.WriteString(text[from:begin])
		b.WriteString(word)
		from = end
	}
	return b.String()
}

// alone reports whether text[begin:end] is no part of a longer name. A dot or a dash
// behind it belongs to one only if more follows at once.
func alone(text string, begin, end int) bool {
	if begin > 0 && strings.ContainsRune("/-_", rune(text[begin-1])) || begin > 1 && text[begin-1] == '.' && text[begin-2] != '.' {
		return false
	}
	rest := text[end:]
	if rest == "" || strings.HasPrefix(rest, "..") || !strings.ContainsRune("/-_.", rune(rest[0])) {
		return true
	}
	return len(rest) == 1 || rest[0] == '.' && strings.ContainsRune(" \n)", rune(rest[1]))
}

// CheckPeer reports why nobody can be such a peer in a run with these options: "n3" or
// what one is at some time, "holder(web.0)".
func (s *Scenario) CheckPeer(text string, o Options) error {
	r, err := parseRef(text)
	switch {
	case err != nil:
		return err
	case r.kind == "any":
		return fmt.Errorf("%s names no single peer", text)
	}
	p := &parser{name: s.Name, s: s}
	switch r.kind {
	case "n":
		n := s.PeerCount(o.Peers)
		for i := range s.Ops {
			if s.Ops[i].Verb == "join" {
				n++
			}
		}
		if r.n >= n {
			return fmt.Errorf("there is no %s; name one from n1 to n%d", text, n)
		}
	case "holder":
		return p.slotExists("", r.slot)
	default:
		if !p.submits(r.job) {
			return fmt.Errorf("no line submits the job %s", r.job.Name())
		}
	}
	return nil
}

// plainWord is what a shell takes for one word as it stands.
var plainWord = regexp.MustCompile(`^[\pL\pN_./:@%+,-]+$`)

// Quote writes a text so that a shell reads it as one word, which no command takes for
// a flag.
func Quote(text string) string {
	if strings.HasPrefix(text, "-") {
		text = "./" + text
	}
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
