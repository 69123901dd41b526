# make build    bin/vitrine, one static binary
# make web      the portal's bundle, with npm; `make build` embeds it if it is there
# make demo     a node on this machine with generated sample data; Ctrl-C stops it
# make test     every test, in under 15 minutes on 2 cores
# make soak     the same with longer runs, a mixed load for two hours (SOAK_TIME=30m for less), the race detector and a minute for each fuzz target
# make load     the mixed load alone
# make bench    measures this tree beside other archives and tools (docs/performance.md)
# make lint     golangci-lint, in a pinned version
# make fmt      formats the code

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# One static binary; and nothing here needs a C compiler, but for `make race`.
export CGO_ENABLED ?= 0

# A release archive without .git says its version in the environment.
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.version=$(VERSION)
GOLANGCI := v2.15.0
FUZZTIME ?= 60s
SOAK_TIME ?= 2h
TESTFLAGS ?=
BENCHFLAGS ?=

.PHONY: all web build bootstrap demo test race soak load fuzz bench microbench lint fmt clean

all: build

build:
	@mkdir -p bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/vitrine ./cmd/vitrine

# Without npm the portal does without what needs script, its typeface and the viewers.
# The packages whose tests take longest begin first, so that no core is idle at the end.
LONGEST = ./internal/endtoend ./internal/door/portal ./cmd/vitrine ./internal/flow/reading

web: web/dist/main.js web/dist/ohif.zip

web/dist/main.js: $(wildcard web/src/*.ts web/src/*/*.ts) web/package-lock.json web/vite.config.ts
	@if command -v npm >/dev/null; then cd web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build; \
	else echo "npm is absent: the portal is built without its bundle" >&2; fi

# The viewer comes as its makers built it; its digest is pinned in viewerpack.
web/dist/ohif.zip: web/internal/viewerpack/main.go
	@mkdir -p build
	@if command -v npm >/dev/null; then npm pack --silent --pack-destination build @ohif/app@3.13.2 >/dev/null && \
	go run ./web/internal/viewerpack build/ohif-app-3.13.2.tgz $@ && rm build/ohif-app-3.13.2.tgz; \
	else echo "npm is absent: the portal is built without the viewer" >&2; fi

bootstrap:
	@script/bootstrap

demo: bootstrap web build
	@script/demo

# Two packages at a time: a PostgreSQL and a node under test want a core of their own.
test: bootstrap
	@$(MAKE) --no-print-directory web || echo "the portal's bundle could not be built; what tests it skips" >&2
	go vet ./...
	go test -p 2 -timeout 14m $(TESTFLAGS) $(LONGEST) ./...

race: bootstrap
	CGO_ENABLED=1 go test -race -p 2 -timeout 60m $(TESTFLAGS) ./...

# Tests read VITRINE_SOAK to choose their longer form.
soak: bootstrap
	VITRINE_SOAK=1 VITRINE_SOAK_TIME=$(SOAK_TIME) go test -p 1 -count 1 -timeout 600m $(TESTFLAGS) ./...
	$(MAKE) race fuzz

load: bootstrap
	VITRINE_SOAK=1 VITRINE_SOAK_TIME=$(SOAK_TIME) go test -count 1 -timeout 600m -run 'TestSteadyLoad$$' -v $(TESTFLAGS) ./internal/endtoend

fuzz:
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# BENCHFLAGS='-phases store,search -rounds 5' measures some of it more often; `go run ./internal/bench -h` lists them.
bench: build
	@script/bootstrap --bench
	go run ./internal/bench -vitrine bin/vitrine $(BENCHFLAGS)

# Every Go benchmark, for benchstat.
microbench:
	@script/microbench

# Built once into bin/tools, away from go.mod: its hundred dependencies are none of the product's.
bin/tools/golangci-lint-$(GOLANGCI):
	@mkdir -p bin/tools
	GOFLAGS=-mod=mod GOBIN=$(CURDIR)/bin/tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	@mv bin/tools/golangci-lint $@

lint: bin/tools/golangci-lint-$(GOLANGCI)
	$< run ./...

fmt: bin/tools/golangci-lint-$(GOLANGCI)
	$< fmt ./...

clean:
	rm -rf bin build
