// SPDX-License-Identifier: MIT OR Apache-2.0

// What programs in Go do with nodes, by the standard library alone. Its runtime waits for files by
// edge-triggered epoll.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return value
}

func main() {
	way, node := os.Args[1], os.Args[2]
	switch way {
	case "copy": // NODE BYTES
		file, err := os.Open(node)
		check(err)
		_, err = io.CopyN(os.Stdout, file, number(os.Args[3]))
		check(err)
	case "full": // NODE BYTES
		file, err := os.Open(node)
		check(err)
		data := make([]byte, number(os.Args[3]))
		_, err = io.ReadFull(file, data)
		check(err)
		os.Stdout.Write(data)
	case "bufio": // NODE BYTES
		file, err := os.Open(node)
		check(err)
		reader := bufio.NewReader(file)
		for left := number(os.Args[3]); left > 0; left-- {
			value, err := reader.ReadByte()
			check(err)
			os.Stdout.Write([]byte{value})
		}
	case "all": // NODE: to the end of the file
		file, err := os.Open(node)
		check(err)
		data, err := io.ReadAll(file)
		check(err)
		os.Stdout.Write(data)
	case "values": // NODE COUNT: entries of 64 bits, each larger than the one before
		file, err := os.Open(node)
		check(err)
		var before uint64
		for left := number(os.Args[3]); left > 0; left-- {
			var value uint64
			check(binary.Read(file, binary.NativeEndian, &value))
			if value <= before {
				check(fmt.Errorf("%d after %d", value, before))
			}
			before = value
		}
	case "deadline": // NODE: on which nothing happens; then a close in another goroutine
		file, err := os.Open(node)
		check(err)
		check(file.SetReadDeadline(time.Now().Add(200 * time.Millisecond)))
		_, err = file.Read(make([]byte, 100))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			check(fmt.Errorf("no deadline: %v", err))
		}
		check(file.SetReadDeadline(time.Time{}))
		done := make(chan error)
		go func() {
			_, err := file.Read(make([]byte, 100))
			done <- err
		}()
		time.Sleep(200 * time.Millisecond)
		check(file.Close())
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			check(fmt.Errorf("not closed: %v", err))
		}
	case "write": // NODE FILE
		from, err := os.Open(os.Args[3])
		check(err)
		to, err := os.OpenFile(node, os.O_WRONLY, 0)
		check(err)
		_, err = io.Copy(to, from)
		check(err)
		check(to.Sync())
		check(to.Close())
	default:
		check(fmt.Errorf("no such way: %s", way))
	}
}
