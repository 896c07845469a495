package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Constraint is what a peer's labels must say for the peer to be eligible.
type Constraint struct {
	Label string
	Op    string // "==", "!=", or "" for "has the label, whatever its value"
	Value string // empty when Op is
}

// Match reports whether a peer with these labels is eligible. A peer without the
// label meets "!=" and nothing else.
func (c Constraint) Match(labels map[string]string) bool {
	value, has := labels[c.Label]
	switch c.Op {
	case "==":
		return has && value == c.Value
	case "!=":
		return !has || value != c.Value
	default:
		return has
	}
}

// String prints the constraint as ParseConstraint reads it.
func (c Constraint) String() string {
	if c.Op == "" {
		return c.Label
	}
	return c.Label + " " + c.Op + " " + c.Value
}

// ParseConstraint reads "label", "label == value" and "label != value"; a label
// may be written as Swarm writes it, "node.labels.zone". The error is one
// sentence that names a form which would be right.
func ParseConstraint(text string) (Constraint, error) {
	c := Constraint{Label: strings.TrimSpace(text)}
	for _, op := range []string{"==", "!="} {
		if label, value, ok := strings.Cut(text, op); ok {
			c = Constraint{Label: strings.TrimSpace(label), Op: op, Value: strings.TrimSpace(value)}
			break
		}
	}
	if at, op := otherOperator(c.Label); c.Op == "" && op != "" {
		return Constraint{}, fmt.Errorf("%s: operator %s is not known; those that are: ==, != (\"%s == value\"), or a label alone, which must be there",
			quote(text), quote(op), cmp.Or(strings.TrimSpace(c.Label[:at]), "label"))
	}
	if label, ok := strings.CutPrefix(c.Label, "node.labels."); ok {
		c.Label = label
	} else if strings.HasPrefix(c.Label, "node.") || strings.HasPrefix(c.Label, "engine.") {
		return Constraint{}, fmt.Errorf("%s is not a label of a peer; label the peer (shoal peers label) and write node.labels.NAME == VALUE", quote(c.Label))
	}
	if !isLabelName(c.Label) {
		return Constraint{}, fmt.Errorf("%s: %s is no label name; write \"label\", \"label == value\" or \"label != value\"", quote(text), quote(c.Label))
	}
	if c.Op != "" && !isLabelValue(c.Value) {
		return Constraint{}, fmt.Errorf("%s: %s is no label value (1 to %d visible characters); write \"label %s value\"", quote(text), quote(c.Value), MaxLabelValue, c.Op)
	}
	return c, nil
}

// operatorWords are what people write between a label and a value.
var operatorWords = []string{"in", "notin", "is", "like", "matches", "contains", "version", "semver"}

// otherOperator finds what stands where an operator should and is none: at is where it
// begins. An empty op: there is nothing of the kind.
func otherOperator(text string) (at int, op string) {
	if at = strings.IndexAny(text, "<>=~!&|"); at >= 0 {
		rest := strings.TrimLeft(text[at:], "<>=~!&|")
		return at, text[at : len(text)-len(rest)]
	}
	words := strings.Fields(text)
	if len(words) > 2 && slices.Contains(operatorWords, strings.ToLower(words[1])) {
		return len(words[0]), words[1]
	}
	return 0, ""
}

// MaxLabelValue is the greatest length in bytes of a label's value in a constraint.
const MaxLabelValue = 128

// isLabelName allows what Docker and people use: letters, digits, '.', '_', '-'
// and '/', beginning with a letter or digit.
func isLabelName(s string) bool {
	return 0 < len(s) && len(s) <= MaxLabelValue && isAlnum(s[0]) && onlyBytes(s, "._-/")
}

func isLabelValue(s string) bool {
	return 0 < len(s) && len(s) <= MaxLabelValue && isVisible(s) && !strings.Contains(s, "=")
}
