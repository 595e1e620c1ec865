#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# I-01: the packages are upgraded while a stream is open.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

version() { dpkg-query -W -f '${Version}' iostream-dkms; }

# more_than NUMBER FILE: the file has a higher number by now.
more_than() { [ "$(cat "$2")" -gt "$1" ]; }

upgrade() {
	modprobe iostream_pattern
	udevadm settle
	before=$(version)
	iostreamctl cat pattern --quiet --output /dev/null --count 1000000000 &
	reader=$!
	within grep -qx running /sys/class/iostream/iostream*/state
	DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install /opt/next/*.deb
	equal "$(version)" "$before+next"
	# The reader goes on with the modules that it began with.
	node=$(node pattern)
	sent=$(cat "/sys/class/iostream/${node##*/}/stream/sent")
	within more_than "$sent" "/sys/class/iostream/${node##*/}/stream/sent"
	# A shell's background process may ignore SIGINT.
	kill "$reader"
	wait "$reader" || true
	unload
	modprobe iostream_pattern
	udevadm settle
	iostreamctl cat pattern --quiet --count 10 --output "$work/frames"
	[ -s "$work/frames" ]
	equal "$(modules_for "$release")" "$all_modules"
	dkms status iostream >"$work/status"
	equal "$(wc -l <"$work/status")" 1
	grep -q '+next' "$work/status"
}

clause I-01/upgrade-with-an-open-stream upgrade
plan
