// Package compose reads Compose files, and the command line of `shoal run`, into a
// job.Spec.
//
// It promises that nothing in a file is ignored in silence. The YAML tree is walked
// before anything else: every key is either one that convert maps, or is named in a
// Warning with its file and line, or refuses the file (treatments, in keys.go). Only
// then compose-go merges, interpolates and types what is left. It reads the files it
// is given, and the env_file and label_file they name; it fetches nothing.
package compose

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"shoal/job"
)

// maxFileBytes is the greatest size of a Compose file. The largest we know of has 24
// services in 8 KiB.
const maxFileBytes = 1 << 20

// Options say what to read and how.
type Options struct {
	Files []string // read in order; later ones override earlier ones, as Compose does
	Data  []byte   // if not nil, read instead of Files, under the name DataName
	// DataName is how messages call Data; empty: "compose.yaml".
	DataName string

	Name      string            // of the job; empty: the file's name:, else its directory's
	Namespace string            // of the job; empty: the file's x-shoal.namespace, else "default"
	Profiles  []string          // active ones; empty: COMPOSE_PROFILES of the variables
	Env       map[string]string // variables for ${...}; nothing is taken from the process
	EnvFile   string            // further variables, weaker than Env; empty: .env in WorkingDir, if there is one
	Strict    bool              // any Warning that is not a Note becomes an error
	Reserved  []uint16          // ports that cannot be published, as the swarm's own

	// WorkingDir is what relative paths start from; empty: the directory of the first
	// of Files. With Data and no WorkingDir no other file is read, and a file that
	// needs one is refused.
	WorkingDir string
}

// A Warning is something in a file that has no effect, or not the one that was
// perhaps expected.
type Warning struct {
	N     int    `json:"n"` // from 1, in the order of the files
	File  string `json:"file"`
	Line  int    `json:"line"`
	Field string `json:"field"` // "services.web.networks"
	Text  string `json:"text"`
	Note  bool   `json:"note,omitempty"` // only for information: Strict lets it pass
}

func (w Warning) String() string {
	return fmt.Sprintf("warning %d: %s:%d: %s %s", w.N, w.File, w.Line, w.Field, w.Text)
}

// An Error is why a file is refused: one sentence with the place and the remedy.
type Error struct {
	File  string // empty: the command line
	Line  int    // 0: the file as a whole
	Field string // empty: the file as a whole
	Text  string
	More  int // further reasons, found on later lines
}

func (e *Error) Error() string {
	text := strings.TrimPrefix(e.Text, "is ") // "web.privileged: refused", but "web.networks is not supported"
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.File != "" && e.Line > 0 {
		text = fmt.Sprintf("%s:%d: %s", e.File, e.Line, text)
	} else if e.File != "" {
		text = e.File + ": " + text
	}
	if e.More > 0 {
		text += fmt.Sprintf(" (and %d more)", e.More)
	}
	return text
}

// Load reads Compose files into a Spec that has had Defaults and passes Validate. The
// warnings are complete and in order even when the error is not nil. The error is an
// *Error, or wraps one of the operating system's if a file cannot be read.
func Load(ctx context.Context, opts Options) (*job.Spec, []Warning, error) {
	l := &load{opts: opts, places: map[string]place{}, items: map[string]string{}, scalars: map[string]string{}}
	spec, err := l.run(ctx)
	l.sortWarnings()
	if strict := l.strict(); strict != nil {
		err = strict // first, as a misspelt key is often the cause of the other error
	}
	if err != nil {
		return nil, l.warnings, err
	}
	return spec, l.warnings, nil
}

// A load is one run of Load.
type load struct {
	opts   Options
	dir    string // absolute, or empty if no other file may be read
	env    types.Mapping
	files  []*source
	places map[string]place // of each key, by its path; the last file's

	// scalars are the words as written, by path; they serve to find lines again.
	scalars map[string]string
	items   map[string]string // path of a list and an entry's port or target → path of the entry

	warnings []Warning
	refusals []*Error
}

func (l *load) run(ctx context.Context) (*job.Spec, error) {
	for _, step := range []func() error{l.read, l.variables, l.walk} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	name, err := l.name()
	if err != nil {
		return nil, err
	}
	project, err := l.project(ctx, name)
	if err != nil {
		return nil, err
	}
	spec := l.convert(project, name)
	if err := l.refused(); err != nil {
		return nil, err
	}
	spec.Defaults()
	if err := spec.Validate(); err != nil {
		return nil, l.locate(err)
	}
	return spec, nil
}

// variables gathers what ${...} may stand for.
func (l *load) variables() error {
	l.env = types.Mapping{}
	file := l.opts.EnvFile
	if file == "" && l.dir != "" {
		file = filepath.Join(l.dir, ".env")
		if _, err := os.Stat(file); err != nil {
			file = ""
		}
	}
	if file != "" {
		vars, err := dotenv.GetEnvFromFile(l.opts.Env, []string{file})
		if err != nil {
			return &Error{File: file, Text: "is no file of variables: " + oneSentence(err)}
		}
		l.env.Merge(vars)
	}
	for k, v := range l.opts.Env {
		l.env[k] = v
	}
	return nil
}

// name finds the job's: the command line's, the file's, the directory's.
func (l *load) name() (string, error) {
	if l.opts.Name != "" {
		if err := job.CheckName(l.opts.Name); err != nil {
			return "", &Error{Field: "job name", Text: err.Error()}
		}
		return l.opts.Name, nil
	}
	for _, src := range slices.Backward(l.files) {
		text, ok := src.top("name")
		if !ok {
			continue
		}
		name, err := template.SubstituteWithOptions(text, l.env.Resolve, template.WithoutLogging)
		if err == nil {
			err = job.CheckName(name)
		}
		if err != nil {
			return "", l.errorAt("name", "%s; or give another with --name", oneSentence(err))
		}
		return name, nil
	}
	name := nameFrom(filepath.Base(l.dir))
	if l.dir == "" || name == "" {
		return "", &Error{File: l.files[0].name, Text: "has no name; add a line such as name: shop, or give --name"}
	}
	return name, nil
}

// nameFrom turns a directory's name into one that CheckName accepts, or "".
func nameFrom(dir string) string {
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return -1
	}
	name := strings.Trim(strings.Map(keep, strings.ToLower(dir)), "-_.")
	return strings.TrimRight(name[:min(len(name), job.MaxName)], "-_.")
}

// quiet serialises runs of compose-go, which tells some things only to the one global
// logger; what matters of them is a Warning here.
var quiet sync.Mutex

// project lets compose-go merge, interpolate and type what the walk left. A file comes
// from anyone, so a panic in there is an error about the file.
func (l *load) project(ctx context.Context, name string) (project *types.Project, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{File: l.files[0].name, Line: 1, Text: oneSentence(fmt.Errorf("cannot be read as a Compose file: %v", r))}
		}
	}()
	quiet.Lock()
	defer quiet.Unlock()
	defer logrus.SetOutput(logrus.StandardLogger().Out)
	logrus.SetOutput(io.Discard)

	details := types.ConfigDetails{WorkingDir: cmp.Or(l.dir, "/"), Environment: l.env}
	for _, src := range l.files {
		content, err := src.pruned()
		if err != nil {
			return nil, &Error{File: src.name, Text: oneSentence(err)}
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: src.name, Content: content})
	}
	profiles := l.opts.Profiles
	if len(profiles) == 0 && l.env["COMPOSE_PROFILES"] != "" {
		profiles = strings.Split(l.env["COMPOSE_PROFILES"], ",")
	}
	project, err = loader.LoadWithContext(ctx, details, func(o *loader.Options) {
		o.SetProjectName(cmp.Or(loader.NormalizeProjectName(name), "job"), true)
		o.SkipInclude = true          // refused in the walk
		o.SkipConsistencyCheck = true // convert says the same with file and line
		o.Profiles = profiles
	})
	if err != nil {
		return nil, l.explain(err)
	}
	return project, nil
}

func (l *load) strict() error {
	var first *Warning
	n := 0
	for i := range l.warnings {
		if w := &l.warnings[i]; !w.Note {
			n++
			first = cmp.Or(first, w)
		}
	}
	if !l.opts.Strict || n == 0 {
		return nil
	}
	return &Error{File: first.File, Line: first.Line, Text: first.Field + " " + first.Text + " (refused by --strict)", More: n - 1}
}

// sortWarnings puts them in the order of the files and numbers them.
func (l *load) sortWarnings() {
	slices.SortStableFunc(l.warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(l.fileIndex(a.File), l.fileIndex(b.File)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field))
	})
	l.warnings = slices.Compact(l.warnings)
	for i := range l.warnings {
		l.warnings[i].N = i + 1
	}
}

func (l *load) fileIndex(name string) int {
	return slices.IndexFunc(l.files, func(s *source) bool { return s.name == name })
}
