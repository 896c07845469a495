package arch

import (
	"path"
	"slices"
	"strings"
)

const module = "shoal"

// A level is a package's place in the import order; arrows point to lower ones.
type level int

const (
	unknown level = iota
	leaf          // the domain's words: standard library only
	message       // wire
	coding        // ledger/sketch: what a part is made of
	part          // auction, ledger, gossip, runtime: siblings never import one another
	core          // node
	outer         // adapters, shell, simulated world: none imports another
	tool          // internal/…: helps the outer levels and the build
	helper        // …test and the lab: imported from tests alone
	command       // cmd, e2e, examples: wiring, imported by nobody
)

var pureLevels = map[string]level{
	"job": leaf, "clock": leaf, "internal/mutant": leaf,
	"wire":          message,
	"ledger/sketch": coding,
	"auction":       part, "ledger": part, "gossip": part, "runtime": part,
	"node": core, "sim/pack": core,
}

// adapters maps each adapter below a pure package to the level it serves; it may
// import that one and what is below it.
var adapters = map[string]string{
	"auction/owner":   "auction",
	"job/compose":     "job",
	"ledger/archive":  "ledger",
	"ledger/badger":   "ledger",
	"runtime/docker":  "runtime",
	"runtime/process": "runtime",
	"runtime/pretend": "runtime",
	"runtime/facts":   "runtime",
	"runtime/reach":   "runtime",
}

// outerTrees are the trees that may import every pure package and themselves.
var outerTrees = []string{"daemon", "p2p", "api", "web", "sim"}

// levelOf places a directory, given relative to the module's root.
func levelOf(dir string) level {
	top, _, _ := strings.Cut(dir, "/")
	switch {
	case pureLevels[dir] != unknown:
		return pureLevels[dir]
	case strings.HasSuffix(path.Base(dir), "test"), dir == "internal/lab":
		return helper
	case adapters[dir] != "", slices.Contains(outerTrees, top):
		return outer
	case dir == "internal/lab/cmd", top == "cmd", top == "e2e", top == "examples":
		return command
	case top == "internal":
		return tool
	}
	return unknown
}

func isPure(dir string) bool { return pureLevels[dir] != unknown }

// importAdvice says why from may not import to, both directories of this module,
// and what to do instead. It is empty when the import is allowed.
func importAdvice(from, to string) string {
	fromLevel, toLevel := levelOf(from), levelOf(to)
	switch {
	case toLevel == unknown:
		return "no such place in the layout: put the package into one of the known trees, or add it to internal/arch"
	case toLevel == helper && fromLevel != helper && fromLevel != command:
		return "a test helper is imported from tests alone: move what production code needs out of it"
	case toLevel == command:
		return "nobody imports a command: move the shared code into a package below it"
	}
	switch fromLevel {
	case leaf:
		return "a leaf imports the standard library only: pass the value in, or move the code to wire"
	case message, coding, part, core:
		if isPure(to) && toLevel < fromLevel {
			return ""
		}
		if toLevel == part {
			return "siblings never import one another: let node join them, or move the shared type down to wire"
		}
		return "arrows point down only: declare here the interface you call and let the caller pass it in, or return the effect as a value"
	case outer:
		return outerAdvice(from, to)
	case tool:
		if isPure(to) || toLevel == tool {
			return ""
		}
		return "internal tools stay below the adapters: take an interface, or move the code into the adapter"
	case unknown, helper, command: // a helper tests everything, a command wires everything
	}
	return ""
}

// outerAdvice is importAdvice for adapters, the shell and the simulated world.
func outerAdvice(from, to string) string {
	if levelOf(to) == tool {
		return ""
	}
	if serves, ok := adapters[from]; ok {
		if to == serves || isPure(to) && pureLevels[to] < pureLevels[serves] {
			return ""
		}
		return "this adapter imports " + serves + " and what is below it: convert at the seam, or let cmd/node join the two"
	}
	if isPure(to) || tree(from) == tree(to) {
		return ""
	}
	return "adapters, daemon and sim never import one another: declare the interface you call here and let cmd/node wire it"
}

func tree(dir string) string { top, _, _ := strings.Cut(dir, "/"); return top }

// A seam says which trees may know a library; everyone else sees our own types.
type seam struct {
	library string
	dirs    []string
	advice  string
}

var seams = []seam{
	{"github.com/docker/docker", []string{"runtime"}, "keep engine types inside runtime/ and speak runtime.Action to it"},
	{"github.com/dgraph-io/badger", []string{"ledger/badger"}, "keep the store's types inside ledger/badger and speak ledger records to it"},
	{"github.com/libp2p", []string{"p2p", "sim"}, "keep libp2p types inside p2p and speak wire.PeerID and wire.Envelope to it"},
	{"github.com/compose-spec/compose-go", []string{"job/compose"}, "read Compose in job/compose and pass a job.Spec on"},
	{"github.com/shirou/gopsutil", []string{"runtime"}, "ask runtime/facts what this machine has"},
	{"github.com/spf13/cobra", []string{"cmd"}, "the command line lives in cmd/node"},
	{"testing", []string{"internal/lab/cmd"}, "testing is for _test.go files and packages named …test"},
	{"pgregory.net/rapid", nil, "property tests are for _test.go files and packages named …test"},
	{"github.com/rogpeppe/go-internal", nil, "scripted tests are for _test.go files and packages named …test"},
	{"go.uber.org/goleak", nil, "leak checks are for _test.go files and packages named …test"},
	{"github.com/stretchr/testify", nil, "compare with if and t.Fatalf"},
}

// libraryAdvice is importAdvice for packages from outside the module.
func libraryAdvice(from, imported string) string {
	if isPure(from) {
		return pureLibraryAdvice(from, imported)
	}
	for _, s := range seams {
		if !below(imported, s.library) || levelOf(from) == helper && s.library != "github.com/stretchr/testify" {
			continue
		}
		if !slices.ContainsFunc(s.dirs, func(d string) bool { return below(from, d) }) {
			return s.advice
		}
	}
	return ""
}

// pureThirdParty is all that pure packages may use beyond the standard library.
var pureThirdParty = map[string][]string{
	"wire": {"github.com/fxamacker/cbor/v2", "github.com/mr-tron/base58"},
}

// pureStd is the part of the standard library that has no IO, clock, chance or
// goroutine of its own. time and math/rand are narrowed further by pureSelectors.
var pureStd = []string{
	"bytes", "cmp", "errors", "fmt", "hash", "io", "iter", "maps", "math", "path", "regexp", "regexp/syntax", "slices", "sort", "strconv",
	"strings", "time", "unicode", "container/heap", "container/list", "container/ring", "crypto", "crypto/ed25519",
	"crypto/hmac", "crypto/sha256", "crypto/sha512", "crypto/subtle", "encoding", "encoding/base32", "encoding/base64",
	"encoding/binary", "encoding/hex", "encoding/json", "hash/crc32", "hash/crc64", "hash/fnv", "math/big", "math/bits",
	"math/rand", "math/rand/v2", "net/netip", "net/url", "reflect", "text/tabwriter", "unicode/utf8",
}

// impureAdvice says what pure code does instead of the usual suspects.
var impureAdvice = map[string]string{
	"context":     "a Step never waits: deadlines are instants, and long work is an Action whose result comes back as an input",
	"crypto/rand": "chance is a constructor argument: take a seeded *rand.Rand",
	"embed":       "pass the bytes in",
	"io/fs":       "pass the bytes in",
	"log":         "return what happened as a value; the daemon logs",
	"log/slog":    "return what happened as a value; the daemon logs",
	"net":         "return a message and let p2p send it; addresses are strings or net/netip",
	"net/http":    "return a message and let an adapter send it",
	"os":          "return a record or an Action and let an adapter perform it",
	"runtime":     "equal inputs give equal outputs on any machine: take what you need as an argument",
	"sync":        "one goroutine owns a core, so it has no locks",
	"sync/atomic": "one goroutine owns a core, so it has no locks",
	"testing":     "testing is for _test.go files and packages named …test",
	"unsafe":      "equal inputs give equal outputs on any machine: use encoding/binary or math.Float64bits",
}

func pureLibraryAdvice(from, imported string) string {
	if slices.Contains(pureStd, imported) || slices.Contains(pureThirdParty[from], imported) {
		return ""
	}
	if advice := impureAdvice[imported]; advice != "" {
		return advice
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		return "pure packages use the standard library only (wire also CBOR and base58): put the library behind an adapter"
	}
	return "not on the list of packages without IO, clock or chance: if it has none, add it to pureStd in internal/arch"
}

// pureSelectors narrows packages of which pure code may use a part.
var pureSelectors = map[string]struct {
	allowed []string
	advice  string
}{
	"time": {
		[]string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "ParseDuration"},
		"from time only Duration and its units: points in time are clock.Instant, and now comes with the input",
	},
	"math/rand":    {randNames, randAdvice},
	"math/rand/v2": {randNames, randAdvice},
}

var randNames = []string{"Rand", "New", "Source", "Source64", "NewSource", "PCG", "NewPCG", "ChaCha8", "NewChaCha8", "Zipf", "NewZipf"}

const randAdvice = "global chance differs from run to run: take a seeded *rand.Rand as constructor argument"

// below reports whether name is prefix or lies in the tree under it.
func below(name, prefix string) bool {
	return name == prefix || strings.HasPrefix(name, prefix+"/")
}
