// SPDX-License-Identifier: GPL-2.0

//! The kernel side of the benchmarks: nodes whose queues and stream are filled and drained as fast
//! as possible.
//!
//! A command is written to `/sys/kernel/debug/iostream_bench/control`. It runs in the caller's
//! thread, like a BPF program that is run with `BPF_PROG_TEST_RUN`. Reading the file shows what the
//! last command did. `commands.rs` lists the commands.

mod commands;
mod eventfd;
mod interrupts;
mod many;
mod node;
mod pace;
mod produce;
mod stream;

use kernel::{debugfs, fmt, prelude::*, sync::Arc, uaccess::UserSliceReader};

use node::BenchNode;

module! {
    type: BenchModule,
    name: "iostream_bench",
    authors: ["the iostream authors"],
    description: "The kernel's half of iostream's benchmarks",
    license: "GPL",
}

/// The longest command.
const COMMAND_BYTES: usize = 128;

/// Fields drop in order: the control file first, so that no command comes while the node is
/// dropped.
struct BenchModule {
    _file: Pin<KBox<debugfs::File<Arc<BenchNode>>>>,
    _dir: debugfs::Dir,
    node: Arc<BenchNode>,
}

impl kernel::Module for BenchModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let dir = debugfs::Dir::new(c"iostream_bench");
        let node = Arc::pin_init(BenchNode::new(), GFP_KERNEL)?;
        let file = dir.read_write_callback_file(c"control", node.clone(), &show, &command);
        Ok(Self {
            _file: KBox::pin_init(file, GFP_KERNEL)?,
            _dir: dir,
            node,
        })
    }
}

impl Drop for BenchModule {
    fn drop(&mut self) {
        self.node.unpublish();
    }
}

fn show(node: &Arc<BenchNode>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    node.show(out)
}

fn command(node: &Arc<BenchNode>, reader: &mut UserSliceReader) -> Result {
    let mut text = [0; COMMAND_BYTES];
    let len = reader.len();
    reader.read_slice(text.get_mut(..len).ok_or(EINVAL)?)?;
    let text = core::str::from_utf8(&text[..len]).map_err(|_| EINVAL)?;
    commands::run(node, text.trim())
}
