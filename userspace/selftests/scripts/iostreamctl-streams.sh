#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# U-09 and H-04: what iostreamctl does with streams.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

# drivers MODULE [PARAMETER=VALUE...]: loads a driver that is removed when the clause ends.
loaded_here=
drivers() {
	module=$1
	shift
	insmod "$modules/$module.ko" "$@"
	loaded_here="$module $loaded_here"
	# shellcheck disable=SC2064 # The present value.
	trap "for module in $loaded_here; do rmmod \$module 2>/dev/null || true; done" EXIT
}

# state NAME: the state of a stream, as sysfs shows it.
state() { cat "/sys/class/iostream/$(basename "$(node "$1")")/state"; }
is() { [ "$(state "$1")" = "$2" ]; }
open_by_another() { [ "$(cat "/sys/class/iostream/$(basename "$(node "$1")")/sessions")" = 1 ]; }

# frames FILE WORDS [loses]: whether a file has frames of a pattern: word i of frame n is n + i. All
# are there, from the first on. With `loses` some may be missing: at a set rate the driver loses a
# frame if its client, on a busy machine, has returned no buffer.
frames() {
	od -An -v -t d8 -w8 "$1" | awk -v words="$2" -v loses="${3:-}" '
		BEGIN { frame = -1 }
		(NR - 1) % words == 0 {
			if (loses ? $1 <= frame : $1 != frame + 1) exit 1
			frame = $1
		}
		$1 != frame + (NR - 1) % words { exit 1 }
		END { if (NR == 0 || NR % words) exit 1 }'
}

list_shows_streams() {
	drivers iostream_pattern buffers=4 data_bytes=8192
	drivers iostream_sink
	iostreamctl list >"$work/list"
	grep -q "$(node pattern) *pattern *0 *output stream *stopped *4 x 8.0 KiB + 32 B" "$work/list" || wrong "$(cat "$work/list")"
	grep -q "$(node sink) *sink *0 *input stream *stopped" "$work/list" || wrong "$(cat "$work/list")"
	grep -q ' it2way *0 *queues' "$work/list" || wrong "$(cat "$work/list")"
}

info_shows_buffers() {
	drivers iostream_pattern buffers=3
	exec 3<>"$(node pattern)"
	iostreamctl info pattern >"$work/info"
	for line in 'stream    output, stopped' 'what      frames of a test pattern' 'format    TEST' \
		'where     0 with the client, 0 with the driver, 3 free: fff'; do
		grep -qx "$line" "$work/info" || wrong "no line '$line': $(cat "$work/info")"
	done
	iostreamctl info pattern --json | grep -q '"buffers_where":"fff"' || wrong 'not in the JSON'
}

cat_counts() {
	drivers iostream_pattern rate=0 data_bytes=4096
	iostreamctl cat pattern --count 50 >"$work/frames"
	equal "$(wc -c <"$work/frames")" $((50 * 4096))
	frames "$work/frames" 512 || wrong 'other bytes'
	# The device by its path, into a file, with a report.
	iostreamctl cat "$(node pattern)" --count 5 -o "$work/frames" --json --quiet >"$work/report"
	frames "$work/frames" 512 || wrong 'other bytes in the file'
	grep -q '"bytes":20480' "$work/report" || wrong "$(cat "$work/report")"
	grep -q '"missed":0' "$work/report" || wrong "$(cat "$work/report")"
}

cat_ends_in_time() {
	drivers iostream_pattern rate=200
	# A busy machine may need longer for the first frame.
	for time in 300ms 3s 30s; do
		iostreamctl cat pattern --duration "$time" -o "$work/frames" >/dev/null
		[ ! -s "$work/frames" ] || break
	done
	[ -s "$work/frames" ] || wrong 'nothing came'
	frames "$work/frames" 2048 loses || wrong 'other bytes'
}

cat_ends_when_stopped() {
	drivers iostream_pattern rate=200
	iostreamctl cat pattern >"$work/until_stopped" &
	within test -s "$work/until_stopped"
	iostreamctl stop pattern
	wait $! || wrong "cat ended with $?"
	frames "$work/until_stopped" 2048 loses || wrong 'other bytes'
}

cat_when_gone() {
	drivers iostream_pattern rate=200
	iostreamctl cat pattern >"$work/until_gone" 2>"$work/said_cat" &
	within test -s "$work/until_gone"
	rmmod iostream_pattern
	status=0
	wait $! || status=$?
	equal "$status" 6
	grep -q 'is gone: its driver was removed' "$work/said_cat" || wrong "$(cat "$work/said_cat")"
}

cat_in_pipes() {
	drivers iostream_pattern rate=0
	{
		got=0
		iostreamctl cat pattern 2>"$work/error" || got=$?
		echo "$got" >"$work/status"
	} | head -c 10 >/dev/null
	within test -s "$work/status"
	equal "$(cat "$work/status") $(cat "$work/error")" '141 '
}

# counted KEY: a count of the sink.
counted() { sed -n "s/^$1=//p" /sys/kernel/debug/iostream_sink/counts; }

feed_sends_all() {
	drivers iostream_sink buffers=3 data_bytes=4096
	head -c 100000 "$(command -v iostreamctl)" >"$work/file"
	iostreamctl feed sink "$work/file" --full >"$work/report"
	equal "$(counted bytes) $(counted frames)" '100000 25'
	grep -q '100000 bytes in 25 buffers' "$work/report" || wrong "$(cat "$work/report")"
	# From a pipe.
	head -c 50000 "$work/file" | iostreamctl feed sink - --json >"$work/report"
	equal "$(counted bytes)" 150000
	grep -q '"bytes":50000' "$work/report" || wrong "$(cat "$work/report")"
	equal "$(state sink)" stopped
}

states_of_an_open_stream() {
	drivers iostream_pattern rate=500
	iostreamctl cat pattern >/dev/null &
	within is pattern running
	iostreamctl suspend pattern
	equal "$(state pattern)" suspended
	iostreamctl suspend pattern
	equal "$(state pattern)" suspended
	iostreamctl start pattern
	equal "$(state pattern)" running
	iostreamctl start pattern
	iostreamctl wait pattern --state running
	equal "$(iostreamctl start pattern --json)" "{\"device\":\"$(node pattern)\",\"state\":\"running\"}"
	iostreamctl stop "$(node pattern)"
	wait $! || wrong "cat ended with $?"
	# With nothing sent, a drain ends at once.
	drivers iostream_sink
	exec 3<>"$(node sink)"
	iostreamctl start sink
	iostreamctl stop sink --drain
	equal "$(state sink)" stopped
}

states_need_a_client() {
	drivers iostream_pattern
	for command in start stop suspend; do
		fails 1 "nobody has $(node pattern) open" iostreamctl "$command" pattern
	done
	fails 2 'is not a stream' iostreamctl start it2way
	fails 3 'does not exist' iostreamctl start no-such-node
	fails 4 'only root may set the state of' su tester -c 'iostreamctl start pattern'
}

wrong_streams() {
	drivers iostream_pattern
	drivers iostream_sink
	fails 2 "is a stream, not a queue: use \`iostreamctl cat\`" iostreamctl recv pattern
	fails 2 "is a stream, not a queue: use \`iostreamctl feed\`" iostreamctl send sink /init
	fails 2 'is an input stream' iostreamctl cat sink
	fails 2 'is an output stream' iostreamctl feed pattern /init
	fails 2 'is not a stream' iostreamctl cat it2way
	# A stream in both directions is none of what the commands move.
	drivers iostream_loopback
	for command in 'cat loopback' 'recv loopback' 'send loopback' 'feed loopback /init'; do
		# shellcheck disable=SC2086 # Words.
		fails 2 'is an input-output stream' iostreamctl $command
	done
	fails 3 'does not exist' iostreamctl cat no-such-node
	fails 1 '/nonexistent' iostreamctl feed sink /nonexistent
	exec 3<>"$(node pattern)"
	fails 5 'is busy' iostreamctl cat pattern
}

cat_out_of_patience() {
	drivers iostream_pattern rate=1
	fails 9 'nothing moved for 0.1 seconds' iostreamctl cat pattern --timeout 100ms
}

# A table with a row for the stream, whose client has taken frames meanwhile.
shows_rate() {
	iostreamctl watch --interval 300ms --count 2 >"$work/table"
	rate=$(sed -n 's/^pattern *output stream *running *\([0-9]*\).*/\1/p' "$work/table" | tail -n 1)
	bytes=$(sed -n 's/^pattern *output stream *running *[0-9]* *\([^ ]* [^ ]*\) .*/\1/p' "$work/table" | tail -n 1)
	[ "$rate" -gt 0 ] && [ "$bytes" != '0 B' ]
}

watch_shows_rates() {
	drivers iostream_pattern rate=500
	iostreamctl cat pattern >/dev/null &
	within open_by_another pattern
	# On a busy machine the client may take none for a while.
	within shows_rate
	# A heading and a row for the stream, twice; the second time after it ran for a while.
	equal "$(grep -c '^NAME' "$work/table")" 2
	iostreamctl watch pattern --interval 100ms --count 1 --json >"$work/json"
	grep -q '"name":"pattern"' "$work/json" || wrong "$(cat "$work/json")"
	! grep -q it2way "$work/json" || wrong 'others are shown, too'
	grep -Eq '"buffers":\{"client":[0-9]+,"driver":[0-9]+,"free":[0-9]+\}' "$work/json" ||
		wrong "no numbers: $(cat "$work/json")"
	fails 2 'has the queues of each session apart' iostreamctl watch iostream
	kill $!
}

# Whether watch shows that bytes move through the output queue.
shows_bytes() {
	iostreamctl watch it2way --interval 300ms --count 1 --json >"$work/json"
	rate=$(sed -n 's/.*{"buffers":null,"bytes_per_second":\([0-9]*\),[^}]*"what":"output queue"}.*/\1/p' "$work/json")
	[ "${rate:-0}" -gt 0 ]
}

watch_shows_bytes() {
	exec 3<>"$(node it2way)"
	while tell it2way 'batch 10 100'; do
		dd bs=100 count=10 <&3
	done >/dev/null 2>&1 &
	within shows_bytes
	kill $!
	wait $! || true
	iostreamctl watch it2way --interval 1ms --count 1 >"$work/table"
	grep -q '^it2way *output queue *open *0 *0 B ' "$work/table" || wrong "$(cat "$work/table")"
}

cat_stores_control_data() {
	drivers iostream_pattern rate=0 data_bytes=4096
	drivers iostream_sink data_bytes=4096
	iostreamctl cat pattern --count 20 -o "$work/frames" --control "$work/control" >/dev/null
	equal "$(wc -l <"$work/control")" 20
	# Each frame begins with its number, which its control data have as well.
	od -An -v -t x1 -w8 "$work/frames" | awk 'NR % 512 == 1' | sed 's/^ //' >"$work/numbers"
	cut -c 1-23 "$work/control" | cmp - "$work/numbers"
	# The sink finds fault with frames that do not come with their own.
	iostreamctl feed sink "$work/frames" --full --control "$work/control" >/dev/null
	equal "$(counted frames) $(counted bad)" '20 0'
	iostreamctl feed sink "$work/frames" --full >/dev/null
	equal "$(counted frames) $(counted bad)" '40 20'
	iostreamctl cat pattern --count 1 --control - -o "$work/frames" >"$work/control"
	equal "$(wc -lw <"$work/control" | tr -s ' ')" "$(printf ' 1 32')"
	iostreamctl cat pattern --count 1 --format hex >"$work/dump"
	grep -A 2 'control data, 32 bytes$' "$work/dump" | grep -c '^  00[01]0 ' >"$work/lines" || true
	equal "$(cat "$work/lines")" 2
}

control_data_that_do_not_fit() {
	drivers iostream_pattern rate=0 data_bytes=4096
	drivers iostream_sink data_bytes=4096
	# Messages name the files.
	cd "$work"
	head -c 12288 "$(command -v iostreamctl)" >frames
	feed() { fails "$1" "$2" iostreamctl feed sink frames --full --control control; }
	printf '00\n\n' >control
	feed 7 'control ends after 2 lines: each buffer needs one'
	printf '00\n\n\n01\n' >control
	feed 7 'control has more lines than the 3 buffers that were sent'
	# What was sent has arrived in both cases.
	equal "$(counted bytes)" $((8192 + 12288))
	printf '%067d\n' 0 >control
	feed 2 'is not hexadecimal'
	printf '%066d\n' 0 >control
	feed 2 'has more than the 32 bytes of control data that a buffer takes'
	fails 2 'cannot both come from standard input' iostreamctl feed sink --control -
	fails 2 'cannot both go to standard output' iostreamctl cat pattern --control -
	tell stspare 'publish plain output 4 64'
	trap 'tell stspare unpublish' EXIT
	fails 2 "does not apply to $(node plain): its buffers have no control data" \
		iostreamctl cat plain --control control
}

feed_counts_underruns() {
	tell stspare 'publish dry input 4 64'
	trap 'tell stspare unpublish' EXIT
	mkfifo "$work/fifo"
	for json in '' --json; do
		# shellcheck disable=SC2086 # Nothing, if it is empty.
		iostreamctl feed dry $json <"$work/fifo" >"$work/report" &
		exec 4>"$work/fifo"
		within is dry running
		tell stspare 'lost 2'
		tell stspare 'lost 1'
		exec 4>&-
		wait $! || wrong "feed ended with $?"
		grep -q '3 underruns of the driver\|"underruns":3' "$work/report" || wrong "$(cat "$work/report")"
	done
}

# missing FILE NUMBER: whether cat said that so many frames are missing, and nothing else.
missing() { equal "$(cat "$1")" "iostreamctl: $2 frames are missing"; }

losses_are_told() {
	tell stspare 'publish lossy output 8 64'
	trap 'tell stspare unpublish' EXIT
	iostreamctl cat lossy --count 4 >"$work/frames" 2>"$work/said_cat" &
	within is lossy running
	for command in 'produce 1 8' 'lost 3' 'produce 2 8' 'lost 2' 'produce 1 8'; do
		tell stspare "$command"
	done
	wait $! || wrong "cat ended with $?"
	equal "$(wc -c <"$work/frames")" 32
	missing "$work/said_cat" 5
	# With a report.
	iostreamctl cat lossy --count 1 -o "$work/frames" --json >"$work/report" &
	within is lossy running
	tell stspare 'lost 4'
	tell stspare 'produce 1 8'
	wait $! || wrong "cat ended with $?"
	grep -q '"missed":4' "$work/report" || wrong "$(cat "$work/report")"
	# What was lost after the last frame, and what others see of it.
	iostreamctl cat lossy >/dev/null 2>"$work/said_cat" &
	within is lossy running
	tell stspare 'lost 7'
	iostreamctl watch lossy --interval 100ms --count 1 --json >"$work/json"
	grep -q '"lost":7' "$work/json" || wrong "$(cat "$work/json")"
	iostreamctl info lossy >"$work/info"
	grep -qx 'lost  *7' "$work/info" || wrong "$(cat "$work/info")"
	grep -qx 'clock  *monotonic' "$work/info" || wrong "$(cat "$work/info")"
	iostreamctl stop lossy
	wait $! || wrong "cat ended with $?"
	missing "$work/said_cat" 7
}

entries_lost_are_told() {
	iostreamctl recv itout --count 1 >"$work/entry" 2>"$work/said_recv" &
	within open_by_another itout
	tell itout 'lost 4'
	tell itout 'enqueue 8'
	wait $! || wrong "recv ended with $?"
	equal "$(cat "$work/said_recv")" \
		'iostreamctl: 4 entries and 0 bytes were lost before they were read'
}

completions_and_manual() {
	for shell in bash zsh fish; do
		iostreamctl completions "$shell" | grep -q suspend || wrong "$shell: nothing about suspend"
	done
	iostreamctl man | grep -q '^.TH iostreamctl 1' || wrong 'no page'
	iostreamctl man cat | grep -q -e '--count\|\\-\\-count' || wrong 'no page of cat'
	fails 2 'there is no command fly' iostreamctl man fly
	{ iostreamctl man 2>"$work/error" || true; } | true
	equal "$(cat "$work/error")" ''
}

clause U-09/list-shows-streams list_shows_streams
clause U-09/info-shows-buffers info_shows_buffers
clause U-09/cat-counts cat_counts
clause U-09/cat-ends-in-time cat_ends_in_time
clause U-09/cat-ends-when-stopped cat_ends_when_stopped
clause U-09/cat-when-gone cat_when_gone
clause U-09/cat-in-pipes cat_in_pipes
clause U-09/cat-out-of-patience cat_out_of_patience
clause U-09/feed-sends-all feed_sends_all
clause U-09/states-of-an-open-stream states_of_an_open_stream
clause U-09/states-need-a-client states_need_a_client
clause U-09/wrong-streams wrong_streams
clause U-09/watch-shows-rates watch_shows_rates
clause U-09/watch-shows-bytes watch_shows_bytes
clause U-09/cat-stores-control-data cat_stores_control_data
clause U-09/control-data-that-do-not-fit control_data_that_do_not_fit
clause U-09/feed-counts-underruns feed_counts_underruns
clause H-04/command losses_are_told
clause U-09/recv-tells-losses entries_lost_are_told
clause U-09/completions-and-manual completions_and_manual
plan
