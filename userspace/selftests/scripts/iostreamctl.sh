#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# U-09: the errors of iostreamctl, and iostreamctl in pipes.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

module_not_loaded() {
	unload
	for arguments in list info 'echo /init' 'source --count 1' recv; do
		# shellcheck disable=SC2086 # Words.
		fails 3 "/dev/iostream does not exist: load the module with \`insmod iostream.ko\`" iostreamctl $arguments
	done
}

no_permission() {
	for arguments in 'echo /init' 'source --count 1'; do
		fails 4 'no permission for /dev/iostream: run as root' su tester -c "iostreamctl $arguments"
	done
	fails 4 "no permission for $(node itout)" su tester -c 'iostreamctl recv -d itout'
	# Everybody may list the devices.
	su tester -c 'iostreamctl list' >/dev/null
}

not_a_device() {
	for path in /dev/null /init /tmp; do
		fails 3 "$path is not an iostream device" iostreamctl recv -d "$path"
	done
	fails 3 '/dev/iostream99 does not exist: load its driver' iostreamctl recv -d iostream99
	fails 3 '/nowhere/at/all does not exist' iostreamctl recv -d /nowhere/at/all
}

busy() {
	exec 3<>"$(node it2way)"
	fails 5 "$(node it2way) is busy: another program has it open" iostreamctl recv -d it2way
	fails 5 'is busy' iostreamctl send -d it2way /init
	exec 3>&-
	tell itout 'sequence 0'
	fails 9 'nothing moved for 0.1 seconds' iostreamctl recv -d it2way --timeout 0.1
}

open_by_another() { [ "$(cat "/sys/class/iostream/${1##*/}/sessions")" = 1 ]; }

gone() {
	tell spare 'publish spare 4096 0'
	path=$(node spare)
	iostreamctl recv -d spare >/dev/null 2>"$work/said_gone" &
	within open_by_another "$path"
	tell spare unpublish
	status=0
	wait $! || status=$?
	equal "$status $(cat "$work/said_gone")" \
		"6 iostreamctl: $path is gone: its driver was removed or its hardware unplugged; load it again"
}

wrong_capacity() {
	for bytes in 1024G 65M; do
		fails 8 'allows 67108864 bytes for one queue' iostreamctl echo /init --queue-bytes "$bytes"
	done
	for bytes in 0 -1 x 99999999999999999999; do
		got=0
		iostreamctl echo /init "--queue-bytes=$bytes" 2>"$work/error" || got=$?
		equal "$bytes: $got" "$bytes: 2"
		[ -s "$work/error" ] || wrong 'not a word'
	done
	# The device still works.
	iostreamctl echo /init --quiet >/dev/null
}

out_of_range() {
	fails 8 'cannot make so many entries a second: lower --rate' iostreamctl source --rate 2000000 --count 1
	fails 2 'entries of 8192 bytes do not fit: the queue takes up to 4088' iostreamctl send --queue-bytes 4K --entry-size 8K /init
	fails 2 'has no input queue' iostreamctl send -d itout /init
	fails 2 'has no output queue' iostreamctl recv -d itin
	fails 1 "is a driver's device, without endpoints" iostreamctl source -d itout --count 1
	for arguments in 'echo' 'fly' 'echo /init --batch 0' 'info --times 3' '--no-such-option'; do
		got=0
		# shellcheck disable=SC2086 # Words.
		iostreamctl $arguments >/dev/null 2>&1 || got=$?
		equal "$arguments: $got" "$arguments: 2"
	done
}

sigpipe_is_silent() {
	{
		got=0
		iostreamctl recv --framing lines 2>"$work/error" || got=$?
		echo "$got" >"$work/status"
	} | head -c 10 >/dev/null
	within test -s "$work/status"
	equal "$(cat "$work/status") $(cat "$work/error")" '141 '
	# The same for commands that print a table.
	{ iostreamctl list 2>"$work/error" || true; } | true
	equal "$(cat "$work/error")" ''
}

pipes() {
	head -c 300000 /init >"$work/sent"
	iostreamctl echo - --output - --quiet <"$work/sent" >"$work/back" 2>/dev/null
	cmp "$work/sent" "$work/back"
	iostreamctl echo --output - --quiet "$work/sent" 2>/dev/null | cmp "$work/sent" -
	iostreamctl send - <"$work/sent" >"$work/report"
	[ -s "$work/report" ] || wrong 'no report'
	# With a driver, which takes what the process sends.
	iostreamctl send -d it2way --entry-size 100 "$work/sent" >/dev/null 2>&1 &
	within tell it2way 'dequeue 100'
	equal "$(told it2way len)" 100
	kill $!
	wait $! || true
}

# A small checker of JSON: strings are well-formed, brackets match, and there is nothing else.
json() {
	awk '
		{ text = text $0 "\n" }
		END {
			gsub(/\\["\\\/bfnrtu]/, "", text)
			gsub(/"[^"\n]*"/, "v", text)
			gsub(/-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?|true|false|null/, "v", text)
			gsub(/[ \t\n]/, "", text)
			do {
				before = text
				gsub(/\[\]|\[v(,v)*\]|\{\}|\{v:v(,v:v)*\}/, "v", text)
			} while (text != before)
			exit text != "v"
		}'
}

json_parses() {
	printf '{"a": [1, -2.5, {"b\\"": null}, []], "c": {}}' | json || wrong 'the checker refuses the good'
	for bad in '{"a": }' '[1, ]' '{"a" 1}' '[1' 'text' '{"a": 1}{"b": 2}' ''; do
		! printf '%s' "$bad" | json || wrong "the checker lets through $bad"
	done
	exec 3<>"$(node it2way)"
	for arguments in list info 'info -d it2way' 'echo --generate 100K' 'source --count 1000' 'send /init'; do
		# shellcheck disable=SC2086 # Words.
		iostreamctl $arguments --json --quiet >"$work/json" || true
		json <"$work/json" || wrong "$arguments: $(cat "$work/json")"
	done
	iostreamctl list --json | grep -q '"it2way"' || wrong 'the node is not in it'
}

list_shows_sessions() {
	exec 3<>"$(node it2way)"
	tell it2way 'enqueue 10'
	iostreamctl list >"$work/list"
	grep -q "$(node it2way) *it2way *1" "$work/list" || wrong "$(cat "$work/list")"
	grep -q ' it2way *output *65536 *1$' "$work/list" || wrong "$(cat "$work/list")"
}

source_checks() {
	iostreamctl source --count 5000 --entry-size 16-300 --quiet >"$work/report"
	grep -q 5000 "$work/report" || wrong "$(cat "$work/report")"
	iostreamctl source --rate 1000 --count 50 --quiet >/dev/null
}

clause U-09/module-not-loaded module_not_loaded
clause U-09/no-permission no_permission
clause U-09/not-a-device not_a_device
clause U-09/busy busy
clause U-09/gone gone
clause U-09/wrong-capacity wrong_capacity
clause U-09/out-of-range out_of_range
clause U-09/sigpipe-is-silent sigpipe_is_silent
clause U-09/pipes pipes
clause U-09/json-parses json_parses
clause U-09/list-shows-sessions list_shows_sessions
clause U-09/source-checks source_checks
plan
