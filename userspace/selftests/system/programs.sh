#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=dash
#
# F-07: usual programs that only a full system has: ffmpeg, and programs in Go and Java. What they
# do is printed as `tool: PROGRAM | NODE | RESULT`, for scripts/conventions.

# `clause` calls all functions by name, and the commands are for another shell.
# shellcheck disable=SC2016,SC2317
# shellcheck source=common
. "${0%/*}/common"

# did NODE RESULT: notes what the program did.
did() { echo "tool: $program | $1 | $2"; }

# The bytes that the driver sends: 16 frames of 4096 bytes.
pattern() { perl -e 'print pack("Q512", $_ .. $_ + 511) for 0 .. 15'; }

# reads PROGRAM COMMAND: the command reads 65536 bytes of $node, and prints them.
reads() {
	program=$1
	modprobe iostream_pattern rate=0 data_bytes=4096
	node=$(node pattern)
	pattern >"$work/wanted"
	export node
	sh -c "$2" >"$work/read" 2>"$work/error" </dev/null || wrong "status $?: $(cat "$work/error")"
	cmp "$work/wanted" "$work/read" || wrong "$(wc -c <"$work/read") bytes; $(cat "$work/error")"
	did 'output stream' '65536 bytes'
}

# ends PROGRAM COMMAND: the command reads $node to its end, which a stop makes.
ends() {
	program=$1
	modprobe iostream_pattern rate=200 data_bytes=4096
	node=$(node pattern)
	export node
	sh -c "exec $2" >"$work/read" 2>"$work/error" </dev/null &
	process=$!
	within grep -qx running "/sys/class/iostream/${node##*/}/state"
	within has_frames 20
	iostreamctl stop pattern
	wait "$process" || wrong "status $?: $(cat "$work/error")"
	# Whole frames, and the first ones in order.
	bytes=$(wc -c <"$work/read")
	[ "$bytes" -gt 0 ] || wrong 'nothing was read'
	equal $((bytes % 4096)) 0
	did 'output stream that is stopped' 'all, and status 0'
}

has_frames() { [ "$(cat "/sys/class/iostream/${node##*/}/output/entries")" -gt "$1" ]; }

# writes PROGRAM COMMAND: the command writes the 100000 bytes of $work/data to $node.
writes() {
	program=$1
	modprobe iostream_sink
	node=$(node sink)
	head -c 100000 /dev/urandom >"$work/data"
	export node
	sh -c "$2" 2>"$work/error" </dev/null || wrong "status $?: $(cat "$work/error")"
	cat /sys/kernel/debug/iostream_sink/counts
	equal "$(sed -n 's/^bytes=//p' /sys/kernel/debug/iostream_sink/counts)" 100000
	did 'input stream' '100000 bytes'
}

ffmpeg_reads() {
	reads ffmpeg 'ffmpeg -v error -f s16le -ar 48000 -ac 1 -i "$node" -af atrim=end_sample=32768 -f s16le -'
}
ffmpeg_ends() { ends ffmpeg 'ffmpeg -v error -f s16le -ar 48000 -ac 1 -i "$node" -f s16le -'; }
ffmpeg_writes() {
	writes ffmpeg 'ffmpeg -v error -y -f s16le -ar 48000 -ac 1 -i "$work/data" -f s16le "$node"'
}

java='java -XX:TieredStopAtLevel=1 -Xshare:auto -cp /usr/lib/iostream/scripts/programs Nodes'
java_full() { reads 'Java: readFully' "$java"' full "$node" 65536'; }
java_available() { reads 'Java: available' "$java"' available "$node" 65536'; }
java_channel() { reads 'Java: FileChannel' "$java"' channel "$node" 65536'; }
java_ends() { ends 'Java: transferTo' "$java"' all "$node"'; }
java_writes() { writes 'Java: FileOutputStream' "$java"' write "$node" "$work/data"'; }

go=/usr/lib/iostream/scripts/programs/nodes
go_copy() { reads 'Go: io.Copy' "$go"' copy "$node" 65536'; }
go_full() { reads 'Go: io.ReadFull' "$go"' full "$node" 65536'; }
go_bufio() { reads 'Go: bufio' "$go"' bufio "$node" 65536'; }
go_ends() { ends 'Go: io.ReadAll' "$go"' all "$node"'; }
go_writes() { writes 'Go: io.Copy, Sync' "$go"' write "$node" "$work/data"'; }
go_values() {
	program='Go: binary.Read'
	modprobe iostream_ticker
	"$go" values "$(node ticker)" 5 || wrong 'not the entries'
	did 'output queue' 'all entries'
}
go_deadline() {
	program='Go: SetReadDeadline, Close'
	"$go" deadline "$(node itout)" || wrong 'the read goes on'
	did 'output queue without entries' 'both end the read'
}

clause F-07/ffmpeg-reads-a-stream ffmpeg_reads
clause F-07/ffmpeg-to-the-end-of-a-stream ffmpeg_ends
clause F-07/ffmpeg-writes-a-stream ffmpeg_writes
clause F-07/java-reads-in-full java_full
clause F-07/java-reads-what-is-available java_available
clause F-07/java-reads-by-a-channel java_channel
clause F-07/java-to-the-end-of-a-stream java_ends
clause F-07/java-writes-a-stream java_writes
clause F-07/go-copies-a-stream go_copy
clause F-07/go-reads-in-full go_full
clause F-07/go-reads-by-bufio go_bufio
clause F-07/go-to-the-end-of-a-stream go_ends
clause F-07/go-writes-a-stream go_writes
clause F-07/go-reads-a-queue go_values
clause F-07/go-deadline-and-close go_deadline
plan
