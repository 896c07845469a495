SHELL := /bin/bash
.DEFAULT_GOAL := help

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
LINT     := golangci-lint
LINT_VER := v2.15.0
LINT_BIN := $(or $(wildcard .bin/$(LINT)),$(shell command -v $(LINT) 2>/dev/null))

# The pure packages; internal/arch holds them to it.
PURE := ./job ./clock ./wire ./auction ./ledger ./ledger/sketch ./gossip ./runtime ./node
PURE := $(foreach p,$(PURE),$(if $(wildcard $(p)/*.go),$(p)))

# The tests here build what they test, of which Go's cache of results knows nothing.
BUILDERS := ./internal/lab ./internal/mutant ./e2e

FUZZTIME ?= 10s
SEEDS    ?= 200
FIRST    ?= 1
RUNS     ?= 1000
SCENARIO ?= sim/testdata/*.txt
BENCH    ?= .
ALL_SIZES := 10|30|100|300|1000
SIZES    ?= $(ALL_SIZES)

# The race detector needs a C compiler.
RACE := $(if $(shell command -v gcc || command -v cc),-race)

.PHONY: help build check test lint fuzz sim soak crash damage calibrate mutants bench curve golden e2e demo demo-down clean determinism

help: ## print this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/shoal, one static file
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/shoal ./cmd/node

check: ## the pure packages and the import order, race detector on, in seconds
	$(GO) test $(RACE) -shuffle=on $(PURE) ./internal/arch

test: ## every test this machine can run: vet, format, lint if installed, units, simulator, e2e; says what it skipped
	@SHOAL_SEEDS=$(SEEDS) $(GO) run ./internal/testsum \
		$(if $(RACE),,-note 'race detector: no C compiler') \
		$(if $(LINT_BIN),,-note 'lint: no $(LINT)$(comma) "make lint" installs it') \
		-- $(GO) test -json -vet=all $(RACE) -shuffle=on -timeout 5m $(PURE) \
		-- $(GO) test -json -vet=all -shuffle=on -timeout 10m $$($(GO) list ./... | grep -v -x $(PURE_NAMES) $(BUILDERS:./%=-e shoal/%)) \
		-- $(GO) test -json -tags mutants -run Mutants ./sim \
		-- $(GO) test -json -vet=all -count=1 -timeout 10m $(filter-out ./e2e,$(BUILDERS)) \
		-- $(GO) test -json -vet=all -count=1 -timeout 15m $(filter ./e2e,$(BUILDERS)) \
		$(if $(LINT_BIN),-- $(LINT_BIN) run)

lint: ## golangci-lint with .golangci.yml; installs it into .bin once (about a minute)
	@[ -n "$(LINT_BIN)" ] || GOBIN=$(CURDIR)/.bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/$(LINT)@$(LINT_VER)
	@PATH="$(CURDIR)/.bin:$$PATH" $(LINT) run

fuzz: ## run every fuzz target in turn for FUZZTIME (10s), on one core, with its executions and new inputs; ONLY picks some
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' ONLY='$(ONLY)' scripts/fuzz

sim: build ## run SCENARIO (sim/testdata/*.txt) in the simulator with SEED, if given
	@set -e; for file in $(SCENARIO); do bin/shoal sim run $$file $(if $(SEED),--seed $(SEED)); done

mutants: ## plant one bug after the other and hunt it with the soak's plans; says by which rule, and after how many seeds
	$(GO) run -tags mutants ./sim/hunt $(if $(ONLY),-only $(ONLY))

soak: build ## random scenarios over SEEDS seeds (200) from FIRST (1) on; failing ones, cut down, go to soak/
	bin/shoal sim soak --seeds $(SEEDS) --first $(FIRST)

determinism: ## RUNS (1000) plans, each run twice under other settings of threads, collector and memory: equal traces
	SHOAL_RUNS=$(RUNS) $(GO) test -count=1 -timeout 0 -run '^TestDeterminism$$' -v ./sim

crash: ## kill a process that writes its store, RUNS (1000) times, and fill its disk: no promise is lost, no start fails
	$(IN_MEMORY) SHOAL_TEST_KILLS=$(RUNS) $(GO) test -count=1 -timeout 0 -run '^TestStore_(KillLosesNoPromise|SuddenlyFull)$$' -v ./ledger/badger

damage: ## do RUNS (1000) damages to each kind of file of a stopped store: all are seen and rebuilt, or harmless
	$(IN_MEMORY) SHOAL_TEST_DAMAGES=$(RUNS) $(GO) test -count=1 -timeout 0 -run '^TestStore_DamageIsSeenOrHarmless$$' -v ./ledger/badger

calibrate: ## hold the simulated network against the real stack, and write the table of docs/SIMULATION.md
	SHOAL_CALIBRATE=$(CURDIR)/docs/SIMULATION.md $(GO) test -count=1 -timeout 15m -run TestCalibration -v ./internal/calibrate

bench: ## run the benchmarks matching BENCH
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

curve: ## what a peer costs at SIZES (10|30|100|300|1000) peers and how that grows, as Markdown; minutes
	@set -o pipefail; $(GO) test ./sim -run '^$$' -bench '^BenchmarkScale$$/^($(SIZES))$$' -benchtime 1x -timeout 0 \
		| $(GO) run ./internal/curve -command 'make curve$(if $(filter-out $(ALL_SIZES),$(SIZES)), SIZES="$(SIZES)")'

golden: ## rewrite the golden files; read the diff before you commit it
	$(GO) test ./wire ./sim -run Golden -update
	@git --no-pager diff --stat -- '*.golden' '*/testdata/*'

e2e: ## the binary in network namespaces, each with its own engine (root)
	$(GO) test -count=1 -timeout 15m -v ./e2e

demo: ## three peers on this machine, a shop deployed on them, a URL that answers; see demo-down
	@scripts/demo up

demo-down: ## stop the demo and leave nothing behind
	@scripts/demo down

clean: ## remove what the targets above built
	rm -rf bin .bin

comma := ,
# A killed process leaves to the system what it wrote, so a file system in memory will do.
IN_MEMORY = $(if $(wildcard /dev/shm/.),TMPDIR=/dev/shm)
PURE_NAMES = $(patsubst ./%,-e shoal/%,$(PURE))
