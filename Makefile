# Onefire. `make help` lists what there is.
SHELL := /bin/bash -o pipefail

GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 60s
MINUTES ?= 2
FILE ?= mapping/testdata/alertmanager/am0.34.0-first.json

# `go test ./dedup` explores the protocol's schedules, which the race detector
# can only slow down: they run in one goroutine at a time.
#
# The API server and etcd would take five minutes more to build with the race
# detector, and it would find nothing of ours there: tests run them without.
#
# What these modules test lies outside of them, where Go's test cache does not
# look: -count=1 runs them each time.
TEST_PACKAGES = $$(go list ./... | grep -v -e /cluster -e /kubeapi -e /local -e /cmd/ -e /mutation)

# Flags of go build. With the same ones, and without cgo, commands share what is compiled:
# what the function and make run's own API both need is compiled once.
LEAN = -trimpath -ldflags '-s -w$(if $(VERSION), -X onefire/function/telemetry.version=$(VERSION))'

.PHONY: help run run-cluster run-local alert record docs test mutate soak lint fuzz bench bench-quick bench-start build build-local build-bench image test-image release licences vulnerabilities func test-func test-kube chart cluster e2e upgrade test-release cluster-down build-cluster clean

help: ## Show this list.
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

# A cluster is at hand where KUBECONFIG names one, other than that of make run itself, or
# CLUSTER a context; CLUSTER=none is none. In one nothing has to be built but Onefire.
LOCAL_STATE ?= .local
AT_HAND = $(if $(CLUSTER),$(filter-out none,$(CLUSTER)),$(filter-out $(abspath $(LOCAL_STATE)/kubeconfig),$(abspath $(KUBECONFIG))))

run: $(if $(AT_HAND),run-cluster,run-local) ## Run Onefire on this machine until Ctrl-C: in your cluster (KUBECONFIG=… or CLUSTER=context; it asks first; CONFIRM=yes answers), or with a Kubernetes API of its own (first time: up to 10 minutes of building).

run-cluster:
	@test/local/build.sh . bin/ $(LEAN) ./function/cmd/onefire ./function/cmd/onefire-source
	@test/local/build.sh test ../bin/ $(LEAN) ./cmd/onefire-try
	@$(if $(CLUSTER),CLUSTER=$(CLUSTER) )bin/onefire-try run bin/onefire bin/onefire-source

run-local:
	@test/local/build.sh . bin/ $(LEAN) ./function/cmd/...
	@test/local/build.sh test ../bin/ $(LEAN) ./cmd/onefire-try ./cmd/onefire-local
	@bin/onefire-local run bin/onefire bin/onefire-source

alert: ## Post a captured webhook (FILE=…) to the source of `make run`, as Alertmanager would, and print what came of it.
	@[ -x bin/onefire-try ] || test/local/build.sh test ../bin/ $(LEAN) ./cmd/onefire-try
	@bin/onefire-try alert $(FILE)

record: ## Record docs/session.svg anew: make run, alerts, and what comes of them, in a clean state (half a minute).
	rm -rf .local
	python3 docs/session.py

docs: ## Write the table of stock rules' targets anew, from the code.
	cd test && go test ./docs -run 'TestTheTable' -update

test: ## Run all tests, with the race detector where it helps (20 minutes; the first time 35).
	go test -race -timeout 30m ./...
	go test -timeout 30m ./dedup
	cd test && go vet ./... && go test -count=1 -race -timeout 30m $(TEST_PACKAGES)
	cd test && go test -count=1 -timeout 30m ./mutation/...
	cd knative/verify && go vet ./... && go test -count=1 ./...
	cd test/observability/objects && go vet ./... && go test -count=1 ./...
	cd test/observability && packages=$$(go list ./... | grep -v /cmd/dns) && go vet $$packages && go test -count=1 $$packages
	cd test && go test $$(go list ./cluster/... | grep -v /e2e)

mutate: ## Break every place of the packages, and say what no test notices (hours; ROOM=dedup, ONLY='regular expression of file func: change', SAMPLE=n of each room, SEED=n, RESULTS=file).
	cd test && go test -count=1 -v -timeout 24h -run TestMutants ./mutation/mutants -room '$(ROOM)' -sample $(or $(SAMPLE),-1) -seed $(or $(SEED),0) $(if $(ONLY),-only '$(ONLY)') $(if $(RESULTS),-results $(abspath $(RESULTS)))

soak: ## Kill processes under load, with faults on all sides, for MINUTES (2), and say what became of it.
	cd test && go test -v -run '^(TestCrashes|TestEveryCallFails)$$' -timeout $$(($(MINUTES) + 20))m ./e2e -soak $(MINUTES)m

lint: ## Check form and style (first time: 8 minutes).
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not as gofmt writes it: $$files" >&2; exit 1; }
	go vet ./... && (cd test && go vet ./...)
	$(GOLANGCI_LINT) run ./...
	cd test && $(GOLANGCI_LINT) run --config ../.golangci.yml --build-tags kube ./...
	for module in knative/verify test/images test/func test/observability test/observability/objects; do \
		(cd $$module && go vet ./... && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; \
	done

fuzz: ## Fuzz every decoder, FUZZTIME (60s) each.
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

bench: build build-bench bin/kube-apiserver bin/etcd ## Measure against the bare limit of a whole Kubernetes API (40 minutes; the first time 10 minutes more of building).
	bin/onefire-bench run -json bin/bench.json

bench-quick: build build-bench build-local ## The same on the API server of make run: one function, an empty namespace, one round (3 minutes).
	bin/onefire-bench run -api embedded -sizes 0 -processes 1 -rounds 1 -seconds 2

bench-start: ## Measure a cold start: exec to the first 2xx with its object made, beside an empty server's and a floor's (half a minute).
	cd test && go test -run '^$$' -bench ColdStart -benchtime 30x ./e2e

# VERSION is what the binaries say that they are; without it that is what Go finds in git.
build: ## Build the function, the source and the dead-letter store into bin, static and stripped.
	CGO_ENABLED=0 go build $(LEAN) -o bin/ ./function/cmd/...

build-local:
	@test/local/build.sh test ../bin/ $(LEAN) ./cmd/onefire-local

build-bench:
	cd test && go build -o ../bin/onefire-bench ./cmd/onefire-bench

bin/kube-apiserver: test/kubernetes/go.mod
	@echo "building kube-apiserver (10 minutes on a cold cache, seconds later) …" >&2
	cd test/kubernetes && CGO_ENABLED=0 go build -trimpath -o ../../bin/kube-apiserver \
		-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes)" \
		k8s.io/kubernetes/cmd/kube-apiserver

bin/etcd: test/kubernetes/go.mod
	cd test/kubernetes && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../bin/etcd go.etcd.io/etcd/server/v3

IMAGES ?= $(wildcard function/cmd/onefire*)

image: ## Build images into bin/images, without Docker; REPO=registry.example/team pushes them (first time: 3 minutes).
	cd test/images && go build -o ../../bin/onefire-image ./cmd/onefire-image
	@bin/onefire-image $(if $(REPO),-repo $(REPO),-out bin/images) $(if $(TAG),-tag $(TAG)) $(IMAGES)

test-image: ## Test the images: the same twice, what is in them, and that they run and push, and a release of them (the first time some minutes for each processor and system).
	cd test/images && go vet ./... && go test -race -timeout 30m ./...

# A release names images by the digests that it holds; REPO is where they are pulled from.
release: ## Make the files of a release in bin/release (VERSION=v0.2.0 REPO=registry.example/team; PUSH=1 pushes the images, too), and check them (the first time some minutes for each processor and system).
	@[ -n "$(VERSION)" ] || { echo 'say which version: make release VERSION=v0.2.0 REPO=registry.example/team' >&2; exit 1; }
	@[ -n "$(REPO)" ] || echo "without REPO the images are dev.local/…: for clusters that they are imported into" >&2
	cd test/images && go build -o ../../bin/onefire-release ./cmd/onefire-release
	rm -rf bin/release
	bin/onefire-release -version $(VERSION) -repo $(or $(REPO),dev.local) $(if $(PUSH),-push)
	cd knative/verify && go test -count=1 . -run '^TestARelease$$' -release $(CURDIR)/bin/release
	@ls -l bin/release

licences: ## List what is linked into the commands, and fail where a licence is not allowed.
	cd test/images && go run ./cmd/onefire-licences $(addprefix ../../,$(wildcard function/cmd/onefire*))

# The database of vulnerabilities: https://vuln.go.dev, a mirror, or file:///FOLDER.
# UNCHECKED is how `make vulnerabilities` ends where it does not answer.
GOVULNDB ?= https://vuln.go.dev
UNCHECKED ?= 1
SHIPPED ?= . ./function/cmd/...
# The modules of tools and tests; MODULES= leaves them out. test/kubernetes is
# Kubernetes as it is released, and to scan it takes more than 24 GB of memory.
MODULES ?= $(filter-out test/kubernetes,$(patsubst %/go.mod,%,$(wildcard */go.mod */*/go.mod */*/*/go.mod)))
REASONS ?= $(CURDIR)/test/images/vulnerabilities.txt

vulnerabilities: ## Look for known vulnerabilities in what is shipped and in tools and tests, in the database GOVULNDB (https://vuln.go.dev).
	@mkdir -p bin && GOBIN=$(CURDIR)/bin go install golang.org/x/vuln/cmd/govulncheck@v1.9.0
	@bin/govulncheck -db $(GOVULNDB) $(SHIPPED) || { code=$$?; [ $$code != 3 ] || exit $$code; \
		echo "nothing was checked: $(GOVULNDB) does not answer as a database of vulnerabilities; name a mirror with GOVULNDB" >&2; exit $(UNCHECKED); }; \
	[ -z "$(MODULES)" ] || { cd test/images && go run ./cmd/onefire-vulnerabilities -govulncheck $(CURDIR)/bin/govulncheck \
		-db $(GOVULNDB) -root $(CURDIR) -list $(REASONS) $(MODULES); }

func: ## Build the func CLI as bin/func (first time: 4 minutes).
	cd test/func && go build -o ../../bin/func \
		-ldflags "-s -w -X knative.dev/func/pkg/version.Vers=$$(go list -m -f '{{.Version}}' knative.dev/func)" knative.dev/func/cmd/func

test-func: ## Run, invoke and build the function with the func CLI (1 minute; the first time 12).
	cd test/func && go vet ./... && go test -timeout 30m ./...

chart: ## Write the table of the Helm chart's values in knative/chart/README.md anew, from the comments in values.yaml.
	cd knative/verify && go test . -run TestTheTable -update

cluster: build-cluster ## Run a whole Kubernetes with Knative, Prometheus, Alertmanager and Onefire here, as root (a minute; the first time half an hour of building).
	@bin/onefire-cluster up

e2e: build-cluster ## Set alerts on fire in that cluster, break things, and count (35 minutes; RUN=regexp for some).
	@bin/onefire-cluster e2e $(if $(RUN),-test.run='$(RUN)')

upgrade: build-cluster ## Upgrade that cluster from FROM=tag or commit, with kustomize and with Helm, and back, while alerts fire (10 minutes; Helm takes 3 more to build).
	@[ -n "$(FROM)" ] || { echo 'say from which tag or commit: make upgrade FROM=v1' >&2; exit 1; }
	@bin/onefire-cluster upgrade $(FROM)

test-release: build-cluster ## Install from the files of `make release VERSION=…`, made without REPO, on that cluster (5 minutes; Helm takes 3 more to build).
	@bin/onefire-cluster release

cluster-down: build-cluster ## End that cluster, and check that nothing of it remains.
	@bin/onefire-cluster down

build-cluster:
	cd test/cluster && go build -o ../../bin/onefire-cluster ./cmd/onefire-cluster

test-kube: bin/kube-apiserver bin/etcd ## Test refusals, dead letters, Events, OIDC, owners and the example of a controller on a whole Kubernetes API, with the roles that are deployed (the first time 10 minutes of building).
	cd test && go test -tags kube -v ./admission ./deadletters ./events ./owner ./restarter ./sender -binaries $(CURDIR)/bin

clean: ## Remove what was built and the local state.
	rm -rf bin .local
