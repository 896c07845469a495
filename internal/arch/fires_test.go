package arch

import (
	"strings"
	"testing"
)

// Every rule must fire on what it forbids and be silent on the nearest thing that
// is allowed; a checker that finds nothing proves nothing.
func TestEveryRuleFires(t *testing.T) {
	for _, tc := range []struct {
		name, file, src string
		want            string // part of the one finding; empty: none
	}{
		{"goroutine", "node/x.go", `func f() { go f() }`, "go statement"},
		{"goroutine in the shell", "daemon/x.go", `func f() { go f() }`, ""},
		{"channel type", "ledger/x.go", `type q struct{ c chan int }`, "channel in a pure package"},
		{"send", "ledger/x.go", `func f() { c <- 1 }`, "send on a channel"},
		{"receive", "ledger/x.go", `func f() { <-c }`, "receive from a channel"},
		{"select", "ledger/x.go", `func f() { select {} }`, "select in a pure package"},
		{"println", "wire/x.go", `func f() { println("x") }`, "println"},
		{"sync", "gossip/x.go", `import "sync"`, "no locks"},
		{"atomic", "gossip/x.go", `import "sync/atomic"`, "no locks"},
		{"context", "auction/x.go", `import "context"`, "never waits"},
		{"os", "wire/x.go", `import "os"`, "an adapter perform it"},
		{"net", "wire/x.go", `import "net"`, "p2p send it"},
		{"netip", "wire/x.go", `import "net/netip"`, ""},
		{"log", "job/x.go", `import "log"`, "the daemon logs"},
		{"slog", "job/x.go", `import "log/slog"`, "the daemon logs"},
		{"crypto/rand", "wire/x.go", `import "crypto/rand"`, "seeded"},
		{"unlisted", "wire/x.go", `import "archive/tar"`, "pureStd"},
		{"cgo", "wire/x.go", `import "C"`, "pureStd"},
		{"time.Now", "node/x.go", `import "time"; var t = time.Now()`, "time.Now in a pure package"},
		{"time.Time", "node/x.go", `import "time"; var t time.Time`, "clock.Instant"},
		{"time renamed", "node/x.go", `import tm "time"; var t = tm.Now()`, "tm.Now"},
		{"time by dot", "node/x.go", `import . "time"; var t = Now()`, "dot import"},
		{"duration", "node/x.go", `import "time"; const d time.Duration = 3 * time.Second`, ""},
		{"adapter's clock", "ledger/badger/x.go", `import "time"; var t = time.Now()`, ""},
		{"global chance", "auction/x.go", `import "math/rand/v2"; var n = rand.IntN(3)`, "rand.IntN"},
		{"old global chance", "auction/x.go", `import "math/rand"; var n = rand.Intn(3)`, "rand.Intn"},
		{"seeded chance", "auction/x.go", `import "math/rand/v2"; func f(r *rand.Rand) int { return r.IntN(3) }`, ""},

		{"third party in a pure package", "ledger/x.go", `import "github.com/fxamacker/cbor/v2"`, "standard library only"},
		{"codec in wire", "wire/x.go", `import ("github.com/fxamacker/cbor/v2"; "github.com/mr-tron/base58")`, ""},
		{"leaf imports leaf", "job/x.go", `import "shoal/clock"`, "standard library only"},
		{"wire imports leaf", "wire/x.go", `import "shoal/job"`, ""},
		{"wire looks up", "wire/x.go", `import "shoal/ledger"`, "siblings"},
		{"sibling", "auction/x.go", `import "shoal/ledger"`, "siblings"},
		{"part looks up", "gossip/x.go", `import "shoal/node"`, "arrows point down"},
		{"core imports part", "node/x.go", `import "shoal/auction"`, ""},
		{"core imports adapter", "node/x.go", `import "shoal/ledger/badger"`, "arrows point down"},
		{"core imports tool", "node/x.go", `import "shoal/internal/lru"`, "arrows point down"},
		{"adapter imports its level", "ledger/badger/x.go", `import "shoal/ledger"`, ""},
		{"adapter imports below it", "runtime/docker/x.go", `import "shoal/wire"`, ""},
		{"adapter imports beside it", "runtime/docker/x.go", `import "shoal/ledger"`, "this adapter imports runtime"},
		{"adapter imports above it", "runtime/docker/x.go", `import "shoal/node"`, "this adapter imports runtime"},
		{"adapter imports adapter", "runtime/docker/x.go", `import "shoal/runtime/process"`, "this adapter imports runtime"},
		{"adapter imports shell", "p2p/x.go", `import "shoal/daemon"`, "never import one another"},
		{"shell imports adapter", "daemon/x.go", `import "shoal/p2p"`, "never import one another"},
		{"sim imports daemon", "sim/x.go", `import "shoal/daemon"`, "never import one another"},
		{"sim imports its own", "sim/x.go", `import "shoal/sim/check"`, ""},
		{"web imports api", "web/x.go", `import "shoal/api"`, "never import one another"},
		{"tool imports adapter", "internal/lru/x.go", `import "shoal/p2p"`, "internal tools"},
		{"cmd wires", "cmd/node/x.go", `import ("shoal/daemon"; "shoal/p2p"; "github.com/spf13/cobra")`, ""},
		{"anyone imports cmd", "daemon/x.go", `import "shoal/cmd/node"`, "nobody imports a command"},
		{"unknown import", "daemon/x.go", `import "shoal/util"`, "no such place"},
		{"unknown package", "util/x.go", ``, "outside the layout"},
		{"unknown room in a pure tree", "wire/v2/x.go", ``, "outside the layout"},

		{"helper in production", "daemon/x.go", `import "shoal/p2p/p2ptest"`, "from tests alone"},
		{"lab in production", "api/x.go", `import "shoal/internal/lab"`, "from tests alone"},
		{"helper imports helper", "p2p/p2ptest/x.go", `import "shoal/runtime/runtimetest"`, ""},
		{"helper imports testing", "p2p/p2ptest/x.go", `import "testing"`, ""},
		{"testing in production", "daemon/x.go", `import "testing"`, "_test.go files"},
		{"testing in the core", "node/x.go", `import "testing"`, "_test.go files"},
		{"rapid in production", "api/x.go", `import "pgregory.net/rapid"`, "property tests"},
		{"engine outside runtime", "daemon/x.go", `import "github.com/docker/docker/client"`, "inside runtime/"},
		{"engine in its adapter", "runtime/docker/x.go", `import "github.com/docker/docker/client"`, ""},
		{"store outside its adapter", "daemon/x.go", `import "github.com/dgraph-io/badger/v4"`, "inside ledger/badger"},
		{"libp2p outside p2p", "daemon/x.go", `import "github.com/libp2p/go-libp2p"`, "inside p2p"},
		{"compose outside its adapter", "api/x.go", `import "github.com/compose-spec/compose-go/v2/cli"`, "job/compose"},
		{"facts outside runtime", "daemon/x.go", `import "github.com/shirou/gopsutil/v3/mem"`, "runtime/facts"},
		{"cobra outside cmd", "api/x.go", `import "github.com/spf13/cobra"`, "cmd/node"},
		{"testify", "internal/lru/x.go", `import "github.com/stretchr/testify/require"`, "t.Fatalf"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			findings, err := checkFile(tc.file, "package x\n"+tc.src, tc.file)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case tc.want == "" && len(findings) > 0:
				t.Fatalf("allowed, yet found: %q", findings)
			case tc.want != "" && (len(findings) != 1 || !strings.Contains(findings[0], tc.want)):
				t.Fatalf("findings %q, want one with %q", findings, tc.want)
			}
		})
	}
}

// A finding must lead to the place: file and line first.
func TestFindingNamesFileAndLine(t *testing.T) {
	findings, err := checkFile("node/core.go", "package node\n\nimport \"os\"\n", "core.go")
	if err != nil {
		t.Fatal(err)
	}
	const want = "node/core.go:3: node imports os: return a record or an Action and let an adapter perform it"
	if len(findings) != 1 || findings[0] != want {
		t.Fatalf("findings %q, want %q", findings, want)
	}
}
