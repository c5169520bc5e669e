# The front door; `make help` says what there is. The work is done by the
# scripts in tools/, with Meson and Ninja underneath.
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DEFAULT_GOAL := all

.PHONY: all bin run cluster check sim tidy bench fuzz ci setup clean help

all: bin

bin: ## build bin/: etched, etchctl, and links etcd, etcdctl to them
	@tools/setup build
	@tools/programs

run: bin ## start a server on 127.0.0.1:2379, its data in data/ (ARGS=)
	@exec tools/run $(ARGS)

cluster: bin ## start three members on this machine, and say how to kill one
	@exec tools/cluster $(ARGS)

check: ## run every test (T=word: those whose name has it)
	@exec tools/check $(if $(T),--only '$(T)')

sim: bin ## break a simulated cluster SEEDS=1000 times (SEED=1: the first)
	@exec bin/sim --quiet --jobs 2 --seeds $(or $(SEEDS),1000) \
		--seed $(or $(SEED),1)

tidy: ## check the house rules: floors, form, sizes, CHECKs, tests
	@tools/setup check
	@exec tools/tidy

bench: ## compare with etcd on this machine, and print the table
	@tools/setup bench
	@tools/programs
	@bench/run
	@bench/cluster
	@bench/v3
	@bench/recipes
	@exec bench/security

fuzz: ## run each fuzz target for FUZZ_SECONDS=20 (T=target: one)
	@tools/setup check
	@exec tools/fuzz $(T)

ci: ## all that a release needs: gcc, clang, sanitizers, tidy, fuzz
	@exec tools/ci

setup: ## install the packages for all of the above
	@tools/setup bench

clean: ## remove what was built (data/ stays)
	@rm -rf build bin

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))
