#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# U-09 and F-09: the errors of iostreamctl, and iostreamctl in pipes.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

module_not_loaded() {
	unload
	for arguments in list info watch 'echo iostream /init' 'source iostream --count 1' 'recv iostream'; do
		# shellcheck disable=SC2086 # Words.
		fails 3 "/dev/iostream does not exist: load the module with \`modprobe iostream\`" iostreamctl $arguments
	done
}

no_permission() {
	for arguments in 'echo iostream /init' 'source iostream --count 1'; do
		fails 4 'no permission for /dev/iostream: only root may open it unless the module is loaded with mode=0660' su tester -c "iostreamctl $arguments"
		chmod 660 /dev/iostream
		fails 4 'no permission for /dev/iostream: only root has it: install the rules of udev' su tester -c "iostreamctl $arguments"
		chown 0:7 /dev/iostream
		fails 4 'no permission for /dev/iostream: join the group 7 ' su tester -c "iostreamctl $arguments"
		chown 0:0 /dev/iostream
		chmod 600 /dev/iostream
	done
	node=$(node itout)
	fails 4 "no permission for $node: its driver lets only its owner" su tester -c 'iostreamctl recv itout'
	chmod 640 "$node"
	fails 4 'read it and not write to it' su tester -c 'iostreamctl recv itout'
	chmod 620 "$node"
	fails 4 'write to it and not read it' su tester -c 'iostreamctl recv itout'
	chmod 600 "$node"
	# Everybody may list the devices.
	su tester -c 'iostreamctl list' >/dev/null
}

not_a_device() {
	for path in /dev/null /init /tmp; do
		fails 3 "$path is not an iostream device" iostreamctl recv "$path"
	done
	fails 3 '/dev/iostream99 does not exist: load its driver' iostreamctl recv iostream99
	fails 3 '/nowhere/at/all does not exist' iostreamctl recv /nowhere/at/all
}

busy() {
	exec 3<>"$(node it2way)"
	fails 5 "$(node it2way) is busy: another program has it open" iostreamctl recv it2way
	fails 5 'is busy' iostreamctl send it2way /init
	exec 3>&-
	tell itout 'sequence 0'
	fails 9 'nothing moved for 0.1 seconds' iostreamctl recv it2way --timeout 100ms
}

open_by_another() { [ "$(cat "/sys/class/iostream/${1##*/}/sessions")" = 1 ]; }

gone() {
	tell spare 'publish spare 4096 0'
	path=$(node spare)
	iostreamctl recv spare >/dev/null 2>"$work/said_gone" &
	within open_by_another "$path"
	tell spare unpublish
	status=0
	wait $! || status=$?
	equal "$status $(cat "$work/said_gone")" \
		"6 iostreamctl: $path is gone: its driver was removed or its hardware unplugged; load it again"
}

wrong_capacity() {
	for bytes in 1024G 65M; do
		fails 8 'allows 67108864 bytes for one queue' iostreamctl echo iostream /init --queue-bytes "$bytes"
	done
	for bytes in 0 -1 x 99999999999999999999; do
		got=0
		iostreamctl echo iostream /init "--queue-bytes=$bytes" 2>"$work/error" || got=$?
		equal "$bytes: $got" "$bytes: 2"
		[ -s "$work/error" ] || wrong 'not a word'
	done
	# The device still works.
	iostreamctl echo iostream /init --quiet >/dev/null
}

out_of_range() {
	fails 8 'cannot make so many entries a second: lower --rate' iostreamctl source iostream --rate 2000000 --count 1
	longest=$((page - 8))
	fails 2 "entries of $((2 * page)) bytes do not fit: the queue takes up to $longest: lower --entry-size or raise --queue-bytes" \
		iostreamctl send iostream --queue-bytes "$page" --entry-size $((2 * page)) /init
	fails 2 "is longer than the $longest bytes that the queue takes: raise --queue-bytes" \
		sh -c "head -c $((2 * page)) /dev/zero | iostreamctl send iostream --queue-bytes $page --framing lines"
	# The size of a driver's queue is the driver's business.
	tell spare "publish selftest 0 $page"
	fails 2 "entries of $((2 * page)) bytes do not fit: the queue takes up to $longest: lower --entry-size" \
		iostreamctl send selftest --entry-size $((2 * page)) /init
	fails 2 "is longer than the $longest bytes that the queue takes, as its driver has decided" \
		sh -c "head -c $((2 * page)) /dev/zero | iostreamctl send selftest --framing lines"
	fails 2 '/tmp is a directory: name a file' iostreamctl send selftest /tmp
	fails 7 'standard input ends in the middle of an entry: is it framed by lengths?' \
		sh -c 'printf "\005\000\000\000ab" | iostreamctl send selftest --framing length'
	tell spare unpublish
	fails 2 'a record of 8 bytes carries nothing: --entry-size must be above' \
		iostreamctl send iostream --framing record --entry-size 8 /init
	within tell itout 'enqueue 100' 2>/dev/null &
	fails 7 'an entry is not a record' iostreamctl recv itout --framing record --count 1
	wait $!
	fails 2 'has no input queue' iostreamctl send itout /init
	fails 2 'has no output queue' iostreamctl recv itin
	fails 2 "is a driver's device, which makes no entries on request" iostreamctl source itout --count 1
	for arguments in 'echo' 'fly' 'echo iostream /init --batch 0' 'info --watch' 'recv' '--no-such-option'; do
		got=0
		# shellcheck disable=SC2086 # Words.
		iostreamctl $arguments >/dev/null 2>&1 || got=$?
		equal "$arguments: $got" "$arguments: 2"
	done
}

sigpipe_is_silent() {
	{
		got=0
		iostreamctl recv iostream --framing lines 2>"$work/error" || got=$?
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
	iostreamctl echo iostream - --output - --quiet <"$work/sent" >"$work/back" 2>/dev/null
	cmp "$work/sent" "$work/back"
	iostreamctl echo iostream --output - --quiet "$work/sent" 2>/dev/null | cmp "$work/sent" -
	iostreamctl send iostream - <"$work/sent" >"$work/report"
	[ -s "$work/report" ] || wrong 'no report'
	# With a driver, which takes what the process sends.
	iostreamctl send it2way --entry-size 100 "$work/sent" >/dev/null 2>&1 &
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
	for arguments in list info 'info it2way' 'echo iostream --generate 100K --quiet' 'source iostream --count 1000 --quiet' \
		'send iostream /init --quiet' doctor 'watch --count 1 --interval 1ms' 'wait it2way'; do
		# shellcheck disable=SC2086 # Words.
		iostreamctl $arguments --json >"$work/json" 2>/dev/null || true
		equal "$arguments: $(wc -l <"$work/json")" "$arguments: 1"
		json <"$work/json" || wrong "$arguments: $(cat "$work/json")"
	done
	iostreamctl list --json | grep -q '"it2way"' || wrong 'the node is not in it'
	# A failure is an object, too.
	fails 3 '"exit_code":3' iostreamctl recv no-such-node --json
	json <"$work/error" || wrong "$(cat "$work/error")"
	fails 2 "invalid value '2' for '--timeout <TIME>': a time with its unit is expected" iostreamctl recv itout --timeout 2 --json
	json <"$work/error" || wrong "$(cat "$work/error")"
	iostreamctl watch --count 1 --interval 1ms --json | grep -q '^{.*"time":[0-9][0-9.]*}$' || wrong 'no time'
}

list_shows_sessions() {
	exec 3<>"$(node it2way)"
	tell it2way 'enqueue 10'
	iostreamctl list >"$work/list"
	grep -q "$(node it2way) *it2way *1" "$work/list" || wrong "$(cat "$work/list")"
	grep -q ' it2way *output *65536 *1$' "$work/list" || wrong "$(cat "$work/list")"
}

source_checks() {
	iostreamctl source iostream --count 5000 --entry-size 16-300 --quiet >"$work/report"
	grep -q 5000 "$work/report" || wrong "$(cat "$work/report")"
	iostreamctl source iostream --rate 1000 --count 50 --quiet >/dev/null
}

# Nothing is accepted and ignored.
options_apply() {
	for option in '--entry-size 8' '--rate 5' --overwrite '--queue-bytes 4K'; do
		# shellcheck disable=SC2086 # Words.
		fails 2 "${option%% *} does not apply to $(node itout): its driver decides" iostreamctl recv itout $option
	done
	fails 2 '--queue-bytes does not apply' iostreamctl send itin --queue-bytes 4K /init
	fails 2 '--flat-out does not apply' iostreamctl echo it2way --flat-out /init
	fails 2 '--entry-size does not apply to the framings' iostreamctl send itin --framing lines --entry-size 8 /init
	fails 2 '--json does not apply' iostreamctl man --json
	for arguments in 'recv -d itout' 'list --quiet' 'cat itout -d stout' 'recv itout --timeout 2' 'recv itout --count 1K'; do
		got=0
		# shellcheck disable=SC2086 # Words.
		iostreamctl $arguments >/dev/null 2>&1 || got=$?
		equal "$arguments: $got" "$arguments: 2"
	done
	# The node is as free as before.
	equal "$(cat "/sys/class/iostream/$(basename "$(node itout)")/sessions")" 0
}

# A driver that calls its node like a file of /dev is found by that name.
names_come_first() {
	tell spare 'publish null 4096 0'
	trap 'tell spare unpublish' EXIT
	iostreamctl recv null --count 1 >"$work/entry" &
	within open_by_another "$(node null)"
	tell spare 'enqueue 8'
	wait $! || wrong "recv ended with $?"
	equal "$(wc -c <"$work/entry")" 8
}

# It shows all without opening the node: as anybody, and while somebody has it open.
info_opens_nothing() {
	kib=$((page / 1024))
	for command in 'iostreamctl info itout' "su tester -c 'iostreamctl info itout'"; do
		eval "$command" >"$work/info" || wrong "$command: $(cat "$work/info")"
		grep -qx 'limits    64.0 MiB a queue, .* a user' "$work/info" || wrong "$(cat "$work/info")"
		grep -qx "output    $kib.0 KiB, entries of up to $((page - 8)) bytes, refuses when full" "$work/info" || wrong "$(cat "$work/info")"
	done
	# The driver counts the opens: info is none, whether somebody has the node open or not.
	tell spare "publish spare $((2 * page)) $page"
	trap 'tell spare unpublish' EXIT
	before=$(told spare opened)
	iostreamctl info spare >"$work/info"
	equal "$(told spare opened)" "$before"
	grep -qx "output    $((2 * kib)).0 KiB, .*" "$work/info" || wrong "$(cat "$work/info")"
	grep -qx "input     $kib.0 KiB, .*" "$work/info" || wrong "$(cat "$work/info")"
	exec 3<>"$(node spare)"
	after=$(told spare opened)
	[ "$before" != "$after" ] || wrong 'the log does not count opens'
	iostreamctl info spare --json | json || wrong 'no JSON'
	equal "$(told spare opened)" "$after"
}

dump_shows_entries() {
	iostreamctl recv itout --count 2 --format hex >"$work/dump" &
	within open_by_another "$(node itout)"
	tell itout 'enqueue 20'
	tell itout 'lost 3'
	tell itout 'enqueue 4'
	wait $! || wrong "recv ended with $?"
	head='^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]*Z'
	grep -q "$head entry 0, 20 bytes\$" "$work/dump" || wrong "$(cat "$work/dump")"
	grep -q "$head entry 1, 4 bytes, after 3 lost entries\$" "$work/dump" || wrong "$(cat "$work/dump")"
	equal "$(grep -c '^  00[01]0 ' "$work/dump")" 3
}

# The console is a terminal.
no_binary_on_a_terminal() {
	fails 2 'standard output is a terminal, and the data may be binary' sh -c 'iostreamctl recv itout >/dev/console'
	fails 2 'is a terminal' iostreamctl cat stout -o /dev/console
	iostreamctl recv itout --count 0 --format text >/dev/console
}

doctor_finds() {
	got=0
	iostreamctl doctor >"$work/findings" 2>"$work/error" || got=$?
	grep -qx 'ok     the module iostream is loaded' "$work/findings" || wrong "$(cat "$work/findings")"
	grep -qx 'ok     the module and this command speak one version of the interface' "$work/findings" || wrong "$(cat "$work/findings")"
	grep -qx "ok     $(node itout) (itout) can be opened" "$work/findings" || wrong "$(cat "$work/findings")"
	# What is wrong is counted.
	count=$(grep -c '^WRONG' "$work/findings") || true
	case $count in
	0) equal "$got" 0 ;;
	1) equal "$got $(cat "$work/error")" '1 iostreamctl: 1 thing is wrong' ;;
	*) equal "$got $(cat "$work/error")" "1 iostreamctl: $count things are wrong" ;;
	esac
	su tester -c 'iostreamctl doctor' >"$work/findings" 2>/dev/null || true
	grep -q "^WRONG  $(node itout) (itout) can be opened: no permission: its driver lets" "$work/findings" || wrong "$(cat "$work/findings")"
	unload
	got=0
	iostreamctl doctor >"$work/findings" 2>/dev/null || got=$?
	equal "$got $(cat "$work/findings")" "1 WRONG  the module iostream is loaded: load it with \`modprobe iostream\`"
}

wait_waits() {
	fails 9 "$(node itout) is closed: it was not open in time" iostreamctl wait itout --state open --timeout 1ms
	fails 9 'is not there: it was not present in time' iostreamctl wait no-such-node --timeout 1ms
	fails 2 'is not a stream' iostreamctl wait itout --state running
	iostreamctl wait itout --state open &
	waiter=$!
	exec 3<>"$(node itout)"
	wait "$waiter" || wrong "wait ended with $?"
	exec 3>&-
	iostreamctl wait itout --state closed
	# A node that the driver publishes later, for somebody who may not open it.
	su tester -c 'iostreamctl wait spare' &
	waiter=$!
	tell spare 'publish spare 4096 0'
	wait "$waiter" || wrong "wait ended with $?"
	su tester -c 'iostreamctl wait spare --state open' &
	waiter=$!
	exec 3<>"$(node spare)"
	wait "$waiter" || wrong "wait ended with $?"
	exec 3>&-
	tell spare unpublish
	# As in a container that has no /sys: there is nothing to wait for.
	fails 1 '/sys is not mounted' unshare -m sh -c 'mount -t tmpfs none /sys && iostreamctl wait itout --timeout 1s'
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
clause U-09/options-apply options_apply
clause U-09/names-come-first names_come_first
clause F-09/info-opens-nothing info_opens_nothing
clause U-09/dump-shows-entries dump_shows_entries
clause U-09/no-binary-on-a-terminal no_binary_on_a_terminal
clause U-09/doctor-finds doctor_finds
clause U-09/wait-waits wait_waits
plan
