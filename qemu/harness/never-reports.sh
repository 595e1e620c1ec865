#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A stand-in that ends well, yet has not reported on a test that it planned: the harness must miss it.

if [ "$1" = --list ]; then
	printf '%s\n' X-01/one X-01/two
	exit
fi
echo 'KTAP version 1'
echo 1..2
echo 'ok 1 X-01/one'
