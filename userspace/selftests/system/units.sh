#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# F-10: what systemd makes of the files that are installed: the group, device units, services that
# depend on a node.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

unit() { systemd-escape --path --suffix=device "$1"; }
active() { systemctl --quiet is-active "$1"; }
inactive() { ! active "$1"; }

group() {
	groupdel iostream
	systemd-sysusers
	getent group iostream >"$work/group" || wrong 'no group'
	systemd-sysusers
	equal "$(getent group iostream)" "$(cat "$work/group")"
	[ "$(cut -d : -f 3 "$work/group")" -lt 1000 ] || wrong 'it is not one of the system'
}

members() {
	ready
	# Root may open each node, whatever its permissions.
	fails 4 'join the group iostream' setpriv --reuid=tester --regid=tester --clear-groups \
		iostreamctl cat pattern --count 1 --quiet
	fails 4 'join the group iostream' setpriv --reuid=tester --regid=tester --clear-groups \
		iostreamctl recv /dev/iostream --count 1 --quiet
	chmod 600 /dev/iostream
	fails 4 'options iostream mode=0660' setpriv --reuid=tester --regid=tester --clear-groups \
		iostreamctl recv /dev/iostream --count 1 --quiet
	ready
	setpriv --reuid=tester --regid=tester --groups=iostream "$use" || wrong 'a member may not'
}

units() {
	modprobe iostream_pattern
	for name in /dev/iostream "$(node pattern)" /dev/iostreams/by-name/pattern; do
		within active "$(unit "$name")"
	done
	rmmod iostream_pattern
	within inactive "$(unit /dev/iostreams/by-name/pattern)"
	active "$(unit /dev/iostream)" || wrong 'another node lost its unit'
}

# A service that starts with its node, and ends with it: the example of doc/system.md.
service() {
	device=$(unit /dev/iostreams/by-name/pattern)
	cp /usr/lib/iostream/reader.service /run/systemd/system/
	grep -qxF "BindsTo=$device" /run/systemd/system/reader.service || wrong "the page does not name $device"
	systemctl daemon-reload
	systemctl enable --quiet --runtime reader.service 2>"$work/enabled" || wrong "$(cat "$work/enabled")"
	inactive reader.service || wrong 'it runs without its node'
	for _ in first second; do
		modprobe iostream_pattern
		within active reader.service
		opened=/sys/class/iostream/$(basename "$(node pattern)")/sessions
		within grep -qx 1 "$opened"
		within [ -s /var/lib/private/recorder/frames ]
		rmmod iostream_pattern
		within inactive reader.service
	done
	systemctl disable --quiet --runtime reader.service
	rm /run/systemd/system/reader.service
}

clause F-10/sysusers-makes-the-group group
clause F-10/members-of-the-group-open-nodes members
clause F-10/units-of-nodes units
clause F-10/a-service-follows-its-node service
plan
