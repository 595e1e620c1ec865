#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# I-02: another kernel was installed, and runs.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

rebuilt() {
	dkms status iostream | grep -q ", $release, .*: installed" || wrong "$(dkms status)"
	equal "$(modules_for "$release")" "$all_modules"
	modprobe iostream_ticker
	udevadm settle
	[ "$(numbers)" -ge 1 ]
}

# The kernel that nobody boots any more is removed, and what was made for it.
removed() {
	before=$(find /usr/lib/modules -mindepth 1 -maxdepth 1 ! -name "$release" -exec basename {} \;)
	[ -n "$before" ]
	[ -e "/var/lib/iostream/kernel/$before" ]
	DEBIAN_FRONTEND=noninteractive apt-get -q -y purge "linux-image-$before" "linux-headers-$before"
	[ ! -e "/var/lib/iostream/kernel/$before" ] || wrong 'its tree is still there'
	equal "$(find "/usr/lib/modules/$before" -name 'iostream*' 2>/dev/null)" ''
	equal "$(modules_for "$release")" "$all_modules"
}

clause I-02/rebuilt-for-a-new-kernel rebuilt
clause I-02/removed-with-its-kernel removed
plan
