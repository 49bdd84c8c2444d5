# SPDX-License-Identifier: GPL-2.0-or-later
#
# The front door. Thin: user space and tests are CMake's, the module Kbuild's (tools/build-module).
# A line `target: ... ## text` is a line of `make help`; `##@ text` starts a group there.

# Each step needs the one before it; the steps run in parallel inside.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo demo-shell deps build module images check check-unit check-qemu check-faults
.PHONY: fuzz tidy sim cases format clean programs rfc-coverage check-mutants coverage
.PHONY: check-debug check-more

JOBS ?= $(shell nproc)
# Asked for when used, not when read: `make deps` may install the kernel that is then found.
KDIR ?= $(or $(KERNEL_DIR),$(shell tools/kernel-dir))
CTEST = ctest --test-dir build/cmake --output-on-failure --no-tests=error

##@ See it
demo: deps images ## boot a diskless machine over one session of four connections
	build/bin/hawser-demo

demo-shell: deps images ## the same machine, a console login, until you power it off
	build/bin/hawser-demo --shell

##@ Build
deps: ## install what is missing: names it first; sudo unless root
	@tools/deps

build: build/cmake/build.ninja ## programs and tests, to build/bin
	cmake --build build/cmake --parallel $(JOBS)

module: ## build/module/hawser.ko; KDIR=... (or KERNEL_DIR=) chooses the kernel
	KDIR="$(KDIR)" tools/build-module build/module

# What a machine is made of and run by; not the tests, which take longer to compile.
programs: build/cmake/build.ninja
	cmake --build build/cmake --parallel $(JOBS) --target hawser hawser-demo

images: programs module ## build/images: vmlinuz, initrd.img, boot.ipxe, root.img
	images/build

##@ Check
# The faults and the machines beyond an hour have targets of their own.
check: deps build module images ## style, units, fuzzers, simulator, module, the first machines
	KDIR="$(KDIR)" $(CTEST) --parallel $(JOBS) --label-exclude '^(fault|more)$$'

check-unit: build/cmake/build.ninja ## unit tests alone: seconds, no root
	cmake --build build/cmake --parallel $(JOBS) --target unit-programs
	$(CTEST) --parallel $(JOBS) --label-regex '^unit$$'

check-qemu: build module images ## machines alone; T=name picks scenarios by name
	$(CTEST) --label-regex '^qemu$$' $(if $(T),--tests-regex "$(T)")

check-more: build module images ## machines that take long: ends of all kinds, rivals, leaks; T=name
	KDIR="$(KDIR)" $(CTEST) --label-regex '^more$$' $(if $(T),--tests-regex "$(T)")

# What failed stands in the table too: it alone decides.
check-faults: build module images ## the thirty faults on machines, and their table; T=08 picks
	rm -rf build/qemu/fault-*
	-$(CTEST) --label-regex '^fault$$' $(if $(T),--tests-regex "fault-($(T))")
	build/bin/hawser-faults

# Each kernel is built once, a quarter of an hour.
check-debug: build module ## kernels with KASAN and lockdep, and KCSAN; leaks in full; CYCLES=1000
	tests/debug-kernel/check

fuzz: ## every parser and the stream under libFuzzer; SECONDS=60 is how long each
	@mkdir -p build/fuzz && tests/fuzz/run build/fuzz all $(or $(SECONDS),60)

sim: build/cmake/build.ninja ## sessions under faults in virtual time; SEEDS=1000, FIRST=1
	@cmake --build build/cmake --parallel $(JOBS) --target hawser-sim
	build/bin/hawser-sim --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1) --jobs $(JOBS)
	build/bin/hawser-sim --canary all --seeds 400

cases: build/cmake/build.ninja ## the scripted target's cases: listed by UNH number, then run
	@cmake --build build/cmake --parallel $(JOBS) --target hawser-cases
	build/bin/hawser-cases --list tests/target/cases
	build/bin/hawser-cases tests/target/cases

tidy: build/cmake/build.ninja ## style as a test: lengths, includes, names, symbols
	@cmake --build build/cmake --parallel $(JOBS) --target hawser-tidy
	build/bin/hawser-tidy .

rfc-coverage: build/cmake/build.ninja ## the rules of docs/rules.md and the tests that hold each
	@cmake --build build/cmake --parallel $(JOBS) --target hawser-rfc-coverage
	build/bin/hawser-rfc-coverage .

check-mutants: build/cmake/build.ninja ## each rule broken on purpose: its tests must fail; R=22
	@nice cmake --build build/cmake --parallel $(JOBS) --target mutants-bench
	nice build/bin/hawser-mutants $(if $(R),--rule $(R))

coverage: build/cmake/build.ninja ## lines and branches of the engine that tests reach; SEEDS=200
	@nice cmake --build build/cmake --parallel $(JOBS) --target counted-programs
	@SEEDS=$(or $(SEEDS),200) nice tests/coverage/run build/cmake

##@ Keep house
format: ## clang-format on C++ (initiator/kernel follows checkpatch: left alone)
	git ls-files '*.cpp' '*.h' '*.hpp' ':!initiator/kernel' | xargs clang-format -i

clean: ## remove build/; the cache of slow things stays (~/.cache/hawser)
	rm -rf build

help: ## this page
	@echo 'Hawser: the root disk of a diskless machine over one many-stranded iSCSI session.'
	@sed -n -e 's/^##@ /\n/p' -e 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

build/cmake/build.ninja: | tools/deps
	@command -v cmake >/dev/null && command -v ninja >/dev/null || { \
		echo 'make: cmake or ninja is missing: run "make deps" first' >&2; exit 1; }
	cmake -S . -B build/cmake -G Ninja
