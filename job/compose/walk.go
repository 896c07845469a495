package compose

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"shoal/job"
)

// Bounds on a tree with aliases in it, which can be far larger than its text.
const (
	maxVisits = 100_000
	maxDepth  = 64
)

// walk judges every key of every file by treatments, before anything is interpreted.
func (l *load) walk() error {
	for _, src := range l.files {
		w := &walker{load: l, src: src}
		for _, doc := range src.docs {
			if err := w.mapping(doc.Content[0], "", "", 0); err != nil {
				return err
			}
			w.unset(doc, 0)
		}
	}
	return l.refused()
}

// A walker goes through one file. A path is what people read, "services.web.ports[0]";
// a pattern is its kind, "services.*.ports.[]".
type walker struct {
	*load
	src    *source
	visits int
}

func (w *walker) fail(node *yaml.Node, path, format string, args ...any) error {
	return &Error{File: w.src.name, Line: node.Line, Field: path, Text: fmt.Sprintf(format, args...)}
}

// node visits a value: what is below a mapped key.
func (w *walker) node(node *yaml.Node, path, pattern string, depth int) error {
	node = target(node)
	switch node.Kind {
	case yaml.MappingNode:
		return w.mapping(node, path, pattern, depth)
	case yaml.SequenceNode:
		for i, item := range node.Content {
			child := fmt.Sprintf("%s[%d]", path, i)
			w.places[child] = place{w.src.name, item.Line}
			if err := w.node(item, child, pattern+".[]", depth+1); err != nil {
				return err
			}
		}
	default: // a scalar: target has followed the aliases
	}
	w.scalars[path] = node.Value
	return w.bounded(node, path, depth)
}

func (w *walker) bounded(node *yaml.Node, path string, depth int) error {
	if w.visits++; w.visits > maxVisits || depth > maxDepth {
		return w.fail(node, path, "is nested too deeply or repeats too much through aliases")
	}
	return nil
}

func (w *walker) mapping(node *yaml.Node, path, pattern string, depth int) error {
	if err := w.bounded(node, path, depth); err != nil {
		return err
	}
	// What is merged in first, so that the mapping's own keys give the places.
	for i := 0; i+1 < len(node.Content); i += 2 {
		if isMerge(node.Content[i]) {
			if err := w.merged(node.Content[i+1], path, pattern, depth); err != nil {
				return err
			}
		}
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := target(node.Content[i]), node.Content[i+1]
		if isMerge(node.Content[i]) {
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return w.fail(key, path, "a key must be a word")
		}
		if line, ok := lines[key.Value]; ok {
			return w.fail(key, join(path, key.Value), "stands twice, here and on line %d; remove one", line)
		}
		lines[key.Value] = key.Line
		if err := w.key(node.Content[i], key, value, path, pattern, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) merged(value *yaml.Node, path, pattern string, depth int) error {
	value = target(value)
	switch value.Kind {
	case yaml.MappingNode:
		return w.mapping(value, path, pattern, depth+1)
	case yaml.SequenceNode:
		for _, item := range value.Content {
			if target(item).Kind != yaml.MappingNode {
				return w.fail(item, path, "<< merges mappings only")
			}
			if err := w.mapping(target(item), path, pattern, depth+1); err != nil {
				return err
			}
		}
		return nil
	default:
		return w.fail(value, path, "<< merges mappings only")
	}
}

// key decides about one key.
func (w *walker) key(raw, key, value *yaml.Node, path, pattern string, depth int) error {
	child := join(path, key.Value)
	w.places[child] = place{w.src.name, key.Line}
	if pattern == "services" && !strings.HasPrefix(key.Value, "x-") {
		if err := job.CheckName(key.Value); err != nil {
			w.refuse(child, "%v", err)
			w.src.drop[raw] = true
			return nil
		}
	}
	kind, known := kindOf(pattern, key.Value)
	if !known {
		if strings.HasPrefix(key.Value, "x-") && key.Value != "x-shoal" {
			return nil // an extension: by its name for someone else
		}
		w.src.drop[raw] = true
		w.warn(child, "%s", unknownKey(pattern, key.Value))
		return nil
	}
	switch t := treatments[kind]; t.how {
	case descend:
		return w.node(value, child, kind, depth+1)
	case whole:
		return w.inner(value, child, depth+1)
	case harmless:
		if kind == "version" {
			w.src.drop[raw] = true
		}
	case refuse:
		w.refuse(child, "%s", t.text)
	default:
		text := t.text
		if text == "" {
			text = "is not supported and has no effect; remove it"
		}
		w.warn(child, "%s", text)
	}
	return nil
}

// inner records the places below a key that is mapped as a whole.
func (w *walker) inner(node *yaml.Node, path string, depth int) error {
	node = target(node)
	if err := w.bounded(node, path, depth); err != nil {
		return err
	}
	if node.Kind == yaml.ScalarNode {
		w.scalars[path] = node.Value
	}
	seen := map[string]int{}
	for i, item := range node.Content {
		child := fmt.Sprintf("%s[%d]", path, i)
		if node.Kind == yaml.MappingNode {
			if i%2 == 0 {
				if line, ok := seen[item.Value]; ok && !isMerge(item) {
					return w.fail(item, join(path, item.Value), "stands twice, here and on line %d; remove one", line)
				}
				seen[item.Value] = item.Line
				continue
			}
			child = join(path, node.Content[i-1].Value)
		}
		w.places[child] = place{w.src.name, item.Line}
		if err := w.inner(item, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// plainVariable is a reference without a default: "$NAME" or "${NAME}"; "$$" is a dollar.
var plainVariable = regexp.MustCompile(`\$\$|\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// unset warns of variables that have no value: Compose takes them as empty.
func (w *walker) unset(node *yaml.Node, depth int) {
	if depth > maxDepth {
		return
	}
	if node.Kind == yaml.ScalarNode {
		for _, m := range plainVariable.FindAllStringSubmatch(node.Value, -1) {
			name := m[1] + m[2]
			if _, ok := w.env[name]; name != "" && name != "COMPOSE_PROJECT_NAME" && !ok {
				w.warnings = append(w.warnings, Warning{File: w.src.name, Line: node.Line, Field: "variable " + name,
					Text: "is not set and is taken as empty; set it in the environment or in .env"})
			}
		}
	}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			continue // keys are not interpolated
		}
		w.unset(child, depth+1)
	}
}

// target follows an alias.
func target(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return node.Alias
	}
	return node
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && (key.Tag == "!!merge" || key.Tag == "" || key.Tag == "!!str" && key.Style == 0)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
