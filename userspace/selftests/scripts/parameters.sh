#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# B-05: the parameters of iostream.ko.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

mode() { stat -c %a /dev/iostream; }

mode_default() {
	load_with
	equal "$(mode) $(stat -c %u:%g /dev/iostream)" '600 0:0'
}

mode_parameter() {
	for mode in 660 666 400; do
		load_with "mode=0$mode"
		equal "$(mode)" "$mode"
	done
	# A process without the right to open gets no memory.
	load_with mode=0600
	! su tester -c ': <>/dev/iostream' || wrong 'opened by a user'
	load_with mode=0666
	su tester -c ': <>/dev/iostream'
}

mode_refused() {
	unload
	for mode in 01777 0o1000 65535; do
		! insmod "$modules/iostream.ko" "mode=$mode" || wrong "mode=$mode is accepted"
		! loaded iostream || wrong 'it is loaded'
	done
	dmesg | grep -q 'mode=1777 has bits beyond 0777' || wrong 'no word of it in the log'
	[ ! -e /dev/iostream ] || wrong '/dev/iostream exists'
	# Nothing is left behind.
	load_with
	iostreamctl echo iostream --generate 10K --quiet
}

not_a_number() {
	unload
	for parameter in max_queue_bytes=many max_total_bytes=-1 mode=rw max_queue_bytes=99999999999999999999999; do
		! insmod "$modules/iostream.ko" "$parameter" || wrong "$parameter is accepted"
		! loaded iostream || wrong 'it is loaded'
	done
}

max_queue_bytes() {
	load_with max_queue_bytes=65536
	fails 8 '/dev/iostream allows 65536 bytes for one queue: lower --queue-bytes' \
		iostreamctl echo iostream --generate 1M --queue-bytes 68K --quiet
	iostreamctl echo iostream --generate 1M --queue-bytes 64K --quiet
	iostreamctl info --json | grep -q '"max_queue_bytes":65536' || wrong 'info does not say so'
	# The limit applies to drivers, too: the test driver has a queue of just that size.
	insmod "$modules/iostream_test.ko"
	! tell spare 'publish spare 65537 0' || wrong 'a driver gets more'
	tell spare 'publish spare 65536 0'
	unload
	load_with max_queue_bytes="$page"
	! insmod "$modules/iostream_test.ko" || wrong 'a driver gets more'
	iostreamctl echo iostream --generate 10K --queue-bytes 4K --entry-size 1K --quiet
}

# A worker frees the pages a moment after the session.
no_pages() { [ "$(cat /sys/class/iostream/iostream/pages)" = 0 ]; }

# Pages of queues: three more than the data, for each queue. The total of each user.
max_total_bytes() {
	load_with max_total_bytes=1048576 mode=0666
	fails 8 '/dev/iostream has no memory left for queues of this user' \
		su tester -c 'iostreamctl echo iostream --generate 1M --queue-bytes 512K --quiet'
	within no_pages
	su tester -c "iostreamctl echo iostream --generate 1M --queue-bytes $((524288 - 3 * page)) --quiet"
	within no_pages
	# Root may exceed it.
	iostreamctl echo iostream --generate 1M --queue-bytes 2M --quiet
	within no_pages
	iostreamctl info --json | grep -q '"max_total_bytes":1048576' || wrong 'info does not say so'
}

clause B-05/mode-default mode_default
clause B-05/mode-parameter mode_parameter
clause B-05/mode-beyond-0777-refused mode_refused
clause B-05/not-a-number-refused not_a_number
clause B-05/max-queue-bytes max_queue_bytes
clause B-05/max-total-bytes max_total_bytes
plan
