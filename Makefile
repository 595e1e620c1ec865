# SPDX-License-Identifier: GPL-2.0
#
# What a person types. Each target is a script's work; `make help` lists them. All that is missing is fetched on the way.

KDIR ?=
LONG ?=
ONLY ?=
QUICK ?=
FILE ?=
PAIRS ?=
export LONG ONLY QUICK PAIRS

.PHONY: help demo test harden bench check format shell vm modules modules_install userspace doc clean distclean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z_]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: ## send a file into the kernel and back, in a VM (FILE=path)
	@scripts/demo $(FILE)

test: ## host tests, VM tests, tests of the harness (LONG=1: full counts; ONLY=pattern: rows that match)
	@scripts/test

harden: ## look for holes: a kernel that hunts bugs, a hostile process, a soak, mutants (QUICK=1: a tenth; ONLY=pattern)
	@scripts/harden

check: ## formatting, lints, licences, generated files, models (ONLY=pattern: checks that match)
	@scripts/check

bench: ## compare with the peers, in the VM and on the host (ONLY=G-1: one; ONLY=growth; PAIRS=9)
	@scripts/bench

format: ## format all Rust as `make check` wants it
	@scripts/format

shell: vm ## a prompt in the VM, to play in
	@qemu/run --shell

vm: modules userspace ## build all that goes into the VM

modules: ## build the kernel modules into build/modules (KDIR=tree: for your own kernel)
	@scripts/build/modules "$(KDIR)" modules

modules_install: modules ## install them, for the kernel of KDIR (INSTALL_MOD_PATH=folder)
	@scripts/build/install-modules "$(KDIR)"

userspace: ## build iostreamctl and the selftests into build/cargo
	@scripts/build/userspace

doc: ## build the documentation into build/doc
	@scripts/build/doc

clean: ## remove what was built
	@scripts/env/remove-tree build

distclean: clean ## remove the cache too: root folder, kernel tree, downloads
	@scripts/env/remove-cache
