// SPDX-License-Identifier: GPL-2.0

//! The kernel's half of the benchmarks: nodes whose queues and stream are filled and drained flat
//! out.
//!
//! Write a command to `/sys/kernel/debug/iostream_bench/control`; it runs in the caller's thread,
//! as a BPF program does that is run with `BPF_PROG_TEST_RUN`. Read the file for what the last
//! command did. `commands.rs` lists them.

mod commands;
mod eventfd;
mod node;
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

/// Control file first: no command comes while the nodes go.
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
