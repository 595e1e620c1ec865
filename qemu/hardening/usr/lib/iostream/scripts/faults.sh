#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Let each allocation fail in turn (userspace/selftests/c/faults.c). The injection prints no
# message, which would be a trace of calls in the log, and includes allocations that may wait, which
# the kernel leaves out by default.

for kind in failslab fail_page_alloc; do
	knobs=/sys/kernel/debug/$kind
	echo 0 >"$knobs/verbose"
	echo N >"$knobs/ignore-gfp-wait"
done
echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
echo 0 >/sys/kernel/debug/fail_usercopy/verbose
exec /usr/bin/faults
