package job

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// A Constraint is what a peer's labels and facts must say for the peer to be
// eligible. It has one operator, and compares equal to another that asks the same.
type Constraint struct {
	Label string
	Op    string // one of Operators; "": it has the label, whatever its value; "!": it has not
	Value string // "kitchen", "4GiB", "(kitchen, attic)", "^k"; empty for the two without operator
}

// Operators are those that stand between a label and a value. "<" and its like
// compare whole numbers, sizes (4GiB; units as in Compose, so GB is GiB) and
// versions (6.1); "=~" looks for an RE2 expression anywhere in the label's value.
var Operators = []string{"==", "!=", "<", "<=", ">", ">=", "in", "not in", "=~"}

// Bounds of a constraint, so that a bad file costs a peer nothing to speak of.
const (
	MaxConstraints = 64  // of one task
	MaxLabelValue  = 128 // bytes of a label's value, or of an expression, in a constraint
	maxConstraint  = 1024
	maxListed      = 32  // values after "in"
	maxExpression  = 200 // instructions of a compiled expression
)

// Match reports whether a peer with these labels is eligible.
func (c Constraint) Match(labels map[string]string) bool {
	return c.MatchFunc(func(label string) (string, bool) { v, has := labels[label]; return v, has })
}

// MatchFunc reports whether a peer is eligible of which value tells the labels, and
// whether it has them. A peer without the label meets "!=", "not in" and "!" and
// nothing else; a value that is no number is neither less nor greater than one.
func (c Constraint) MatchFunc(value func(label string) (string, bool)) bool {
	has, ok := value(c.Label)
	if !ok {
		return c.Op == "!=" || c.Op == "not in" || c.Op == "!"
	}
	switch c.Op {
	case "":
		return true
	case "==":
		return c.same(has, c.Value)
	case "!=":
		return !c.same(has, c.Value)
	case "in", "not in":
		return slices.ContainsFunc(listed(c.Value), func(v string) bool { return c.same(has, v) }) == (c.Op == "in")
	case "=~":
		re, err := compile(c.Value)
		return err == nil && re.MatchString(has)
	case "<", "<=", ">", ">=":
		d, ok := compareAmounts(has, c.Value)
		return ok && (d < 0 && c.Op[0] == '<' || d > 0 && c.Op[0] == '>' || d == 0 && len(c.Op) == 2)
	}
	return false // "!"
}

// same compares a label's value with one of the constraint's: as texts, but sizes by
// what they come to and architectures under any of their names.
func (c Constraint) same(has, want string) bool {
	if has == want || c.Label == "arch" && CommonArch(has) == CommonArch(want) {
		return true
	}
	a, isSize := parseSize(has)
	b, isToo := parseSize(want)
	return isSize && isToo && a == b
}

// String prints the constraint as ParseConstraint reads it.
func (c Constraint) String() string {
	switch c.Op {
	case "", "!":
		return c.Op + c.Label
	}
	return c.Label + " " + c.Op + " " + c.Value
}

// ParseConstraint reads "label", "!label", "label == value", "label >= 4GiB",
// "label in (a, b)", "label =~ expression" and their like, see Operators; a label may
// be written as Swarm writes it, "node.labels.zone". The error is one sentence that
// names a form which would be right.
func ParseConstraint(text string) (Constraint, error) {
	if len(text) > maxConstraint {
		return Constraint{}, fmt.Errorf("%s has %d bytes, at most %d are allowed", quote(text), len(text), maxConstraint)
	}
	rest := strings.TrimSpace(text)
	c := Constraint{}
	if strings.HasPrefix(rest, "!") && !strings.HasPrefix(rest, "!=") {
		c.Op, rest = "!", strings.TrimSpace(rest[1:])
	}
	c.Label, rest = cutLabel(rest)
	if rest != "" && c.Op == "" {
		c.Op, c.Value = cutOperator(rest)
	} else if rest != "" {
		c.Label = strings.TrimSpace(c.Label + " " + rest) // "!a b", for the error below
	}
	if !slices.Contains(Operators, c.Op) && c.Op != "" && c.Op != "!" {
		return Constraint{}, fmt.Errorf("%s: operator %s is not known; those that are: %s (\"%s == value\"), or a label alone, which must be there",
			quote(text), quote(c.Op), strings.Join(Operators, ", "), cmp.Or(c.Label, "label"))
	}
	if c.Op == "" && c.Value != "" {
		c.Label = strings.TrimSpace(c.Label + " " + c.Value) // "a b", for the error below
	}
	return c.checked(text)
}

// checked is the constraint in its one form, or what is wrong with it.
func (c Constraint) checked(text string) (Constraint, error) {
	var ok bool
	if c.Label, ok = labelOf(c.Label); !ok {
		return Constraint{}, fmt.Errorf("%s is not a label of a peer; label the peer (shoal peers label) and write node.labels.NAME == VALUE", quote(c.Label))
	}
	if !isLabelName(c.Label) {
		return Constraint{}, fmt.Errorf("%s: %s is no label name; write \"label\", \"label == value\" or \"label != value\"", quote(text), quote(c.Label))
	}
	var err error
	c.Value, err = checkValue(c)
	if err != nil {
		return Constraint{}, fmt.Errorf("%s: %w", quote(text), err)
	}
	return c, nil
}

// swarmNames are what Swarm calls facts of a node.
var swarmNames = map[string]string{
	"node.id": "id", "node.hostname": "name", "node.platform.os": "os", "node.platform.arch": "arch",
}

// checkValue returns the value in its one form.
func checkValue(c Constraint) (string, error) {
	switch c.Op {
	case "", "!":
		return "", nil
	case "in", "not in":
		return checkList(c)
	case "=~":
		if _, err := compile(c.Value); err != nil {
			return "", fmt.Errorf("%w; write one such as %s =~ ^kitchen", err, c.Label)
		}
		return c.Value, nil
	case "<", "<=", ">", ">=":
		if _, ok := compareAmounts(c.Value, c.Value); !ok || !isLabelValue(c.Value) {
			return "", fmt.Errorf("%s is no number; write a whole number, a size such as 4GiB or a version such as 6.1", quote(c.Value))
		}
		return c.Value, nil
	}
	if !isLabelValue(c.Value) {
		return "", fmt.Errorf("%s is no label value (1 to %d visible characters); write \"label %s value\"", quote(c.Value), MaxLabelValue, c.Op)
	}
	return c.Value, nil
}

func checkList(c Constraint) (string, error) {
	inner, opens := strings.CutPrefix(c.Value, "(")
	inner, closes := strings.CutSuffix(inner, ")")
	if !opens || !closes {
		return "", fmt.Errorf("what follows %s is a list; write \"%s %s (a, b)\"", c.Op, c.Label, c.Op)
	}
	values := strings.Split(inner, ",")
	if len(values) > maxListed {
		return "", fmt.Errorf("%d values are too many, at most %d are allowed", len(values), maxListed)
	}
	for i, v := range values {
		if values[i] = strings.TrimSpace(v); !isLabelValue(values[i]) || strings.ContainsAny(values[i], "()") {
			return "", fmt.Errorf("%s is no label value (1 to %d visible characters, no brackets); write \"%s %s (a, b)\"", quote(values[i]), MaxLabelValue, c.Label, c.Op)
		}
	}
	return "(" + strings.Join(values, ", ") + ")", nil
}

// listed returns the values of a list in its one form.
func listed(value string) []string {
	return strings.Split(strings.TrimSuffix(strings.TrimPrefix(value, "("), ")"), ", ")
}

// compile reads an expression (RE2: it matches in linear time), of bounded size.
func compile(expr string) (*regexp.Regexp, error) {
	if expr == "" || len(expr) > MaxLabelValue || !isPlain(expr) {
		return nil, fmt.Errorf("%s is no expression of 1 to %d characters", quote(expr), MaxLabelValue)
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%s is no regular expression (%s)", quote(expr), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil || len(prog.Inst) > maxExpression {
		return nil, fmt.Errorf("%s repeats too much: it comes to over %d steps", quote(expr), maxExpression)
	}
	return regexp.Compile(expr)
}

// cutLabel splits off what can be a label's name.
func cutLabel(s string) (label, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool { return r > 0x7f || !isAlnum(byte(r)) && !strings.ContainsRune("._-/", r) })
	if end < 0 {
		return s, ""
	}
	return s[:end], strings.TrimSpace(s[end:])
}

// operatorWords are what people write between a label and a value, and is none.
var operatorWords = []string{"notin", "is", "like", "matches", "contains", "version", "semver", "has"}

// cutOperator splits what follows a label. An empty op: there is none, and value is
// all of it.
func cutOperator(s string) (op, value string) {
	symbols := s[:len(s)-len(strings.TrimLeft(s, "<>=~!&|"))]
	if strings.HasPrefix(symbols, "=~") {
		symbols = "=~"
	}
	if symbols != "" {
		return symbols, strings.TrimSpace(s[len(symbols):])
	}
	word, rest := cutWord(s)
	switch strings.ToLower(word) {
	case "in":
		return "in", rest
	case "not":
		if second, after := cutWord(rest); strings.EqualFold(second, "in") {
			return "not in", after
		}
	}
	if rest != "" && slices.Contains(operatorWords, strings.ToLower(word)) {
		return word, rest
	}
	return "", s
}

// cutWord splits off the letters that a text begins with.
func cutWord(s string) (word, rest string) {
	rest = strings.TrimLeftFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
	return s[:len(s)-len(rest)], strings.TrimSpace(rest)
}

// isLabelName allows what Docker and people use: letters, digits, '.', '_', '-'
// and '/', beginning with a letter or digit.
func isLabelName(s string) bool {
	return 0 < len(s) && len(s) <= MaxLabelValue && isAlnum(s[0]) && onlyBytes(s, "._-/")
}

func isLabelValue(s string) bool {
	return 0 < len(s) && len(s) <= MaxLabelValue && isVisible(s) && !strings.Contains(s, "=")
}
