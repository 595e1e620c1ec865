#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Lets each allocation fail in turn (userspace/selftests/c/faults.c). Without a message for each, which would be one more
# trace of calls in the log; and those that may wait as well, which the kernel leaves out unless told.

for kind in failslab fail_page_alloc; do
	knobs=/sys/kernel/debug/$kind
	echo 0 >"$knobs/verbose"
	echo N >"$knobs/ignore-gfp-wait"
done
echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
echo 0 >/sys/kernel/debug/fail_usercopy/verbose
exec /usr/bin/faults
