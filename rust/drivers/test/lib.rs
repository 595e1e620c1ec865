// SPDX-License-Identifier: GPL-2.0

//! The kernel's half of the selftests: nodes that do what the tests tell them, and nothing else.
//!
//! Each node has a file `/sys/kernel/debug/iostream_test/NODE`. Write a command, one a write(2);
//! it fails with the command's own error. Read it for `key=value` lines of what the last commands
//! did. `commands.rs` lists them.

mod commands;
mod node;
mod shot;

use kernel::{debugfs, fmt, prelude::*, sync::Arc, uaccess::UserSliceReader};

use node::TestNode;

module! {
    type: TestModule,
    name: "iostream_test",
    authors: ["the iostream authors"],
    description: "The kernel's half of iostream's selftests",
    license: "GPL",
}

/// The longest command.
const COMMAND_BYTES: usize = 128;

/// The nodes, with what is published when the module is loaded: output and input bytes.
const NODES: [(&CStr, u64, u64, bool); 5] = [
    (c"it2way", 65536, 65536, false),
    (c"itout", 4096, 0, false),
    (c"itin", 0, 4096, false),
    (c"itover", 4096, 0, true),
    (c"spare", 0, 0, false),
];

/// Control files first: no command comes while the nodes go.
struct TestModule {
    _files: KVec<Pin<KBox<debugfs::File<Arc<TestNode>>>>>,
    _dir: debugfs::Dir,
    nodes: KVec<Arc<TestNode>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let dir = debugfs::Dir::new(c"iostream_test");
        let mut files = KVec::new();
        let mut nodes = KVec::new();
        for (name, output, input, overwrite) in NODES {
            let node = Arc::pin_init(TestNode::new(), GFP_KERNEL)?;
            if output != 0 || input != 0 {
                node.publish(name, output, input, overwrite)?;
            }
            nodes.push(node.clone(), GFP_KERNEL)?;
            let file = dir.read_write_callback_file(name, node, &show, &command);
            files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(Self {
            _files: files,
            _dir: dir,
            nodes,
        })
    }
}

impl Drop for TestModule {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.unpublish();
        }
    }
}

fn show(node: &Arc<TestNode>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    node.show(out)
}

fn command(node: &Arc<TestNode>, reader: &mut UserSliceReader) -> Result {
    let mut text = [0; COMMAND_BYTES];
    let len = reader.len();
    reader.read_slice(text.get_mut(..len).ok_or(EINVAL)?)?;
    let text = core::str::from_utf8(&text[..len]).map_err(|_| EINVAL)?;
    commands::run(node, text.trim())
}
