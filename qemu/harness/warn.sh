#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A stand-in whose tests pass while the kernel warns: the harness must fail it for the log alone.

if [ "$1" = --list ]; then
	echo X-01/one
	exit
fi
echo 'KTAP version 1'
echo 1..1
if insmod /lib/modules/iostream_harness_warn.ko; then
	echo 'ok 1 X-01/one'
else
	echo 'not ok 1 X-01/one'
fi
