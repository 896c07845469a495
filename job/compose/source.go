package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v4"

	"shoal/internal/plain"
)

// A source is one Compose file: its bytes and its YAML trees, one per document.
type source struct {
	name string
	data []byte
	docs []*yaml.Node
	drop map[*yaml.Node]bool // keys that compose-go must not see
}

// A place is where a key or an item stands.
type place struct {
	file string
	line int
}

// read fetches and parses the files.
func (l *load) read() error {
	if l.opts.Data != nil {
		name := l.opts.DataName
		if name == "" {
			name = "compose.yaml"
		}
		l.files = []*source{{name: name, data: l.opts.Data}}
	}
	for _, name := range l.opts.Files {
		if l.opts.Data != nil {
			break
		}
		data, err := plain.Read(name, "a Compose file", maxFileBytes)
		if err != nil {
			return err
		}
		l.files = append(l.files, &source{name: name, data: data})
	}
	if len(l.files) == 0 {
		return &Error{Text: "no Compose file given"}
	}
	if err := l.findDir(); err != nil {
		return err
	}
	for _, src := range l.files {
		if err := src.parse(); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) findDir() error {
	dir := l.opts.WorkingDir
	if dir == "" && l.opts.Data == nil {
		dir = filepath.Dir(l.opts.Files[0])
	}
	if dir == "" {
		return nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("working directory %s: %w", dir, err)
	}
	l.dir = abs
	return nil
}

func (s *source) parse() error {
	s.drop = map[*yaml.Node]bool{}
	if len(s.data) > maxFileBytes {
		return &Error{File: s.name, Text: fmt.Sprintf("is larger than %d bytes, which no Compose file should be", maxFileBytes)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(s.data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s.syntaxError(err)
		}
		if len(doc.Content) != 1 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null" {
			continue // an empty document
		}
		if doc.Content[0].Kind != yaml.MappingNode {
			return &Error{File: s.name, Line: doc.Content[0].Line, Text: "is no Compose file: it must be a mapping that begins with a key such as services:"}
		}
		s.docs = append(s.docs, &doc)
	}
	if len(s.docs) == 0 {
		return &Error{File: s.name, Text: "is empty; a Compose file has at least services: with one service"}
	}
	return nil
}

// yamlError is how the YAML library words its errors.
var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:construct errors: )?(?:line (\d+)(?:, column \d+)?: )?((?s).*)$`)

func (s *source) syntaxError(err error) error {
	m := yamlError.FindStringSubmatch(oneSentence(err))
	line, _ := strconv.Atoi(m[1])
	line = min(line, 1+bytes.Count(bytes.TrimRight(s.data, "\n"), []byte("\n"))) // its end is beyond the last line
	return &Error{File: s.name, Line: line, Text: "is not valid YAML: " + m[2] + "; check indentation, quotes and brackets"}
}

// top returns the scalar under a key at the top level.
func (s *source) top(key string) (string, bool) {
	for _, doc := range s.docs {
		root := doc.Content[0]
		for i := 0; i+1 < len(root.Content); i += 2 {
			if value := root.Content[i+1]; root.Content[i].Value == key && value.Kind == yaml.ScalarNode && value.Value != "" {
				return value.Value, true
			}
		}
	}
	return "", false
}

// pruned returns the file without the keys the walk dropped: the very bytes if there
// are none.
func (s *source) pruned() ([]byte, error) {
	if len(s.drop) == 0 {
		return s.data, nil
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	for _, doc := range s.docs {
		s.prune(doc, map[*yaml.Node]bool{})
		if err := encoder.Encode(doc); err != nil {
			return nil, err
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (s *source) prune(node *yaml.Node, seen map[*yaml.Node]bool) {
	if seen[node] {
		return
	}
	seen[node] = true
	if node.Kind == yaml.MappingNode {
		kept := node.Content[:0:0]
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !s.drop[node.Content[i]] {
				kept = append(kept, node.Content[i], node.Content[i+1])
			}
		}
		node.Content = kept
	}
	for _, child := range node.Content {
		s.prune(child, seen)
	}
}
