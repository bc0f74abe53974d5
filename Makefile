.DEFAULT_GOAL := help
GO ?= go

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

build: ## both programs, static and stripped, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/ ./cmd/...

packages: ## .deb and .rpm of the agent for amd64 and arm64, and the install script, into dist/
	GO=$(GO) packaging/build dist

test: ## what the README says
	$(GO) test ./...

race: ## the tests under the race detector
	$(GO) test -race ./...

sim: ## 100,000 random deployments with a new seed
	$(GO) test ./test/sim -count=1 -v -run '^TestWorlds$$' -sim.n=100000

bench: ## end-to-end time of a no-op deployment, and commands per second with 1,000 simulated hosts
	$(GO) test ./test/bench ./test/sim -run '^$$' -bench . -benchtime=1x -count=5

bench-agent: ## memory, start and times of the agent beside the plain tools, as Markdown
	$(GO) test ./test/bench/agent -run '^$$' -bench . -benchtime=1x -timeout 30m

bench-api: ## calls per second through the AWS SDK beside moto's server, as Markdown
	$(GO) test ./test/bench/api -run '^$$' -bench . -benchtime=1x -timeout 30m

scenarios: ## rewrite the golden files of the core (read the diff)
	$(GO) test ./internal/deploy -run TestScenarios -rewrite

generate: ## shapes of the AWS API from the reduced model
	$(GO) generate ./internal/awsapi/...

FUZZTIME ?= 30s
fuzz: ## every fuzz target for 30 s, or for FUZZTIME
	@for p in $$($(GO) list ./internal/...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
		$(GO) test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x || exit 1; done; done

lint: ## formatting, vet and staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

deps: ## rewrite the list of packages that the agent links
	$(GO) test ./cmd/codedeploy-agent -run TestDeps -rewrite

conformance: ## rewrite the tests' column of docs/conformance from the marks in the tests
	$(GO) test ./test/house -count=1 -run '^TestConformance$$' -update

.PHONY: help build packages test race sim bench bench-agent bench-api scenarios generate fuzz lint deps conformance
