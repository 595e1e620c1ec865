# SPDX-License-Identifier: GPL-2.0
#
# What a person types: `make help` lists the targets. Each one calls a script, which fetches
# whatever is missing.

KDIR ?=
KERNEL ?=
LONG ?=
ONLY ?=
QUICK ?=
FILE ?=
FOLDER ?=
CMD ?=
PAIRS ?=
PREFIX ?= /usr/local
DESTDIR ?=
export KERNEL LONG ONLY QUICK PAIRS PREFIX DESTDIR

.PHONY: help demo test test-install test-newest harden bench check format shell driver vm modules modules_install userspace install uninstall deb doc \
	clean distclean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: ## send a file into the kernel and back, in a VM (FILE=path)
	@scripts/demo $(FILE)

test: ## tests on the host, in the VMs, of the harness (LONG=1: full counts; ONLY='Q-12/*'; KERNEL=amd64; ARCH=arm64)
	@scripts/test

test-install: ## install, use, upgrade and purge the Debian packages in a VM (QUICK=1: no upgrade)
	@scripts/tests/install

test-newest: ## build with the newest compilers for Debian's newest kernel, and test there (ONLY='Q-12/*')
	@scripts/tests/newest

harden: ## bug-hunting kernel, hostile process, soak, mutants (QUICK=1: a small part; ONLY='Q-12/*')
	@scripts/harden

check: ## formatting, lints, licences, generated files, models (ONLY='*clippy*')
	@scripts/check

bench: ## compare with the peers, in the VM and on the host (ONLY='G-*|growth'; PAIRS=9)
	@scripts/bench

format: ## format all Rust code as `make check` expects it
	@scripts/format

shell: vm ## a prompt in the VM
	@qemu/run --shell

driver: ## build the driver in FOLDER, load it in the VM, and give a prompt (CMD=command)
	@scripts/driver "$(FOLDER)" $(if $(CMD),"$(CMD)")

vm: modules userspace ## build everything that goes into the VM

modules: ## build the kernel modules into build/modules (KDIR=tree: for another kernel)
	@scripts/build/modules "$(KDIR)" modules

modules_install: modules ## install them, for the kernel of KDIR (INSTALL_MOD_PATH=folder)
	@scripts/build/install-modules "$(KDIR)"

userspace: ## build iostreamctl and the selftests into build/cargo
	@scripts/build/userspace

install: ## install the command, headers, udev rules (PREFIX=/usr/local, DESTDIR=folder)
	@scripts/build/install

uninstall: ## remove what `make install` has installed
	@scripts/build/install --remove

deb: ## build the Debian packages into build/deb
	@scripts/build/deb

doc: ## build the documentation into build/doc
	@scripts/build/doc

clean: ## remove build/
	@scripts/env/remove-tree build

distclean: clean ## also remove the cache: root folder, kernel trees, downloads
	@scripts/env/remove-cache
