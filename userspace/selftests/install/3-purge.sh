#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# I-01: the packages are purged.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

ours() { dpkg-query -W -f '${binary:Package}\n' '*iostream*' 2>/dev/null; }

purge() {
	unload
	# shellcheck disable=SC2046
	DEBIAN_FRONTEND=noninteractive apt-get -q -y purge $(ours)
	equal "$(ours)" ''
	# What the tests have laid over the system, C++'s header, and the pages that man keeps for a time.
	left=$(find / -xdev \( -path /opt -o -path /usr/lib/iostream -o -path /tmp -o -path /usr/include/c++ -o -path /var/cache/man \) \
		-prune -o -name '*iostream*' -print)
	equal "$left" ''
	equal "$(modules_for "$release")" ''
	! modprobe iostream 2>/dev/null || wrong 'it can still be loaded'
}

clause I-01/purge-leaves-nothing purge
plan
