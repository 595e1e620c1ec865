#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# U-09: requests and answers of iostreamctl.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

# answers BYTES [FIRST]: the driver answers the next request, which has so many bytes, by the bytes
# FIRST, FIRST + 1 ...
answers() {
	within tell it2way 'dequeue 100' 2>/dev/null
	equal "$(told it2way len)" "$1"
	tell it2way "sequence ${2:-0}"
	tell it2way 'enqueue 4'
}

ask_the_built_in() {
	equal "$(printf 'one\n\nthree\n' | iostreamctl ask iostream | tr '\n' ,)" 'one,,three,'
	equal "$(iostreamctl ask iostream --data one --data 'and two' | tr '\n' ,)" 'one,and two,'
	equal "$(printf '06 01\n0AFF\n' | iostreamctl ask iostream --framing hex | tr '\n' ,)" '06 01,0a ff,'
	equal "$(iostreamctl ask iostream --framing hex --data 0a00)" '0a 00'
	equal "$(seq 9 | iostreamctl ask iostream --count 2 | tr '\n' ,)" '1,2,'
	# The whole file is one request.
	head -c 3000 /init | iostreamctl ask iostream --framing none | cmp -n 3000 - /init
	# Into a file, with a report.
	iostreamctl ask iostream --data x --data yz --framing length -o "$work/answers" --json >"$work/report"
	equal "$(od -An -c "$work/answers" | tr -d ' \n')" '001\0\0\0x002\0\0\0yz'
	for pair in '"requests":2' '"answers":2' '"bytes":3' '"request_bytes":3' '"unasked":0'; do
		grep -q "$pair" "$work/report" || wrong "no $pair: $(cat "$work/report")"
	done
	iostreamctl ask iostream --data 'a b' --format text >"$work/answers"
	grep -q 'Z entry 0, 3 bytes$' "$work/answers" || wrong "$(cat "$work/answers")"
}

ask_a_driver() {
	{ answers 1 5 && answers 2 9; } &
	equal "$(iostreamctl ask it2way --framing hex --data 01 --data 0203 --timeout 50s | tr '\n' ,)" \
		'05 06 07 08,09 0a 0b 0c,'
	wait $!
}

# What the driver says of its own accord is no answer.
ask_passes_over() {
	tell it2way 'greet 7'
	trap 'tell it2way "greet 0"' EXIT
	answers 1 5 &
	equal "$(iostreamctl ask it2way --framing hex --data 01 2>"$work/said_ask")" '05 06 07 08'
	equal "$(cat "$work/said_ask")" 'iostreamctl: 1 entry came without a request'
}

ask_in_vain() {
	fails 9 'no answer to request 1 in 0.1 seconds' iostreamctl ask it2way --data x --timeout 100ms
	{ within tell it2way 'dequeue 100' 2>/dev/null && tell it2way 'lost 3' && tell it2way 'enqueue 4'; } &
	fails 7 'entries were lost before the answer to request 1' iostreamctl ask it2way --data x
	wait $!
	equal "$(cat "$work/out")" ''
	# The answers before are there.
	answers 1 &
	got=0
	iostreamctl ask it2way --data x --data y --timeout 3s --framing none >"$work/answers" 2>"$work/said_ask" || got=$?
	wait $!
	equal "$got $(wc -c <"$work/answers") $(cat "$work/said_ask")" \
		"9 4 iostreamctl: no answer to request 2 in 3 seconds: raise --timeout, or look with \`iostreamctl watch\`"
}

ask_wrongly() {
	fails 2 "$(node itout) has no input queue" iostreamctl ask itout --data x
	fails 2 "$(node itin) has no output queue" iostreamctl ask itin --data x
	fails 2 'is a stream, not a queue' iostreamctl ask stout --data x
	fails 2 '--data 0g is not hexadecimal' iostreamctl ask iostream --framing hex --data 0g
	printf '00\n0g\n' >"$work/requests"
	got=0
	iostreamctl ask iostream "$work/requests" --framing hex >"$work/answers" 2>"$work/said_ask" || got=$?
	equal "$got $(cat "$work/answers")" '2 00'
	grep -q 'is not hexadecimal' "$work/said_ask" || wrong "$(cat "$work/said_ask")"
	# shellcheck disable=SC2016 # The other shell expands it.
	fails 2 "a request of $((page + 1000)) bytes does not fit: the queue takes up to $((page - 8))" \
		sh -c "iostreamctl ask iostream --queue-bytes $page --data \"\$(printf %$((page + 1000))d 0)\""
	fails 2 '--entry-size does not apply to the framings' iostreamctl ask iostream --entry-size 8 --data x
	fails 2 '--queue-bytes does not apply' iostreamctl ask it2way --queue-bytes 4K --data x
	got=0
	iostreamctl ask iostream --framing record --data x 2>/dev/null || got=$?
	equal "$got" 2
}

clause U-09/ask-the-built-in ask_the_built_in
clause U-09/ask-a-driver ask_a_driver
clause U-09/ask-passes-over ask_passes_over
clause U-09/ask-in-vain ask_in_vain
clause U-09/ask-wrongly ask_wrongly
plan
