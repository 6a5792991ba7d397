# Circle15: `make run` starts the whole platform on this machine, `make test` does all set-up and runs every check.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TOOLS := $(CURDIR)/.cache/bin
BIN := $(CURDIR)/bin
export PATH := $(TOOLS):$(PATH)

BUF := $(TOOLS)/buf
LINT := $(TOOLS)/golangci-lint
PLUGINS := $(TOOLS)/protoc-gen-go
CONTROLLER_GEN := $(TOOLS)/controller-gen
KUBE_SCORE := $(TOOLS)/kube-score
HELM := $(TOOLS)/helm

# The API server and etcd of the operator's tests, built once a machine.
KUBE_VERSION := $(shell sed -n 's/^\tk8s.io\/kubernetes v//p' internal/tools/kubernetes/go.mod)
KUBERNETES := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/circle15/kubernetes-$(KUBE_VERSION)
SCHEMAS := .cache/schemas-$(KUBE_VERSION)

say = @printf '\n==> %s\n' '$(1)'

##@ Every day

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the platform with an embedded PostgreSQL and the Haikou demo on 127.0.0.1:8080 (ARGS=--reset: begin anew).
	$(call say,compiling bin/circle15 (minutes the first time; seconds after))
	@go build -o $(BIN)/ ./services/cmd/circle15
	$(call say,starting the demo (stop it with Ctrl-C))
	@exec $(BIN)/circle15 demo $(ARGS)

.PHONY: build
build: ## Compile the binaries into bin/.
	$(call say,compiling into bin/)
	@go build -o $(BIN)/ ./services/cmd/... ./operator/cmd/...

.PHONY: test
test: lint check-generated check-chart check-tiltfile unit lab-e2e ## Everything that CI checks.

##@ Single checks

.PHONY: lint
lint: $(LINT) $(BUF) ## Lint Go and protos.
	$(call say,linting)
	@cd proto && $(BUF) lint && $(BUF) format --diff --exit-code --path circle15
	@GOFLAGS=-race $(LINT) run --allow-parallel-runners ./... # with -race it compiles what the tests need again

.PHONY: unit
unit: export KUBEBUILDER_ASSETS ?= $(KUBERNETES)
unit: $(if $(KUBEBUILDER_ASSETS),,kubernetes) ## All Go tests, with the race detector, on a real PostgreSQL and a real API server.
	$(call say,testing with the race detector on a real PostgreSQL and a real API server)
	@go test -race -vet=off -timeout 20m $(ARGS) ./... # lint runs vet

# Each is a set of values, as in helm --set.
LAYOUTS := services.layout=single \
	services.layout=perService,services.autoscaling.enabled=true,operator.replicas=2,ingress.enabled=true,httpRoute.enabled=true,httpRoute.parentRefs[0].name=front,serviceMonitor.enabled=true \
	developmentDatabase.enabled=true,developmentDatabase.bootstrap=true,services.builtinIssuer.enabled=true,services.replicas=1

.PHONY: check-chart
check-chart: $(HELM) $(KUBE_SCORE) $(SCHEMAS)/_definitions.json ## Render the chart in its layouts and judge it with its tests, helm lint, kubeconform and kube-score.
	$(call say,checking the chart)
	@cd internal/tools/chart && go test -count=1 .
	@helm lint --quiet charts/circle15
	@for values in $(LAYOUTS); do \
		helm template check charts/circle15 --namespace check --include-crds --kube-version $(KUBE_VERSION) --set "$$values" > .cache/chart.yaml; \
		kubeconform -strict -summary -schema-location '$(SCHEMAS)/{{.ResourceKind}}{{.KindSuffix}}.json' .cache/chart.yaml; \
		kube-score score --ignore-test container-image-pull-policy --output-format ci .cache/chart.yaml | (! grep -F '[CRITICAL]'); \
	done

# The folder of a module that a tools module pins: $(call module,tools module,module).
module = $$(cd internal/tools/$(1) && go mod download -json $(2) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')

$(SCHEMAS)/_definitions.json: internal/tools/kubernetes/go.mod internal/tools/definitions/go.mod $(wildcard charts/circle15/crds/*.yaml)
	$(call say,writing the schemas of Kubernetes $(KUBE_VERSION) and of custom resources)
	@gateway=$(call module,definitions,sigs.k8s.io/gateway-api)/config/crd/standard; \
	prometheus=$(call module,definitions,github.com/prometheus-operator/prometheus-operator)/example/prometheus-operator-crd; \
	swagger=$(call module,kubernetes,k8s.io/kubernetes)/api/openapi-spec/swagger.json; \
	cd internal/tools/chart && go run ./schemas "$$swagger" $(CURDIR)/$(SCHEMAS) $(CURDIR)/charts/circle15/crds/*.yaml \
		"$$gateway/gateway.networking.k8s.io_httproutes.yaml" "$$prometheus/monitoring.coreos.com_servicemonitors.yaml"
.PHONY: check-tiltfile
check-tiltfile: $(HELM) ## Run the Tiltfile against stand-ins of Tilt's functions.
	$(call say,checking the Tiltfile)
	@cd internal/tools/tilt && go test -count=1 .

.PHONY: fuzz
fuzz: ## Fuzz every parser for a minute each.
	@for target in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs grep -HoE '^func Fuzz[A-Za-z0-9]+' | sed 's/:func /:/'); do \
		printf '\n==> fuzzing %s\n' "$$target"; \
		go test -run '^$$' -fuzz "^$${target##*:}$$" -fuzztime 1m "$$(dirname "$${target%%:*}")"; \
	done

.PHONY: bench
bench: ## Measure; prints ratios beside a peer and the limit.
	$(call say,measuring)
	@go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./services/bench

##@ Kubernetes

.PHONY: kubernetes
kubernetes: $(KUBERNETES)/kubectl ## Build the API server, etcd and kubectl for the operator's tests (about 5 minutes, once).

$(KUBERNETES)/kubectl: internal/tools/kubernetes/go.mod
	$(call say,building a kube-apiserver and etcd into $(KUBERNETES) (about 5 minutes, once))
	@mkdir -p $(KUBERNETES)
	@cd internal/tools/kubernetes && CGO_ENABLED=0 go build -ldflags '-s -w' -o $(KUBERNETES)/etcd go.etcd.io/etcd/server/v3
	@cd internal/tools/kubernetes && CGO_ENABLED=0 go build -ldflags '-s -w' -o $(KUBERNETES)/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
	@cd internal/tools/kubernetes && CGO_ENABLED=0 go build -ldflags '-s -w' -o $(KUBERNETES)/kubectl k8s.io/kubernetes/cmd/kubectl

IMAGE ?= circle15.dev/circle15:dev
IMAGE_LOAD ?= docker load --input
VERSION ?= dev

.PHONY: binaries
binaries: ## Compile both binaries, static and small, into .cache/image/.
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X circle15.dev/internal/version.Version=$(VERSION)' -o .cache/image/ ./services/cmd/circle15 ./operator/cmd/circle15-operator

.PHONY: image
image: binaries ## Pack both binaries into IMAGE without a container engine, and load it with IMAGE_LOAD (DEV=1: with live update).
	$(call say,packing $(IMAGE))
	@$(if $(DEV),cd internal/tools/image && CGO_ENABLED=0 go build -o $(CURDIR)/.cache/image/rerun ./dev && cp $(CURDIR)/.cache/image/rerun $(CURDIR)/.cache/image/tar)
	@cd internal/tools/image && go run . $(IMAGE) $(CURDIR)/.cache/image/circle15-image.tar \
		$(addprefix $(CURDIR)/.cache/image/,circle15 circle15-operator $(if $(DEV),rerun tar))
	@$(IMAGE_LOAD) .cache/image/circle15-image.tar

.PHONY: e2e
e2e: image $(HELM) ## Install the chart on the cluster of KUBECONFIG and work with it (see operator/e2e).
	@$(MAKE) --no-print-directory image DEV=1 IMAGE=$(IMAGE)-live
	$(call say,end to end on Kubernetes)
	@E2E_IMAGE=$(IMAGE) E2E_LIVE_IMAGE=$(IMAGE)-live go test -tags e2e -count=1 -timeout 20m -v ./operator/e2e

# The lab stands beside the checkout on the project's own machines, and needs root.
LAB := ../shared/cluster/cluster

.PHONY: lab-e2e
lab-e2e: ## The same on a one-node Kubernetes of its own, where this machine can have one.
	@if [ "$$(id -u)" = 0 ] && [ -x $(LAB) ]; then .ci/lab-e2e $(LAB); else echo 'no lab cluster here: skipping the test on a real node'; fi

.PHONY: bench-operator
bench-operator: export KUBEBUILDER_ASSETS ?= $(KUBERNETES)
bench-operator: kubernetes ## Onboard all 2,978 counties on a real API server and PostgreSQL, and print a table.
	@go test -run '^$$' -bench Scale -benchtime 1x -timeout 60m ./operator/run

##@ Generated code

.PHONY: generate
generate: $(BUF) $(PLUGINS) $(CONTROLLER_GEN) $(HELM) ## Generate code, contract, definitions and chart documents from their sources.
	$(call say,generating code)
	@rm -rf .cache/openapi
	@cd proto && $(BUF) generate
	@go run ./internal/openapigen
	@controller-gen object crd paths=./api/tenancy/... output:crd:dir=charts/circle15/crds
	@go run ./internal/valuesschema
	@helm-docs --chart-search-root charts --log-level warning

.PHONY: check-generated
check-generated: generate ## Fail when committed generated code is not what its sources give.
	$(call say,comparing generated code with what is committed)
	@git diff --exit-code -- api charts
	@test -z "$$(git ls-files --others --exclude-standard -- api charts)" || { git status --short -- api charts; exit 1; }

##@ Tools

$(PLUGINS): go.mod
	$(call say,building the protoc plugins that go.mod pins)
	@mkdir -p $(TOOLS) && go build -o $(TOOLS)/ tool && touch $@

# Without optimization: it runs for seconds, and is built sooner.
$(BUF): internal/tools/proto/go.mod
	$(call say,building buf (a minute or two the first time))
	@mkdir -p $(TOOLS) && cd internal/tools/proto && go build -gcflags='all=-N -l' -ldflags='-s -w' -o $(TOOLS)/ tool && touch $@

$(LINT): internal/tools/lint/go.mod
	$(call say,building golangci-lint (a minute or two the first time))
	@mkdir -p $(TOOLS) && cd internal/tools/lint && go build -o $(TOOLS)/ tool && touch $@

$(CONTROLLER_GEN): internal/tools/crd/go.mod
	$(call say,building controller-gen)
	@mkdir -p $(TOOLS) && cd internal/tools/crd && go build -o $(TOOLS)/ tool && touch $@

$(KUBE_SCORE): internal/tools/score/go.mod
	$(call say,building kube-score)
	@mkdir -p $(TOOLS) && cd internal/tools/score && go build -o $(TOOLS)/ tool && touch $@

$(HELM): internal/tools/chart/go.mod
	$(call say,building helm and kubeconform and helm-docs)
	@mkdir -p $(TOOLS) && cd internal/tools/chart && go build -ldflags '$(HELM_KUBE_VERSION)' -o $(TOOLS)/ tool && touch $@

# Helm's releases are stamped with the Kubernetes that `helm template` renders for; without, it is 1.20.
helm_values := helm.sh/helm/v3/pkg/chartutil
HELM_KUBE_VERSION := -X $(helm_values).k8sVersionMajor=1 -X $(helm_values).k8sVersionMinor=$(word 2,$(subst ., ,$(KUBE_VERSION)))

.PHONY: clean
clean: ## Remove what this Makefile built (not the demo data).
	@rm -rf bin .cache
