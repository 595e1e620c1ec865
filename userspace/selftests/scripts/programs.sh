#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# U-10: ordinary programs, without a library.

# `clause` calls all functions by name.
# shellcheck disable=SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

# in_read PID: whether the process sleeps in read(2), whose number depends on the architecture.
case $(uname -m) in
x86_64) read_number=0 ;;
aarch64) read_number=63 ;;
esac
in_read() { [ "$(cut -d ' ' -f 1 "/proc/$1/syscall")" = "$read_number" ]; }
has_bytes() { [ "$(wc -c <"$1")" = "$2" ]; }

# Each program uses descriptor 3 of this shell, so that the session outlives it.
opened() {
	exec 3<>"$(node it2way)"
	tell it2way 'sequence 65'
}

cat_reads() {
	opened
	cat <&3 >"$work/read" &
	within in_read $!
	# An empty entry is not the end of the file.
	for len in 5 0 1 2; do tell it2way "enqueue $len"; done
	within has_bytes "$work/read" 8
	equal "$(cat "$work/read")" ABCDECDE
	within in_read $!
	rmmod iostream_test
	! wait $! || wrong 'cat ends well although the device is gone'
}

dd_reads() {
	opened
	for len in 10 4096 3; do tell it2way "enqueue $len"; done
	dd bs=4096 count=3 of="$work/read" <&3
	has_bytes "$work/read" 4109 || wrong 'not the three entries'
	equal "$(head -c 10 "$work/read")" ABCDEFGHIJ
	equal "$(tail -c 3 "$work/read")" CDE
	# At most one entry for each block.
	tell it2way 'enqueue 4'
	dd bs=1 count=1 of="$work/read" <&3
	equal "$(cat "$work/read")" D
	dd bs=40 count=1 of="$work/read" <&3
	equal "$(cat "$work/read")" EFG
}

od_reads() {
	opened
	tell it2way 'enqueue 4'
	equal "$(dd bs=100 count=1 <&3 2>/dev/null | od -An -tx1)" ' 41 42 43 44'
	tell it2way 'enqueue 8'
	equal "$(od -An -tx1 -N 8 <&3)" ' 42 43 44 45 46 47 48 49'
}

dd_writes() {
	opened
	printf abcdefg | dd bs=3 >&3
	for len in 3 3 1; do
		tell it2way 'dequeue 10'
		equal "$(told it2way len)" "$len"
	done
	equal "$(told it2way sum)" 103
	! dd if=/dev/zero bs=70000 count=1 >&3 2>"$work/error" || wrong 'too large an entry'
	grep -q 'Message too long' "$work/error" || wrong "$(cat "$work/error")"
}

echo_writes() {
	opened
	echo hello >&3
	tell it2way 'dequeue 10'
	equal "$(told it2way len) $(told it2way sum)" '6 542'
	# Opened by the program itself, in the wrong direction.
	! echo hello >"$(node itout)" || wrong 'a node without an input queue is written'
	! cat "$(node itin)" || wrong 'a node without an output queue is read'
}

both_ways() {
	exec 3<>"$(node it2way)"
	{ for i in 1 2 3 4 5; do echo "line $i"; done; } >&3
	equal "$(told it2way errno)" 0
	tell it2way 'drain 100'
	equal "$(told it2way count) $(told it2way len)" '5 35'
}

clause U-10/cat cat_reads
clause U-10/dd-reads dd_reads
clause U-10/od od_reads
clause U-10/dd-writes dd_writes
clause U-10/echo echo_writes
clause U-10/lines both_ways
plan
