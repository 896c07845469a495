// Package owner reads what a peer's owner says in its configuration file: what the
// machine keeps for itself, and what others may use it for. It decides nothing; the
// result is data for runtime/facts and auction.
package owner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"shoal/auction"
	"shoal/internal/plain"
	"shoal/job"
)

// A Config is what an owner says. The zero value keeps nothing back and accepts all
// but devices.
type Config struct {
	Reserve job.Resources // kept back for the machine itself
	Most    job.Resources // for slots in all; a part that is zero: as much as there is
	NoGPUs  bool          // slots get none
	Policy  auction.Policy
}

// Bounds of a file.
const (
	maxBytes    = 256 << 10
	maxItems    = 64 // of one list
	maxProblems = 10 // told at once
)

// A FileError is what is wrong with a file, one sentence each, with file, line and field.
type FileError []string

func (p FileError) Error() string { return strings.Join(p, "\n") }

// Read reads a configuration file. Its error is a sentence, or a FileError.
func Read(path string) (*Config, error) {
	data, err := plain.Read(path, "a peer's configuration, such as accept: {namespaces: [default]}", maxBytes)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads the text of a configuration file; name is for its errors. A file with
// nothing in it says nothing.
func Parse(name string, data []byte) (*Config, error) {
	r := &reader{file: name}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return &r.config, nil
	} else if err != nil {
		return nil, r.syntax(err, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n")))
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, FileError{name + ": holds more than one document; keep one"}
	}
	if len(doc.Content) == 1 && !isNull(doc.Content[0]) {
		r.mapping("", doc.Content[0], map[string]field{"reserve": r.reserve, "accept": r.accept})
	}
	if len(r.wrong) > 0 {
		return nil, r.wrong
	}
	return &r.config, nil
}

// A field reads the value of one key.
type field func(path string, n *yaml.Node)

// A reader walks a file and gathers what is wrong with it.
type reader struct {
	file   string
	config Config
	wrong  FileError
}

func (r *reader) fail(n *yaml.Node, path, format string, args ...any) {
	if len(r.wrong) < maxProblems {
		where := fmt.Sprintf("%s:%d: ", r.file, n.Line)
		if path != "" {
			where += path + ": "
		}
		r.wrong = append(r.wrong, where+fmt.Sprintf(format, args...))
	}
}

// yamlError is how the YAML library words its errors.
var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:construct errors: )?(?:line (\d+)(?:, column \d+)?: )?((?s).*)$`)

func (r *reader) syntax(err error, lines int) error {
	m := yamlError.FindStringSubmatch(strings.Join(strings.Fields(err.Error()), " "))
	where := r.file
	if line, err := strconv.Atoi(m[1]); err == nil {
		where += fmt.Sprintf(":%d", min(line, lines)) // its end is beyond the last line
	}
	return FileError{where + ": is not valid YAML: " + m[2] + "; check indentation, quotes and brackets"}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// mapping reads the keys of a mapping, each at most once and none but those given.
func (r *reader) mapping(path string, n *yaml.Node, fields map[string]field) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, path, "must be a mapping of %s", strings.Join(keys(fields), ", "))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		below := strings.TrimPrefix(path+"."+key, ".")
		read := fields[key]
		switch {
		case seen[key]:
			r.fail(n.Content[i], below, "is there twice; keep one")
		case read == nil:
			hint := "; the keys are " + strings.Join(keys(fields), ", ")
			if near := job.Near(key, keys(fields)); len(near) > 0 {
				hint = "; did you mean " + near[0] + "?"
			}
			r.fail(n.Content[i], clip(below), "is no key here%s", hint)
		case !isNull(n.Content[i+1]):
			read(below, n.Content[i+1])
		}
		seen[key] = true
	}
}

func keys(fields map[string]field) (names []string) {
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// clip keeps what is repeated of a file short and printable.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.Trim(strconv.Quote(s), `"`)
}

// word reads a scalar as it is written.
func (r *reader) word(path string, n *yaml.Node) (string, bool) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		r.fail(n, path, "must be one word")
		return "", false
	}
	return n.Value, true
}

// words reads a list of scalars, or one; each is given to take, which says what is
// wrong with it.
func (r *reader) words(take func(string) string) field {
	return func(path string, n *yaml.Node) {
		items := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		if len(items) > maxItems {
			r.fail(n, path, "has %d items, at most %d are allowed", len(items), maxItems)
			return
		}
		for _, item := range items {
			if text, ok := r.word(path, item); ok {
				if wrong := take(text); wrong != "" {
					r.fail(item, path, "%s", wrong)
				}
			}
		}
	}
}

// one reads a scalar with take.
func (r *reader) one(take func(string) string) field {
	return func(path string, n *yaml.Node) {
		if text, ok := r.word(path, n); ok {
			if wrong := take(text); wrong != "" {
				r.fail(n, path, "%s", wrong)
			}
		}
	}
}
