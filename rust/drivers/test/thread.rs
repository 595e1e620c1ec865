// SPDX-License-Identifier: GPL-2.0

//! A kernel thread that runs one command, as the thread of a driver would.
//!
//! ```text
//! start FILE COMMAND   runs a command of the file `spare` or `client` in a new kernel thread
//! stop                 tells the thread to stop, and fails with the error of its command
//! ```
//!
//! The file shows the number of the thread, or 0 if there is none.

use kernel::{
    bindings as c, fmt,
    prelude::*,
    sync::{new_mutex, Arc, Mutex},
};

use crate::{
    client::{self, TestClient},
    commands::{self, Words},
    node::TestNode,
};

/// Who runs a command.
enum File {
    Spare(Arc<TestNode>),
    Client(Arc<TestClient>),
}

/// A command that a thread runs.
struct Call {
    file: File,
    text: KVec<u8>,
}

impl Call {
    fn run(&self) -> Result {
        let text = core::str::from_utf8(&self.text).map_err(|_| EINVAL)?;
        match &self.file {
            File::Spare(node) => commands::run(node, text),
            File::Client(client) => client::run(client, text),
        }
    }
}

/// A thread, which was not stopped yet. It may have come to its end.
///
/// # Invariants
///
/// `task` is a kernel thread of this module, with a reference that this value owns. The thread uses
/// the `Call` that `call` points to, which came from a box, until it ends.
struct Running {
    task: *mut c::task_struct,
    call: *mut Call,
}

// SAFETY: Any thread may stop the thread and free its call.
unsafe impl Send for Running {}

impl Running {
    fn start(call: Call) -> Result<Self> {
        let call = KBox::into_raw(KBox::new(call, GFP_KERNEL)?);
        // SAFETY: `main` gets a call that stays until the thread has ended: `stop` frees it.
        let task = unsafe {
            c::kthread_create_on_node(
                Some(main),
                call.cast(),
                c::NUMA_NO_NODE,
                c"iostream_test".as_char_ptr(),
            )
        };
        let task = match kernel::error::from_err_ptr(task) {
            Ok(task) => task,
            Err(error) => {
                // SAFETY: It came from the box above, and there is no thread that uses it.
                drop(unsafe { KBox::from_raw(call) });
                return Err(error);
            }
        };
        // INVARIANT: The reference is taken before the thread can end.
        // SAFETY: The thread was created above and has not run.
        unsafe {
            c::get_task_struct(task);
            c::wake_up_process(task);
        }
        Ok(Self { task, call })
    }

    /// Tells the thread to stop, waits for its end, and returns what its command returned.
    fn stop(self) -> Result {
        // SAFETY: The reference is given up here, and `self` is not used again.
        let errno = unsafe { c::kthread_stop_put(self.task) };
        // SAFETY: It came from a box by the type's invariant, and the thread has ended.
        drop(unsafe { KBox::from_raw(self.call) });
        kernel::error::to_result(errno)
    }

    fn number(&self) -> i32 {
        // SAFETY: The reference keeps the task, whose number does not change.
        unsafe { (*self.task).pid }
    }
}

/// The body of the thread. It returns the errno of its command.
///
/// # Safety
///
/// `arg` points to a `Call` that stays until the thread has ended.
unsafe extern "C" fn main(arg: *mut c_void) -> c_int {
    // SAFETY: The contract of this function.
    let call = unsafe { &*arg.cast::<Call>() };
    match call.run() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// The thread of the tests; at most one at a time.
#[pin_data]
pub(crate) struct TestThread {
    spare: Arc<TestNode>,
    client: Arc<TestClient>,
    #[pin]
    running: Mutex<Option<Running>>,
}

impl TestThread {
    pub(crate) fn new(spare: Arc<TestNode>, client: Arc<TestClient>) -> impl PinInit<Self> {
        pin_init!(Self {
            spare,
            client,
            running <- new_mutex!(None),
        })
    }

    fn start(&self, file: &str, words: Words<'_>) -> Result {
        let mut running = self.running.lock();
        if running.is_some() {
            return Err(EBUSY);
        }
        let file = match file {
            "spare" => File::Spare(self.spare.clone()),
            "client" => File::Client(self.client.clone()),
            _ => return Err(EINVAL),
        };
        let mut text = KVec::new();
        for word in words {
            text.extend_from_slice(word.as_bytes(), GFP_KERNEL)?;
            text.push(b' ', GFP_KERNEL)?;
        }
        *running = Some(Running::start(Call { file, text })?);
        Ok(())
    }

    /// Stops the thread, if there is one. Fails with the error of its command.
    pub(crate) fn stop(&self) -> Result {
        let running = self.running.lock().take();
        running.map_or(Ok(()), Running::stop)
    }

    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.running.lock();
        let number = running.as_ref().map_or(0, Running::number);
        writeln!(out, "thread={number}")
    }
}

/// Runs one command.
pub(crate) fn run(thread: &TestThread, text: &str) -> Result {
    let mut words = Words::new(text);
    match words.word()? {
        "start" => {
            let file = words.word()?;
            thread.start(file, words)
        }
        "stop" => thread.stop(),
        _ => Err(EINVAL),
    }
}
