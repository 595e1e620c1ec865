// SPDX-License-Identifier: MIT OR Apache-2.0

//! Messages through system calls: pipes, Unix datagrams, read(2) of devices.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use iostream_bench::flow::sum_of;
use iostream_bench::{pin_to, Result};
use rustix::pipe::{fcntl_setpipe_size, pipe};

const SENDER_CPU: usize = 0;
const RECEIVER_CPU: usize = 1;

/// Adds up the numbers of messages that lie one after the other.
#[derive(Default)]
struct Arrived {
    messages: u64,
    sum: u64,
}

impl Arrived {
    fn add(&mut self, bytes: &[u8], message_bytes: usize) {
        for message in bytes.chunks_exact(message_bytes) {
            if let Some(number) = message.first_chunk::<8>() {
                self.sum = self.sum.wrapping_add(u64::from_ne_bytes(*number));
            }
            self.messages += 1;
        }
    }

    fn check(&self, count: u64) -> Result<()> {
        if self.messages == count && self.sum == sum_of(count) {
            return Ok(());
        }
        Err(format!("{} of {count} messages arrived", self.messages).into())
    }
}

/// Runs `send` for each message on one processor and `receive` on the other.
fn run(
    count: u64,
    message_bytes: usize,
    mut send: impl FnMut(&[u8]) -> Result<()> + Send,
    receive: impl FnMut(&mut Arrived) -> Result<()>,
) -> Result<Duration> {
    let send_all = move || {
        let mut message = vec![0; message_bytes];
        for number in 0..count {
            message[..8].copy_from_slice(&number.to_ne_bytes());
            send(&message)?;
        }
        Ok(())
    };
    beside(count, send_all, receive)
}

/// Runs `send_all` on one processor, and `receive` on the other until all messages have arrived.
fn beside(
    count: u64,
    send_all: impl FnOnce() -> Result<()> + Send,
    mut receive: impl FnMut(&mut Arrived) -> Result<()>,
) -> Result<Duration> {
    pin_to(RECEIVER_CPU)?;
    let mut arrived = Arrived::default();
    let time = std::thread::scope(|scope| -> Result<Duration> {
        let begun = Instant::now();
        let sender = scope.spawn(move || -> Result<()> {
            pin_to(SENDER_CPU)?;
            send_all()
        });
        while arrived.messages < count {
            receive(&mut arrived)?;
        }
        let time = begun.elapsed();
        sender.join().map_err(|_| "the sender panicked")??;
        Ok(time)
    })?;
    arrived.check(count)?;
    Ok(time)
}

/// A pipe of 1 MiB: one write(2) for each message; a read(2) takes all that are there.
pub fn pipes(message_bytes: usize, count: u64) -> Result<Duration> {
    let (reader, writer) = pipe()?;
    fcntl_setpipe_size(&writer, 1 << 20)?;
    let mut writer = File::from(writer);
    run(
        count,
        message_bytes,
        move |message| Ok(writer.write_all(message)?),
        by_reading(File::from(reader), message_bytes),
    )
}

/// Receives by read(2): each takes all messages that are there, up to 64 KiB.
fn by_reading(mut file: File, message_bytes: usize) -> impl FnMut(&mut Arrived) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut kept = 0;
    move |arrived| {
        kept += file.read(&mut buffer[kept..])?;
        let whole = kept - kept % message_bytes;
        arrived.add(&buffer[..whole], message_bytes);
        buffer.copy_within(whole..kept, 0);
        kept -= whole;
        Ok(())
    }
}

/// A pair of Unix datagram sockets: one send(2) and one recv(2) for each message.
pub fn datagrams(message_bytes: usize, count: u64) -> Result<Duration> {
    let (sender, receiver) = datagram_pair()?;
    let mut buffer = vec![0; message_bytes];
    run(
        count,
        message_bytes,
        move |message| send(&sender, message),
        move |arrived| {
            let bytes = receiver.recv(&mut buffer)?;
            arrived.add(&buffer[..bytes], message_bytes);
            Ok(())
        },
    )
}

/// The same, but a recvmmsg(2) takes all messages that are there, up to 512.
pub fn many_datagrams(message_bytes: usize, count: u64) -> Result<Duration> {
    /// Messages of a call.
    const MOST: usize = 512;
    let (sender, receiver) = datagram_pair()?;
    let mut buffers = vec![0; message_bytes * MOST];
    let mut vectors: Vec<libc::iovec> = buffers
        .chunks_exact_mut(message_bytes)
        .map(|buffer| libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        })
        .collect();
    // SAFETY: Zeros are a header without anything.
    let mut headers: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; MOST];
    for (header, vector) in headers.iter_mut().zip(&mut vectors) {
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
    }
    run(
        count,
        message_bytes,
        move |message| send(&sender, message),
        |arrived| {
            // SAFETY: Each header has a vector of one buffer, and all of them live as long as the
            // call. It waits for one message, and takes those that are there.
            let taken = unsafe {
                libc::recvmmsg(
                    receiver.as_raw_fd(),
                    headers.as_mut_ptr(),
                    MOST as u32,
                    libc::MSG_WAITFORONE as _,
                    std::ptr::null_mut(),
                )
            };
            let taken = usize::try_from(taken).map_err(|_| std::io::Error::last_os_error())?;
            for (header, vector) in headers[..taken].iter().zip(&vectors) {
                // SAFETY: The kernel wrote this many bytes into the buffer, which nobody else uses.
                let message = unsafe {
                    std::slice::from_raw_parts(vector.iov_base.cast(), header.msg_len as usize)
                };
                arrived.add(message, message_bytes);
            }
            Ok(())
        },
    )
}

/// A pair with room for 1 MiB, and for more messages than the ten that are usual.
fn datagram_pair() -> Result<(UnixDatagram, UnixDatagram)> {
    std::fs::write("/proc/sys/net/unix/max_dgram_qlen", "512")?;
    let (sender, receiver) = UnixDatagram::pair()?;
    rustix::net::sockopt::set_socket_send_buffer_size(&sender, 1 << 20)?;
    Ok((sender, receiver))
}

fn send(sender: &UnixDatagram, message: &[u8]) -> Result<()> {
    loop {
        match sender.send(message) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A character device with a kfifo (rust/drivers/bench/kfifo.c): its driver makes each message on its
/// own; a read(2) takes up to 64 KiB of them.
pub fn kfifo(message_bytes: usize, count: u64) -> Result<Duration> {
    const DEVICE: &str = "/dev/iostream-bench-kfifo";
    let mut driver = File::options().write(true).open(DEVICE)?;
    let device = File::open(DEVICE)?;
    let send_all = move || Ok(driver.write_all(format!("{count} {message_bytes}").as_bytes())?);
    beside(count, send_all, by_reading(device, message_bytes))
}

/// read(2) of /dev/zero: the cost of a device that does nothing except copy.
pub fn device(message_bytes: usize, count: u64) -> Result<Duration> {
    pin_to(RECEIVER_CPU)?;
    let mut zero = File::open("/dev/zero")?;
    let mut buffer = vec![1; message_bytes];
    let mut sum = 0u64;
    let begun = Instant::now();
    for _ in 0..count {
        if zero.read(&mut buffer)? != message_bytes {
            return Err("a short read of /dev/zero".into());
        }
        sum += u64::from(buffer[0]);
    }
    let time = begun.elapsed();
    if sum != 0 {
        return Err("/dev/zero is not zero".into());
    }
    Ok(time)
}
