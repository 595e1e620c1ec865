#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# F-10: a machine with Secure Boot, whose owner has enrolled a key.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

# refused MODULE: the kernel does not load it, because of its signature.
refused() {
	unload
	! insmod "$1" 2>"$work/error" || wrong "$1 was loaded"
	grep -q 'Key was rejected\|Required key not available' "$work/error" || wrong "$(cat "$work/error")"
	! loaded iostream || wrong 'it is loaded'
}

locked_down() {
	grep -q '\[integrity\]' /sys/kernel/security/lockdown || wrong "$(cat /sys/kernel/security/lockdown)"
	dmesg | grep -q 'Kernel is locked down from EFI Secure Boot' || wrong 'Secure Boot is off'
	ready
	"$use" 2>&1 || wrong 'not while the kernel is locked down'
}

unsigned() { refused /usr/lib/iostream/unsigned.ko; }
foreign() { refused /usr/lib/iostream/foreign.ko; }

changed() {
	cp "$modules/iostream.ko" "$work/changed.ko"
	printf x | dd of="$work/changed.ko" bs=1 seek=5000 conv=notrunc status=none
	refused "$work/changed.ko"
}

signed() {
	unload
	for module in iostream iostream_pattern; do
		equal "$(modinfo -F signer "$module")" 'owner of the iostream test machine'
		modprobe "$module"
	done
	node pattern >/dev/null || wrong 'no node'
}

clause F-10/works-locked-down locked_down
clause F-10/unsigned-module-is-refused unsigned
clause F-10/module-of-another-key-is-refused foreign
clause F-10/changed-module-is-refused changed
clause F-10/module-signed-by-the-owner-loads signed
plan
