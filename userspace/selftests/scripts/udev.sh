#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# S-17: what Debian's udev does with the nodes, by the installed rules.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

by_name=/dev/iostreams/by-name

# Starts the daemon, which runs until the clause's process group is killed.
daemon() {
	[ -x /usr/lib/systemd/systemd-udevd ] || wrong 'there is no udev in this VM'
	grep -q '^iostream:' /etc/group || echo 'iostream:x:990:' >>/etc/group
	mkdir -p /run/udev
	/usr/lib/systemd/systemd-udevd >"$work/udevd" 2>&1 &
	within udevadm control --ping
}

# Waits until udev has handled all events of the kernel.
settled() { udevadm settle --timeout="$(limit 100)" || wrong "udev does not settle: $(cat "$work/udevd")"; }

# Permission bits, owner and group of a node.
rights() { stat -L -c '%a %u:%g' "$1"; }

publish() {
	tell spare unpublish
	tell spare "publish-mode udevtest $1 $2"
	settled
}

link_by_name() {
	daemon
	publish 600 0
	equal "$(readlink -f "$by_name/udevtest")" "$(node udevtest)"
	# Nodes that existed before the daemon are handled when it is triggered.
	udevadm trigger --action=add --subsystem-match=iostream
	settled
	for name in it2way itout itin itover stout; do
		equal "$(readlink -f "$by_name/$name")" "$(node "$name")"
	done
	[ ! -e "$by_name/iostream" ] || wrong '/dev/iostream has a link'
	# The link goes with the node, and comes with the next one.
	tell spare unpublish
	settled
	[ ! -L "$by_name/udevtest" ] || wrong 'the link is still there'
	publish 600 0
	iostreamctl info "$by_name/udevtest" >"$work/info" || wrong "$(cat "$work/info")"
}

group() {
	daemon
	publish 660 0
	equal "$(rights "$(node udevtest)")" '660 0:990'
	# The driver denies access to the group.
	publish 600 0
	equal "$(rights "$(node udevtest)")" '600 0:990'
	! su tester -c "cat $(node udevtest)" 2>"$work/error" || wrong 'anybody may read it'
}

driver_group() {
	daemon
	publish 640 1000
	equal "$(rights "$(node udevtest)")" '640 0:1000'
	equal "$(readlink -f "$by_name/udevtest")" "$(node udevtest)"
}

module_removed() {
	daemon
	udevadm trigger --action=add --subsystem-match=iostream
	settled
	[ -L "$by_name/stout" ] || wrong 'no link'
	rmmod iostream_test
	settled
	[ ! -L "$by_name/stout" ] || wrong 'the link is still there'
	insmod "$modules/iostream_test.ko"
	settled
	equal "$(readlink -f "$by_name/stout")" "$(node stout)"
}

# The bug-hunting kernel lacks what the daemon needs.
[ -e /proc/sys/fs/inotify ] || plan

clause S-17/udev-link-by-name link_by_name
clause S-17/udev-group group
clause S-17/udev-group-of-the-driver driver_group
clause S-18/udev-link-goes module_removed
plan
