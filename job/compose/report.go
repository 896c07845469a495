package compose

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"shoal/job"
)

// at finds the line of a path, or of the nearest key around it.
func (l *load) at(path string) place {
	for path != "" {
		if p, ok := l.places[path]; ok {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{file: l.files[0].name, line: 1}
}

func (l *load) warn(path, format string, args ...any) {
	p := l.at(path)
	l.warnings = append(l.warnings, Warning{File: p.file, Line: p.line, Field: path, Text: fmt.Sprintf(format, args...)})
}

// note is a warning that Strict lets pass.
func (l *load) note(path, format string, args ...any) {
	l.warn(path, format, args...)
	l.warnings[len(l.warnings)-1].Note = true
}

func (l *load) errorAt(path, format string, args ...any) *Error {
	p := l.at(path)
	return &Error{File: p.file, Line: p.line, Field: path, Text: fmt.Sprintf(format, args...)}
}

func (l *load) refuse(path, format string, args ...any) {
	l.refusals = append(l.refusals, l.errorAt(path, format, args...))
}

// refused returns the first refusal in the order of the files, with the number of the
// others.
func (l *load) refused() error {
	if len(l.refusals) == 0 {
		return nil
	}
	first := *slices.MinFunc(l.refusals, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(l.fileIndex(a.File), l.fileIndex(b.File)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field))
	})
	first.More = len(l.refusals) - 1
	return &first
}

// oneSentence brings an error of a library into one line of bounded length.
func oneSentence(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, tail := range []string{": invalid compose project", ": file not found"} {
		text = strings.TrimSuffix(text, tail)
	}
	if len(text) > 400 {
		text = strings.ToValidUTF8(text[:400], "") + "…"
	}
	return text
}

// pathInText finds the path that compose-go's errors begin with or contain.
var pathInText = regexp.MustCompile(`\b(?:services|volumes|networks|secrets|configs|name|x-[\w-]+)(?:\.[\w\[\]-]+)*`)

// serviceInText finds a service that they name otherwise.
var serviceInText = regexp.MustCompile(`service "([^"]+)"`)

// explain gives an error of compose-go its file, line and field.
func (l *load) explain(err error) error {
	text := oneSentence(err)
	for _, src := range l.files {
		text = strings.TrimPrefix(text, "validating "+src.name+": ")
		text = strings.TrimPrefix(text, "failed to parse "+src.name+": ")
	}
	text = strings.TrimPrefix(text, "invalid interpolation format for ")
	if strings.HasPrefix(text, undecoded) {
		return l.explainAll(text)
	}
	if path := pathInText.FindString(text); path != "" {
		field := listIndex.ReplaceAllString(path, "[$1]$2")
		rest := strings.TrimLeft(strings.Replace(text, path, "", 1), ": .")
		return l.errorAt(field, "%s", badValue(rest))
	}
	if m := serviceInText.FindStringSubmatch(text); m != nil {
		return l.errorAt("services."+m[1], "%s", text)
	}
	if m := yamlError.FindStringSubmatch(text); m != nil && m[1] != "" {
		return l.files[0].syntaxError(errors.New(text))
	}
	if path := l.noNumber(); strings.Contains(text, "unsupported value") && path != "" {
		return l.errorAt(path, "%s is no number", l.scalars[path])
	}
	if path := l.badPort(); path != "" {
		return l.errorAt(path, "%q is no port; write PUBLISHED:TARGET, such as 8080:80", l.scalars[path])
	}
	if path := l.quotedIn(text); path != "" {
		return l.errorAt(path, "%s", text)
	}
	return &Error{File: l.files[0].name, Line: 1, Text: text}
}

// undecoded begins compose-go's list of the values that it cannot read, in any order:
// "'services[web].mem_limit' invalid size: 'foo' 'services[db].shm_size' …".
const undecoded = "decoding failed due to the following error(s):"

var undecodedPath = regexp.MustCompile(` '(\w+)\[([^\]']+)\]\.([^' ]+)' `)

// explainAll returns the first of several errors, in the order of the files.
func (l *load) explainAll(text string) error {
	found := undecodedPath.FindAllStringSubmatchIndex(text, -1)
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		path := text[at[2]:at[3]] + "." + text[at[4]:at[5]] + "." + text[at[6]:at[7]]
		l.refuse(path, "%s", badValue(text[at[1]:end]))
	}
	if err := l.refused(); err != nil {
		return err
	}
	return &Error{File: l.files[0].name, Line: 1, Text: text}
}

// badValues say what libraries say of a value they cannot read, in plain words.
var badValues = []struct {
	is   *regexp.Regexp
	says string
}{
	{regexp.MustCompile(`^must be an? array$`), "must be a list"},
	{regexp.MustCompile(`^must be an? integer or string$`), "must be a whole number"},
	{regexp.MustCompile(`^cannot parse value as 'u?int\d*': (.*) overflows u?int\d*$`),
		"$1 is not a whole number that is possible here; write one such as 1"},
	{regexp.MustCompile(`^invalid type float64 for device count$`), "is not a whole number; write one such as 1"},
	{regexp.MustCompile(`^invalid size: '(.*)'$`), `"$1" is no size; write one such as 256m`},
	{regexp.MustCompile(`^invalid suffix: '(.*)'$`), `"$1" is no unit of size; write one such as 256m`},
	{regexp.MustCompile(`^time: .*duration "?([^"]*)"?$`), `"$1" is no duration; write one such as 10s`},
	{regexp.MustCompile(`^.*invalid boolean: (.*)$`), `"$1" is neither true nor false`},
	{regexp.MustCompile(`^.*strconv\.\w+: parsing "(.*)": .*$`), `"$1" is no number`},
}

func badValue(text string) string {
	for _, b := range badValues {
		if b.is.MatchString(text) {
			return b.is.ReplaceAllString(text, b.says)
		}
	}
	return text
}

// quotedIn finds the path of the longest word of the files that a text repeats.
func (l *load) quotedIn(text string) string {
	best, length := "", 2
	for _, path := range slices.Sorted(maps.Keys(l.scalars)) {
		value := l.substituted(path)
		if len(value) > length && strings.Contains(text, value) {
			best, length = path, len(value)
		}
	}
	return best
}

// substituted is a word as Compose sees it, with its variables replaced if they can be.
func (l *load) substituted(path string) string {
	value, err := template.SubstituteWithOptions(l.scalars[path], l.env.Resolve, template.WithoutLogging)
	if err != nil {
		return l.scalars[path]
	}
	return value
}

// portItem is the path of a port in its short form.
var portItem = regexp.MustCompile(`^services\..+\.ports\[\d+\]$`)

// badPort finds the first port that cannot be read: compose-go does not say which.
func (l *load) badPort() string {
	for _, path := range slices.Sorted(maps.Keys(l.scalars)) {
		if portItem.MatchString(path) {
			if _, err := types.ParsePortConfig(l.substituted(path)); err != nil && l.scalars[path] != "" {
				return path
			}
		}
	}
	return ""
}

// notFinite is what YAML takes for a number and nothing else does.
var notFinite = regexp.MustCompile(`(?i)^[-+]?\.(nan|inf)$`)

// noNumber finds the first such word.
func (l *load) noNumber() string {
	for _, path := range slices.Sorted(maps.Keys(l.scalars)) {
		if notFinite.MatchString(l.scalars[path]) {
			return path
		}
	}
	return ""
}

// listIndex is an index as JSON paths write it: "ports.0".
var listIndex = regexp.MustCompile(`\.(\d+)(\.|$)`)

// composeField is what the fields of a job.Task may be called in a file.
var composeField = map[string]string{
	"near": "x-shoal.affinity", "apart": "x-shoal.anti-affinity|deploy.placement.max_replicas_per_node",
	"spread":   "x-shoal.spread|deploy.placement.preferences",
	"attempts": "x-shoal.attempts", "priority": "x-shoal.priority",
	"aliases": "networks", "capDrop": "cap_drop", "constraints": "x-shoal.constraints|deploy.placement.constraints",
	"devices":   "devices|x-shoal.devices",
	"count":     "scale|deploy.replicas",
	"dependsOn": "depends_on", "env": "environment", "extraHosts": "extra_hosts", "failover": "x-shoal.failover",
	"health": "healthcheck", "limits": "deploy.resources.limits|mem_limit|cpus", "mounts": "volumes", "name": "",
	"needs": "deploy.resources|mem_reservation|mem_limit|cpus", "needs.cpuMilli": "deploy.resources.reservations.cpus|cpus|deploy.resources.limits.cpus",
	"needs.memBytes":  "deploy.resources.reservations.memory|mem_reservation|mem_limit|deploy.resources.limits.memory",
	"limits.cpuMilli": "deploy.resources.limits.cpus|cpus", "limits.memBytes": "deploy.resources.limits.memory|mem_limit",
	"needs.diskBytes": "x-shoal.disk",
	"pids":            "deploy.resources.limits.pids|pids_limit",
	"policy":          "x-shoal.policy", "pull": "pull_policy",
	"ports": "ports", "restart": "deploy.restart_policy|restart", "shmBytes": "shm_size", "stopGrace": "stop_grace_period", "stopSignal": "stop_signal",
	"type": "x-shoal.type", "update": "deploy.update_config", "workingDir": "working_dir",
}

// locate turns what Validate found into the first Error by file and line.
func (l *load) locate(err error) error {
	var problems *job.Problems
	if !errors.As(err, &problems) {
		return err
	}
	for _, p := range problems.List {
		l.refuse(l.problemPath(p), "%s", p.Text)
	}
	return l.refused()
}

// problemPath is where the file says what a Problem is about.
func (l *load) problemPath(p job.Problem) string {
	if p.Task == "" {
		return p.Field
	}
	task := "services." + p.Task
	head, _, _ := strings.Cut(p.Field, ".")
	head, _, _ = strings.Cut(head, "[")
	names, ok := composeField[p.Field]
	if !ok {
		names, ok = composeField[head]
	}
	switch {
	case !ok:
		return task + "." + head
	case names == "":
		return task
	}
	path := ""
	for name := range strings.SplitSeq(names, "|") {
		path = cmp.Or(path, task+"."+name)
		if _, ok := l.places[task+"."+name]; ok {
			path = task + "." + name
			break
		}
	}
	if head == "ports" || head == "mounts" {
		return l.item(path, p.Text)
	}
	return path
}

// quotedOrPort is what a problem says of an item of a list.
var quotedOrPort = regexp.MustCompile(`"([^"]+)"|port (\d+)`)

// item finds the item of a list that a problem speaks of, by what it quotes.
func (l *load) item(path, text string) string {
	if m := quotedOrPort.FindStringSubmatch(text); m != nil {
		if found, ok := l.items[path+" "+m[1]+m[2]]; ok {
			return found
		}
	}
	return path
}
