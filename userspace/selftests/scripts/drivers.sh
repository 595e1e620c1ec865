#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# Q-20: drivers in modules of their own.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

depends() {
	lsmod | grep -q '^iostream .*iostream_test' || wrong "$(lsmod)"
	for module in iostream_test iostream_ticker; do
		tr '\0' '\n' <"$modules/$module.ko" | grep -qE '^depends=iostream(,|$)' || wrong "$module does not depend on iostream"
	done
	# It cannot be loaded before the framework, and the framework cannot be removed before it.
	! rmmod iostream || wrong 'the framework goes'
	unload
	! insmod "$modules/iostream_ticker.ko" || wrong 'a driver without the framework'
	dmesg | grep -q 'iostream_ticker: Unknown symbol' || wrong 'no word of it in the log'
}

# Whether standard input has three lines, each a larger number than the one before.
growing() { awk '$1 <= last { exit 1 } { last = $1 } END { exit NR != 3 }' "$1"; }

readme_driver() {
	insmod "$modules/iostream_ticker.ko"
	iostreamctl list | grep -q ' ticker ' || wrong "$(iostreamctl list)"
	# As in the README, without iostreamctl.
	iostreamctl recv ticker --count 3 | od -An -v -t d8 -w8 >"$work/times"
	growing "$work/times" || wrong "$(cat "$work/times")"
	before=$(now)
	dd bs=8 count=3 if="$(node ticker)" 2>"$work/error" | od -An -v -t d8 -w8 >"$work/times"
	growing "$work/times" || wrong "$(cat "$work/times")"
	# The numbers are times since boot.
	after=$(now)
	seconds=$(awk 'END { printf "%d", $1 / 1000000000 }' "$work/times")
	if [ "$seconds" -lt "$before" ] || [ "$seconds" -gt "$after" ]; then
		wrong "$seconds s, read between $before s and $after s"
	fi
	rmmod iostream_ticker
	[ ! -e /sys/module/iostream_ticker ] || wrong 'still loaded'
	! node ticker || wrong 'the node is still there'
}

readme_driver_cat() {
	insmod "$modules/iostream_ticker.ko"
	cat "$(node ticker)" >"$work/times" &
	within test -s "$work/times"
	# Its timer stops and its node goes while a client reads.
	rmmod iostream_ticker
	! wait $! || wrong 'cat ends well although the device is gone'
	[ $(($(wc -c <"$work/times") % 8)) = 0 ] || wrong 'half an entry'
}

# A driver that was built against other framework sources, with one more line.
stale_driver() {
	dmesg -c >/dev/null
	! insmod "$modules/stale/iostream_ticker.ko" 2>"$work/error" || wrong 'a stale driver is loaded'
	[ ! -e /sys/module/iostream_ticker ] || wrong 'it is loaded'
	! node ticker || wrong 'it has a node'
	dmesg | grep -q 'iostream_ticker: Unknown symbol' || wrong "$(dmesg)"
	insmod "$modules/iostream_ticker.ko"
	iostreamctl recv ticker --count 1 >"$work/times"
	[ "$(wc -c <"$work/times")" = 8 ] || wrong 'the right one does not work'
}

# A driver that was built outside the checkout, with nothing but what is installed.
template_driver() {
	insmod "$modules/template/iostream_example.ko"
	# Two buffers of 4096 bytes, read by an ordinary program.
	dd bs=4096 count=2 if="$(node squares)" 2>"$work/error" | od -An -v -t u8 -w8 | tr -d ' ' >"$work/squares"
	awk '$1 != (NR - 1) * (NR - 1) { exit 1 } END { exit NR != 1024 }' "$work/squares" ||
		wrong "$(head -n 20 "$work/squares")"
	cat "$(node squares)" >/dev/null &
	within running squares
	rmmod iostream_example
	! wait $! || wrong 'cat ends well although the device is gone'
}

running() { [ "$(cat "/sys/class/iostream/$(basename "$(node "$1")")/state")" = running ]; }

clause Q-20/depends-on-the-framework depends
clause Q-20/readme-driver readme_driver
clause Q-20/readme-driver-removed-while-read readme_driver_cat
clause Q-20/stale-driver-refused stale_driver
clause S-20/template-out-of-tree template_driver
plan
