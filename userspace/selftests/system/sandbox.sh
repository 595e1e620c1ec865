#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# F-10: services that systemd restricts. What they may use works; what they may not is said.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=common
. "${0%/*}/common"

system='-p ProtectSystem=strict -p ProtectHome=yes -p PrivateTmp=yes -p ProtectKernelTunables=yes
	-p ProtectKernelModules=yes -p ProtectKernelLogs=yes -p ProtectControlGroups=yes -p ProtectClock=yes
	-p ProtectHostname=yes -p ProtectProc=invisible'
calls='-p SystemCallFilter=@system-service -p SystemCallErrorNumber=EPERM -p SystemCallArchitectures=native
	-p MemoryDenyWriteExecute=yes -p LockPersonality=yes -p RestrictRealtime=yes -p RestrictNamespaces=yes
	-p RestrictAddressFamilies=AF_UNIX -p RestrictSUIDSGID=yes -p NoNewPrivileges=yes'
devices='-p DevicePolicy=closed -p DeviceAllow=char-iostream'

# service [PROPERTY...] COMMAND...: run the command as a service.
service() { systemd-run --quiet --wait --pipe --collect "$@"; }

# works [PROPERTY...]: a service with these properties can do what programs do.
works() {
	ready
	service "$@" "$use" 2>&1 || wrong "not with $*"
}

# What is to be split into words is written above.
# shellcheck disable=SC2086
strict() { works $system; }
# shellcheck disable=SC2086
filtered() { works $calls; }
# shellcheck disable=SC2086
allowed() { works $devices; }
# shellcheck disable=SC2086
everything() { works $system $calls $devices -p DynamicUser=yes -p Group=iostream -p CapabilityBoundingSet= -p UMask=077; }
dynamic() { works -p DynamicUser=yes -p SupplementaryGroups=iostream; }
private_users() { works -p PrivateUsers=yes; }

no_devices() {
	ready
	for command in 'recv /dev/iostream' 'cat pattern'; do
		# shellcheck disable=SC2086
		fails 3 'without PrivateDevices=' service -p PrivateDevices=yes iostreamctl $command --quiet --count 1
	done
	service -p PrivateDevices=yes iostreamctl list >/dev/null
	status=0
	service -p PrivateDevices=yes iostreamctl doctor >"$work/doctor" 2>&1 || status=$?
	equal "$status" 1
	! grep 'udev names\|devtmpfs' "$work/doctor" || wrong 'the doctor blames others'
	grep -q '^WRONG .*PrivateDevices=' "$work/doctor" || wrong "the doctor says $(cat "$work/doctor")"
}

denied() {
	ready
	for command in 'recv /dev/iostream' 'cat pattern'; do
		# shellcheck disable=SC2086
		fails 4 'a service needs DeviceAllow=' service -p DevicePolicy=closed iostreamctl $command --quiet --count 1
	done
	status=0
	service -p DevicePolicy=closed iostreamctl doctor >"$work/doctor" 2>&1 || status=$?
	equal "$status" 1
	grep -q '^WRONG .*DeviceAllow=' "$work/doctor" || wrong "the doctor says $(cat "$work/doctor")"
}

read_only_sys() {
	works -p ReadOnlyPaths=/sys
	fails 4 'make /sys read-only' service -p ReadOnlyPaths=/sys iostreamctl stop pattern
}

# What needs no list of nodes works; the rest says what is missing.
without_sys() {
	ready
	hidden='-p InaccessiblePaths=/sys'
	# shellcheck disable=SC2086
	{
		service $hidden iostreamctl recv /dev/iostream --count 100 --framing record --quiet --timeout 60s >/dev/null
		for path in "$(node pattern)" /dev/iostreams/by-name/pattern; do
			service $hidden iostreamctl cat "$path" --count 1 --quiet --timeout 60s >"$work/out"
			equal "$(wc -c <"$work/out")" 16384
		done
		for command in list 'info /dev/iostream' 'watch --count 1' 'stop /dev/iostream1' 'wait pattern'; do
			fails 1 '/sys is not mounted here' service $hidden iostreamctl $command
		done
		fails 3 '/sys is not mounted here' service $hidden iostreamctl cat pattern
		status=0
		service $hidden iostreamctl doctor >"$work/doctor" 2>&1 || status=$?
		equal "$status" 1
		grep -q '^WRONG .*/sys is not mounted' "$work/doctor" || wrong "the doctor says $(cat "$work/doctor")"
		# What is no device of ours is not opened there, either.
		fails 3 'not an iostream device' service $hidden iostreamctl recv /dev/null
	}
}

clause F-10/protect-system-strict strict
clause F-10/system-call-filter filtered
clause F-10/device-allow allowed
clause F-10/dynamic-user dynamic
clause F-10/private-users private_users
clause F-10/all-restrictions everything
clause F-10/private-devices no_devices
clause F-10/device-policy-closed denied
clause F-10/read-only-sys read_only_sys
clause F-10/without-sys without_sys
plan
