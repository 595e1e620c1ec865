#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=busybox
#
# F-07: usual programs on the nodes, as Debian has them (scripts/build/tools). What they do is
# printed as `tool: PROGRAM | NODE | RESULT`, for scripts/conventions.

# `clause` calls all functions by name, and the commands are for another shell.
# shellcheck disable=SC2016,SC2317
# shellcheck source=ktap
. "${0%/*}/ktap"

# The VM of `make test` has these programs.
if [ ! -d /tools ]; then
	plan
fi
export PYTHONDONTWRITEBYTECODE=1 PATH="/tools:$PATH"

# python PROGRAM [ARGUMENT...]: runs a program in Python.
python() { python3 -I -c "$@"; }

# did NODE RESULT: notes what the program did.
did() { echo "tool: $program | $1 | $2"; }

# --- Reading a stream, as fast as the program likes.

# The bytes that the driver sends: 16 frames of 4096 bytes.
pattern() {
	python 'import struct, sys
for k in range(16):
    sys.stdout.buffer.write(struct.pack("<512Q", *range(k, k + 512)))'
}

# reads_stream PROGRAM BYTES COMMAND: the command reads $node, and prints its first bytes.
reads_stream() {
	program=$1
	insmod "$modules/iostream_pattern.ko" rate=0 data_bytes=4096
	node=$(node pattern)
	pattern | head -c "$2" >"$work/wanted"
	export node work
	bash -c "$3" >"$work/read" 2>"$work/error" || wrong "status $?: $(cat "$work/error")"
	cmp "$work/wanted" "$work/read" || wrong "$(wc -c <"$work/read") bytes; $(cat "$work/error")"
	did 'output stream' "$2 bytes"
}

# The program is read by another, which ends first.
cat_stream() { reads_stream cat 65536 'cat "$node" | head -c 65536'; }
head_stream() { reads_stream head 65536 'head -c 65536 "$node"'; }
tee_stream() { reads_stream tee 65536 'tee "$work/copy" <"$node" | head -c 65536'; }
dd_bytes() { reads_stream 'dd bs=1' 5000 'dd if="$node" bs=1 count=5000'; }
dd_blocks() { reads_stream 'dd bs=64k' 65536 'dd if="$node" bs=64k count=16'; }
dd_full_blocks() { reads_stream 'dd bs=64k iflag=fullblock' 65536 'dd if="$node" bs=64k count=1 iflag=fullblock'; }
pv_stream() { reads_stream pv 65536 'pv -q -S -s 65536 "$node"'; }
socat_stream() { reads_stream socat 65536 'socat -u -b 1000 "OPEN:$node,rdonly" STDOUT | head -c 65536'; }
sox_stream() {
	reads_stream sox 65536 'sox -t raw -r 48000 -e signed -b 16 -c 1 "$node" -t raw - trim 0 32768s'
}
od_stream() { reads_stream od 65536 'od -A n -v -t x1 -w16 -N 65536 "$node" | xxd -r -p'; }
xxd_stream() { reads_stream xxd 65536 'xxd -l 65536 "$node" | xxd -r'; }
hexdump_stream() {
	reads_stream hexdump 65536 "hexdump -v -n 65536 -e '16/1 \"%02x\" \"\\n\"' \"\$node\" | xxd -r -p"
}
bash_stream() {
	# Bash reads byte by byte. Its variables hold no zero bytes: the first others are 1, 2 and 3.
	program='bash: read -N'
	insmod "$modules/iostream_pattern.ko" rate=0 data_bytes=4096
	node=$(node pattern)
	export node
	bash -c 'export LC_ALL=C; read -r -N 3 bytes <"$node" && printf %s "$bytes"' >"$work/read"
	printf '\001\002\003' | cmp - "$work/read"
	did 'output stream' '3 bytes that are not zero'
}
python_open() {
	reads_stream 'Python: open' 65536 'python3 -I -c "
import sys
with open(sys.argv[1], \"rb\") as file:
    sys.stdout.buffer.write(file.read(65536))" "$node"'
}
python_raw() {
	reads_stream 'Python: open, buffering=0' 65536 'python3 -I -c "
import sys
with open(sys.argv[1], \"rb\", buffering=0) as file:
    left = 65536
    while left:
        data = file.read(min(left, 1000))
        sys.stdout.buffer.write(data)
        left -= len(data)" "$node"'
}
python_asyncio() {
	reads_stream 'Python: asyncio' 65536 'python3 -I -c "
import asyncio, sys
async def main():
    reader = asyncio.StreamReader()
    pipe = open(sys.argv[1], \"rb\", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe)
    sys.stdout.buffer.write(await reader.readexactly(65536))
asyncio.run(main())" "$node"'
}
python_selectors() {
	reads_stream 'Python: select' 65536 'python3 -I -c "
import os, select, sys
file = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
left = 65536
while left:
    select.select([file], [], [])
    data = os.read(file, min(left, 10000))
    sys.stdout.buffer.write(data)
    left -= len(data)" "$node"'
}

# ends_well PROGRAM COMMAND: the command reads $node to the end, which a stop makes.
ends_well() {
	program=$1
	tell stspare 'publish selftest output 16 4096'
	node=$(node selftest)
	rm -f "$work/copy"
	export node work
	bash -c "$2" >/dev/null 2>"$work/error" &
	within is_running "$node"
	tell stspare 'produce 16 4000'
	within all_taken
	echo stopped >"/sys/class/iostream/${node##*/}/state"
	status=0
	wait $! || status=$?
	tell stspare unpublish
	equal "$status" 0
	equal "$(stat -c %s "$work/copy")" 64000
	did 'output stream that is stopped' 'all, and status 0'
}

has_more() { [ -e "$1" ] && [ "$(stat -c %s "$1")" -ge "$2" ]; }
all_taken() { tell stspare queued && [ "$(told stspare queued_output)" = 0 ]; }
is_running() { [ "$(cat "/sys/class/iostream/${1##*/}/state")" = running ]; }

cat_end() { ends_well cat 'cat "$node" >"$work/copy"'; }
cp_end() { ends_well cp 'cp "$node" "$work/copy"'; }
dd_end() { ends_well dd 'dd if="$node" of="$work/copy" bs=1000'; }
socat_end() { ends_well socat 'socat -u "OPEN:$node,rdonly" "CREATE:$work/copy"'; }
python_end() {
	ends_well 'Python: shutil' 'python3 -I -c "
import shutil, sys
with open(sys.argv[1], \"rb\") as a, open(sys.argv[2], \"wb\") as b:
    shutil.copyfileobj(a, b)" "$node" "$work/copy"'
}

# --- Reading a queue.

# The driver sends three lines, and an empty entry between them.
lines() {
	for line in 1 2 3; do
		tell itout 'sequence 65'
		tell itout "enqueue $((line * 3))"
		tell itout 'enqueue 0'
		tell itout 'sequence 10'
		tell itout 'enqueue 1'
	done
}
wanted_lines() { printf 'ABC\nABCDEF\nABCDEFGHI\n'; }

# reads_queue PROGRAM COMMAND: the command reads descriptor 0, and prints the lines.
reads_queue() {
	program=$1
	exec 3<"$(node itout)"
	lines
	wanted_lines >"$work/wanted"
	bash -c "$2" >"$work/read" 2>"$work/error" <&3 || wrong "status $?: $(cat "$work/error")"
	cmp "$work/wanted" "$work/read" || wrong "$(cat "$work/read" "$work/error")"
	did 'output queue' 'all entries'
}

head_queue() { reads_queue head 'head -n 3'; }
dd_queue() { reads_queue 'dd bs=1' 'dd bs=1 count=21'; }
dd_queue_blocks() { reads_queue 'dd bs=64k' 'dd bs=64k count=6'; }
while_read() { reads_queue 'bash: while read' 'for i in 1 2 3; do read -r line; echo "$line"; done'; }
od_queue() { reads_queue od 'od -A n -v -t x1 -N 21 | xxd -r -p'; }
python_lines() {
	reads_queue 'Python: lines' 'python3 -I -c "
import sys
for _ in range(3):
    print(sys.stdin.readline(), end=\"\")"'
}
python_small() {
	reads_queue 'read(2) of 2 bytes' 'python3 -I -c "
import os
read = b\"\"
while len(read) < 21:
    read += os.read(0, 2)
os.write(1, read)"'
}

# reads_long PROGRAM COMMAND: the command reads descriptor 0, and prints 15000 bytes: of entries that
# are longer than what programs read at a time.
reads_long() {
	program=$1
	tell spare 'publish selftest 65536 0'
	exec 3<"$(node selftest)"
	tell spare 'sequence 0'
	for len in 5000 0 10000; do
		tell spare "enqueue $len"
	done
	python 'import sys
for sequence, len in (0, 5000), (2, 10000):
    sys.stdout.buffer.write(bytes((sequence + i) % 256 for i in range(len)))' >"$work/wanted"
	bash -c "$2" >"$work/read" 2>"$work/error" <&3 || wrong "status $?: $(cat "$work/error")"
	exec 3<&-
	tell spare unpublish
	cmp "$work/wanted" "$work/read" || wrong "$(wc -c <"$work/read") bytes; $(cat "$work/error")"
	did 'output queue of long entries' '15000 bytes'
}

head_long() { reads_long head 'head -c 15000'; }
od_long() { reads_long od 'od -A n -v -t x1 -N 15000 | xxd -r -p'; }
xxd_long() { reads_long xxd 'xxd -l 15000 | xxd -r'; }
dd_long() { reads_long 'dd bs=1000 iflag=fullblock' 'dd bs=1000 count=15 iflag=fullblock'; }
python_long() {
	reads_long 'Python: open' 'python3 -I -c "
import sys
sys.stdout.buffer.write(sys.stdin.buffer.read(15000))"'
}

# A queue has no end. When its driver goes, the programs say so after the last entry.
gone() {
	program='cat'
	cat "$(node itout)" >"$work/read" 2>"$work/error" &
	within opened itout
	lines
	within has_more "$work/read" 21
	rmmod iostream_test
	status=0
	wait $! || status=$?
	equal "$status" 1
	grep -q 'No such device' "$work/error" || wrong "$(cat "$work/error")"
	wanted_lines | cmp - "$work/read"
	did 'output queue whose driver goes' 'all entries, "No such device", status 1'
}

opened() { [ "$(cat "/sys/class/iostream/$(basename "$(node "$1")")/sessions")" != 0 ]; }

# --- Writing.

# Whether a process has not ended.
runs() { grep -qs '^State:.[^ZX]' "/proc/$1/status"; }

# take_queue PROCESS: lets the driver take what the process writes, until it ends. Sets bytes and
# entries.
take_queue() {
	bytes=0 entries=0
	while :; do
		running=1
		runs "$1" || running=0
		if tell spare 'drain 1000' 2>/dev/null; then
			bytes=$((bytes + $(told spare len)))
			entries=$((entries + $(told spare count)))
		fi
		[ "$running" = 1 ] || break
	done
}

# writes_queue PROGRAM ENTRIES COMMAND: the command writes 300 bytes to $node, in so many entries.
writes_queue() {
	program=$1
	tell spare 'publish selftest 0 65536 drain=100000'
	node=$(node selftest)
	head -c 300 /dev/zero >"$work/data"
	export node work
	bash -c "$3" 2>"$work/error" &
	writer=$!
	take_queue "$writer"
	status=0
	wait "$writer" || status=$?
	tell spare unpublish
	equal "$status" 0
	equal "$bytes" 300
	[ "$2" = any ] || equal "$entries" "$2"
	did 'input queue' "300 bytes in $entries entries"
}

cat_to_queue() { writes_queue cat 1 'cat "$work/data" >"$node"'; }
cp_to_queue() { writes_queue cp 1 'cp "$work/data" "$node"'; }
dd_to_queue() { writes_queue 'dd bs=100' 3 'dd if="$work/data" of="$node" bs=100'; }
dd_fsync_to_queue() { writes_queue 'dd bs=100 conv=fsync' 3 'dd if="$work/data" of="$node" bs=100 conv=fsync'; }
tee_to_queue() { writes_queue tee 1 'tee "$node" <"$work/data" >/dev/null'; }
bash_to_queue() {
	writes_queue 'bash: printf' 3 'for i in 1 2 3; do printf "%100s" ""; done >"$node"'
}
python_to_queue() {
	writes_queue 'Python: open, buffering=0' 3 'python3 -I -c "
import sys
with open(sys.argv[1], \"wb\", buffering=0) as file:
    for _ in range(3):
        file.write(bytes(100))" "$node"'
}

# take_stream PROCESS: as take_queue, from a stream.
take_stream() {
	bytes=0 entries=0
	while :; do
		running=1
		runs "$1" || running=0
		while tell stspare receive 2>/dev/null; do
			bytes=$((bytes + $(told stspare len)))
			entries=$((entries + 1))
			tell stspare release-all
		done
		[ "$running" = 1 ] || break
	done
}

# writes_stream PROGRAM BYTES COMMAND: the command writes so many bytes of $work/data to $node.
writes_stream() {
	program=$1
	tell stspare 'publish selftest input 4 4096 drain=100000'
	node=$(node selftest)
	head -c "$2" /dev/zero >"$work/data"
	export node work
	bash -c "$3" 2>"$work/error" &
	writer=$!
	take_stream "$writer"
	status=0
	wait "$writer" || status=$?
	tell stspare unpublish
	[ "$status" = 0 ] || wrong "status $status: $(cat "$work/error")"
	equal "$bytes" "$2"
	did 'input stream' "$bytes bytes in $entries buffers"
}

# More than all buffers hold together.
cat_to_stream() { writes_stream cat 50000 'cat "$work/data" >"$node"'; }
cp_to_stream() { writes_stream cp 50000 'cp "$work/data" "$node"'; }
tee_to_stream() { writes_stream tee 50000 'tee "$node" <"$work/data" >/dev/null'; }
pv_to_stream() { writes_stream pv 50000 'pv -q "$work/data" >"$node"'; }
socat_to_stream() { writes_stream socat 50000 'socat -u "OPEN:$work/data,rdonly" "OPEN:$node,wronly"'; }
sox_to_stream() {
	writes_stream sox 50000 'sox -t raw -r 48000 -e signed -b 16 -c 1 "$work/data" -t raw - >"$node"'
}
dd_to_stream() { writes_stream 'dd bs=64k conv=fsync' 50000 'dd if="$work/data" of="$node" bs=64k conv=fsync'; }
dd_bytes_to_stream() { writes_stream 'dd bs=1' 40 'dd if="$work/data" of="$node" bs=1'; }
python_to_stream() {
	writes_stream 'Python: open' 50000 'python3 -I -c "
import shutil, sys
with open(sys.argv[1], \"rb\") as a, open(sys.argv[2], \"wb\") as b:
    shutil.copyfileobj(a, b)" "$work/data" "$node"'
}
python_sendfile() {
	writes_stream 'sendfile(2)' 50000 'python3 -I -c "
import os, sys
a, b = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_WRONLY)
done = 0
while done < 50000:
    done += os.sendfile(b, a, done, 50000 - done)" "$work/data" "$node"'
}
python_splice() {
	program='splice(2)'
	insmod "$modules/iostream_pattern.ko" rate=0 data_bytes=4096
	pattern >"$work/wanted"
	python 'import os, sys
node = os.open(sys.argv[1], os.O_RDONLY)
out, into = os.pipe()
left = 65536
while left:
    moved = os.splice(node, into, left)
    os.write(1, os.read(out, moved))
    left -= moved' "$(node pattern)" >"$work/read"
	cmp "$work/wanted" "$work/read"
	did 'output stream' '65536 bytes'
}

clause F-07/reads-a-stream-cat cat_stream
clause F-07/reads-a-stream-head head_stream
clause F-07/reads-a-stream-tee tee_stream
clause F-07/reads-a-stream-dd-bytes dd_bytes
clause F-07/reads-a-stream-dd-blocks dd_blocks
clause F-07/reads-a-stream-dd-full-blocks dd_full_blocks
clause F-07/reads-a-stream-pv pv_stream
clause F-07/reads-a-stream-socat socat_stream
clause F-07/reads-a-stream-sox sox_stream
clause F-07/reads-a-stream-od od_stream
clause F-07/reads-a-stream-xxd xxd_stream
clause F-07/reads-a-stream-hexdump hexdump_stream
clause F-07/reads-a-stream-bash bash_stream
clause F-07/reads-a-stream-python python_open
clause F-07/reads-a-stream-python-unbuffered python_raw
clause F-07/reads-a-stream-python-asyncio python_asyncio
clause F-07/reads-a-stream-python-select python_selectors
clause F-07/reads-a-stream-splice python_splice
clause F-07/sees-the-end-cat cat_end
clause F-07/sees-the-end-cp cp_end
clause F-07/sees-the-end-dd dd_end
clause F-07/sees-the-end-socat socat_end
clause F-07/sees-the-end-python python_end
clause F-07/reads-a-queue-head head_queue
clause F-07/reads-a-queue-dd-bytes dd_queue
clause F-07/reads-a-queue-dd-blocks dd_queue_blocks
clause F-07/reads-a-queue-while-read while_read
clause F-07/reads-a-queue-od od_queue
clause F-07/reads-a-queue-python-lines python_lines
clause F-07/reads-a-queue-small-reads python_small
clause F-07/reads-long-entries-head head_long
clause F-07/reads-long-entries-od od_long
clause F-07/reads-long-entries-xxd xxd_long
clause F-07/reads-long-entries-dd dd_long
clause F-07/reads-long-entries-python python_long
clause F-07/sees-the-driver-go-cat gone
clause F-07/writes-a-queue-cat cat_to_queue
clause F-07/writes-a-queue-cp cp_to_queue
clause F-07/writes-a-queue-dd dd_to_queue
clause F-07/writes-a-queue-dd-fsync dd_fsync_to_queue
clause F-07/writes-a-queue-tee tee_to_queue
clause F-07/writes-a-queue-bash bash_to_queue
clause F-07/writes-a-queue-python python_to_queue
clause F-07/writes-a-stream-cat cat_to_stream
clause F-07/writes-a-stream-cp cp_to_stream
clause F-07/writes-a-stream-tee tee_to_stream
clause F-07/writes-a-stream-pv pv_to_stream
clause F-07/writes-a-stream-socat socat_to_stream
clause F-07/writes-a-stream-sox sox_to_stream
clause F-07/writes-a-stream-dd dd_to_stream
clause F-07/writes-a-stream-dd-bytes dd_bytes_to_stream
clause F-07/writes-a-stream-python python_to_stream
clause F-07/writes-a-stream-sendfile python_sendfile
plan
