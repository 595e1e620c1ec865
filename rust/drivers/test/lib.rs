// SPDX-License-Identifier: GPL-2.0

//! The kernel side of the selftests: nodes that run the commands of the tests, and nothing else.
//!
//! Each node has a file `/sys/kernel/debug/iostream_test/NODE`. Each write(2) is one command, and
//! fails with the error of the command. Reading shows the result of the last command in lines of
//! `key=value`. `commands.rs` lists the commands of nodes with queues, and `stream/commands.rs`
//! those of streams. The file `client` is for a client of streams; `client.rs` lists its commands.
//! The files `filter0` and `filter1` are for streams that are clients of others; `filter.rs` lists
//! their commands. The file `thread` runs commands in a kernel thread; `thread.rs` lists its
//! commands. On the bug-hunting kernel the file `races` holds threads at points of the framework's
//! code; `races.rs` lists its commands.

mod client;
mod commands;
mod filter;
mod gate;
#[path = "../leak.rs"]
mod leak;
mod node;
#[cfg(iostream_races)]
mod races;
mod shot;
mod stream;
mod thread;

use kernel::{debugfs, fmt, prelude::*, static_lock_class, sync::Arc, uaccess::UserSliceReader};

use client::TestClient;
use filter::TestFilter;
use node::TestNode;
use stream::TestStream;
use thread::TestThread;

module! {
    type: TestModule,
    name: "iostream_test",
    authors: ["the iostream authors"],
    description: "The kernel's half of iostream's selftests",
    license: "GPL",
}

/// The longest command.
const COMMAND_BYTES: usize = 192;

/// The nodes: name, output and input bytes at load of the module, and whether output overwrites.
const NODES: [(&CStr, u64, u64, bool); 5] = [
    (c"it2way", 65536, 65536, false),
    (c"itout", 4096, 0, false),
    (c"itin", 0, 4096, false),
    (c"itover", 4096, 0, true),
    (c"spare", 0, 0, false),
];

/// The streams: name, and the command that publishes them at load of the module.
const STREAMS: [(&CStr, Option<&str>); 5] = [
    (c"stout", Some("publish stout output 4 4096 control=64")),
    (c"stin", Some("publish stin input 4 4096")),
    (c"stinout", Some("publish stinout input-output 4 4096")),
    (c"stmulti", Some("publish stmulti output 4 4096 clients=2")),
    (c"stspare", None),
];

/// Fields drop in order: the control files first, so that no command comes while nodes are dropped.
struct TestModule {
    _files: KVec<Pin<KBox<debugfs::File<Arc<TestNode>>>>>,
    _stream_files: KVec<Pin<KBox<debugfs::File<Arc<TestStream>>>>>,
    _client_file: Pin<KBox<debugfs::File<Arc<TestClient>>>>,
    _thread_file: Pin<KBox<debugfs::File<Arc<TestThread>>>>,
    _filter_files: KVec<Pin<KBox<debugfs::File<Arc<TestFilter>>>>>,
    #[cfg(iostream_races)]
    _races_file: Pin<KBox<debugfs::File<()>>>,
    _dir: debugfs::Dir,
    nodes: KVec<Arc<TestNode>>,
    streams: KVec<Arc<TestStream>>,
    client: Arc<TestClient>,
    thread: Arc<TestThread>,
    filters: KVec<Arc<TestFilter>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let dir = debugfs::Dir::new(c"iostream_test");
        let mut files = KVec::new();
        let mut nodes = KVec::new();
        for (name, output, input, overwrite) in NODES {
            let node = Arc::pin_init(TestNode::new(), GFP_KERNEL)?;
            if output != 0 || input != 0 {
                node.publish(name, (output, input), overwrite, 0)?;
            }
            nodes.push(node.clone(), GFP_KERNEL)?;
            let file = dir.read_write_callback_file(name, node, &show, &command);
            files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let mut stream_files = KVec::new();
        let mut streams = KVec::new();
        for (name, command) in STREAMS {
            let node = Arc::pin_init(TestStream::new(), GFP_KERNEL)?;
            if let Some(command) = command {
                stream::run(&node, command)?;
            }
            streams.push(node.clone(), GFP_KERNEL)?;
            let file = dir.read_write_callback_file(name, node, &show_stream, &command_stream);
            stream_files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let client = Arc::pin_init(TestClient::new(), GFP_KERNEL)?;
        let file =
            dir.read_write_callback_file(c"client", client.clone(), &show_client, &command_client);
        let spare = nodes.last().ok_or(EINVAL)?.clone();
        let thread = Arc::pin_init(TestThread::new(spare, client.clone()), GFP_KERNEL)?;
        let thread_file =
            dir.read_write_callback_file(c"thread", thread.clone(), &show_thread, &command_thread);
        let mut filter_files = KVec::new();
        let mut filters = KVec::new();
        for (name, class) in [
            (c"filter0", static_lock_class!()),
            (c"filter1", static_lock_class!()),
        ] {
            let filter = Arc::pin_init(TestFilter::new(class), GFP_KERNEL)?;
            filters.push(filter.clone(), GFP_KERNEL)?;
            let file = dir.read_write_callback_file(name, filter, &show_filter, &command_filter);
            filter_files.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(Self {
            _files: files,
            _stream_files: stream_files,
            _client_file: KBox::pin_init(file, GFP_KERNEL)?,
            _thread_file: KBox::pin_init(thread_file, GFP_KERNEL)?,
            #[cfg(iostream_races)]
            _races_file: KBox::pin_init(
                dir.read_write_callback_file(c"races", (), &races::show, &command_races),
                GFP_KERNEL,
            )?,
            _dir: dir,
            nodes,
            streams,
            client,
            _filter_files: filter_files,
            thread,
            filters,
        })
    }
}

impl Drop for TestModule {
    fn drop(&mut self) {
        // The result of a command that nobody waits for.
        let _ = self.thread.stop();
        self.client.close();
        for filter in &self.filters {
            filter.unpublish();
        }
        for node in &self.nodes {
            node.unpublish();
        }
        for node in &self.streams {
            node.unpublish();
        }
    }
}

fn show(node: &Arc<TestNode>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    node.show(out)
}

fn show_stream(node: &Arc<TestStream>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    node.show(out)
}

fn show_client(client: &Arc<TestClient>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    client.show(out)
}

fn show_filter(filter: &Arc<TestFilter>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    filter.show(out)
}

fn command_filter(filter: &Arc<TestFilter>, reader: &mut UserSliceReader) -> Result {
    with_text(reader, |text| filter::run(filter, text))
}

fn show_thread(thread: &Arc<TestThread>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    thread.show(out)
}

fn command_thread(thread: &Arc<TestThread>, reader: &mut UserSliceReader) -> Result {
    with_text(reader, |text| thread::run(thread, text))
}

fn command(node: &Arc<TestNode>, reader: &mut UserSliceReader) -> Result {
    with_text(reader, |text| commands::run(node, text))
}

fn command_stream(node: &Arc<TestStream>, reader: &mut UserSliceReader) -> Result {
    with_text(reader, |text| stream::run(node, text))
}

fn command_client(client: &Arc<TestClient>, reader: &mut UserSliceReader) -> Result {
    with_text(reader, |text| client::run(client, text))
}

#[cfg(iostream_races)]
fn command_races(_: &(), reader: &mut UserSliceReader) -> Result {
    with_text(reader, races::run)
}

/// Runs `f` with the command that was written.
fn with_text(reader: &mut UserSliceReader, f: impl FnOnce(&str) -> Result) -> Result {
    let mut text = [0; COMMAND_BYTES];
    let len = reader.len();
    reader.read_slice(text.get_mut(..len).ok_or(EINVAL)?)?;
    let text = core::str::from_utf8(&text[..len]).map_err(|_| EINVAL)?;
    f(text.trim())
}
