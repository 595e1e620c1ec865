// SPDX-License-Identifier: GPL-2.0

//! The files of a node in `/sys/class/iostream/*`.
//!
//! ```text
//! name                 the node's name
//! sessions             the number of open sessions
//! pages                /dev/iostream only: the pages that all queues and buffers use
//! unopened             drivers' nodes only: the entries and frames that were refused, or reported
//!                      lost, while nobody had the node open
//! max_queue_bytes      the module's limit for one queue
//! max_total_bytes      the module's limit for the queues and buffers of one user
//! output/*, input/*    drivers' nodes only: the counters of the open session's queue, and how each
//!                      session's queue is made:
//!     data_bytes       its size
//!     max_entry_bytes  its longest entry
//!     overwrite        1 if a full queue overwrites its oldest entries, otherwise 0
//! ```
//!
//! `sysfs/stream.rs` has the files that only streams have.

pub(crate) mod stream;

use core::mem::offset_of;

use kernel::{bindings as c, fmt, prelude::*, sync::atomic::Relaxed, types::Opaque};

use crate::{
    bindings::{self, chars},
    memory::limits,
    node::Node,
    queue::{
        self,
        config::{Direction, QueueConfig},
        Counter,
    },
};

/// Writes the text of a file, and returns its length.
pub(crate) type Show = fn(&Node, Out) -> Result<isize>;
/// Writes the value of a counter, given by its place in its table, and returns the length.
pub(crate) type ShowCounter = fn(&Node, Out, usize) -> Result<isize>;
/// Handles text that was written to a file.
pub(crate) type Store = fn(&Node, &str) -> Result;

/// The page that sysfs provides for the text of a file.
pub(crate) struct Out(*mut c_char);

impl Out {
    /// Writes a value and a newline, and returns the length. Never fails; the result has the type
    /// that a [`Show`] returns.
    pub(crate) fn line(self, value: impl fmt::Display) -> Result<isize> {
        // SAFETY: The page came from sysfs. `%pA` takes a pointer to `fmt::Arguments`, which live
        // until the end of the call.
        let len = unsafe {
            c::sysfs_emit(
                self.0,
                c"%pA\n".as_char_ptr(),
                core::ptr::from_ref(&kernel::prelude::fmt!("{}", value)).cast::<c_void>(),
            )
        };
        Ok(len as isize)
    }
}

/// What a file shows.
#[derive(Clone, Copy)]
pub(crate) enum Shown {
    /// A text.
    Text(Show),
    /// The counter at this place in its table.
    Counter(ShowCounter, usize),
}

/// One file in sysfs.
#[repr(C)]
pub(crate) struct Attribute {
    /// The first field, so that a pointer to it, which sysfs passes, is one to the whole.
    attribute: c::device_attribute,
    shown: Shown,
    store: Option<Store>,
    /// Whether a node has this file.
    applies: fn(&Node) -> bool,
}

impl Attribute {
    /// A place in a table that is being filled.
    pub(crate) const NOTHING: Self =
        Self::new(c"", |_| false, Shown::Text(|_, _| Err(ENXIO)), None);

    /// Describes a file. It can be written if there is a `store`.
    #[allow(
        clippy::needless_update,
        reason = "the number of fields depends on the kernel's configuration"
    )]
    pub(crate) const fn new(
        name: &'static CStr,
        applies: fn(&Node) -> bool,
        shown: Shown,
        store: Option<Store>,
    ) -> Self {
        Self {
            attribute: c::device_attribute {
                attr: c::attribute {
                    name: chars(name),
                    mode: if store.is_some() { 0o644 } else { 0o444 },
                    // A kernel with lockdep has more fields.
                    ..pin_init::zeroed()
                },
                __bindgen_anon_1: c::device_attribute__bindgen_ty_1 {
                    show: Some(show_trampoline),
                },
                __bindgen_anon_2: c::device_attribute__bindgen_ty_2 {
                    store: Some(store_trampoline),
                },
            },
            shown,
            store,
            applies,
        }
    }
}

const _: () = assert!(offset_of!(Attribute, attribute) == 0);

/// Shows a file.
///
/// # Safety
///
/// `dev` is a node's device, `attribute` the first field of an [`Attribute`], `buffer` a page.
unsafe extern "C" fn show_trampoline(
    dev: *mut c::device,
    attribute: *mut c::device_attribute,
    buffer: *mut c_char,
) -> isize {
    // SAFETY: `dev` is a node's device, which sysfs keeps alive during the call.
    let node = unsafe { Node::from_device(dev) };
    // SAFETY: `attribute` is the first field of an `Attribute`, by this function's contract.
    let shown = unsafe { (*attribute.cast::<Attribute>()).shown };
    let len = match shown {
        Shown::Text(show) => show(node, Out(buffer)),
        Shown::Counter(show, index) => show(node, Out(buffer), index),
    };
    match len {
        Ok(len) => len,
        Err(error) => error.to_errno() as isize,
    }
}

/// Handles a write to a file.
///
/// # Safety
///
/// `dev` is a node's device, `attribute` the first field of an [`Attribute`], and `buffer` holds
/// `count` bytes.
unsafe extern "C" fn store_trampoline(
    dev: *mut c::device,
    attribute: *mut c::device_attribute,
    buffer: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: `dev` is a node's device, which sysfs keeps alive during the call. `attribute` is the
    // first field of an `Attribute`. The bytes are sysfs's own copy, which nothing else writes.
    let (node, store, text) = unsafe {
        (
            Node::from_device(dev),
            (*attribute.cast::<Attribute>()).store,
            core::slice::from_raw_parts(buffer.cast::<u8>(), count),
        )
    };
    let stored = match (store, core::str::from_utf8(text)) {
        (Some(store), Ok(text)) => store(node, text.trim_end_matches('\n')),
        (None, _) => Err(EACCES),
        (_, Err(_)) => Err(EINVAL),
    };
    match stored {
        Ok(()) => count as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// Tells sysfs whether a node has a file: returns its mode, or hides it.
///
/// # Safety
///
/// `kobject` is that of a node's device, and `attribute` is at the start of an [`Attribute`].
unsafe extern "C" fn is_visible(
    kobject: *mut c::kobject,
    attribute: *mut c::attribute,
    _index: c_int,
) -> c::umode_t {
    // SAFETY: Both hold by this function's contract; `attribute` is at the start of an `Attribute`.
    let (node, applies) = unsafe {
        let dev = bindings::iostream_kobj_to_dev(kobject);
        (
            Node::from_device(dev),
            (*attribute.cast::<Attribute>()).applies,
        )
    };
    if applies(node) {
        // SAFETY: `attribute` is valid by this function's contract.
        unsafe { (*attribute).mode }
    } else {
        // For the first file of a group, this hides the whole group. It hides any other file.
        c::SYSFS_GROUP_INVISIBLE as c::umode_t
    }
}

fn name(node: &Node, out: Out) -> Result<isize> {
    out.line(node.name_str())
}

fn sessions(node: &Node, out: Out) -> Result<isize> {
    out.line(node.sessions().load(Relaxed))
}

fn pages(_: &Node, out: Out) -> Result<isize> {
    out.line(limits::pages_in_use())
}

fn unopened(node: &Node, out: Out) -> Result<isize> {
    out.line(node.ports().iter().map(|port| port.unopened()).sum::<u64>())
}

fn max_queue_bytes(_: &Node, out: Out) -> Result<isize> {
    out.line(limits::max_queue_bytes())
}

fn max_total_bytes(_: &Node, out: Out) -> Result<isize> {
    out.line(limits::max_total_bytes())
}

/// How each session's queue of a direction is made. All ports of a node are alike.
fn queue_config(node: &Node, direction: Direction) -> Result<QueueConfig> {
    let port = node.ports().first();
    port.and_then(|port| port.queue_config(direction))
        .ok_or(ENXIO)
}

// The functions are the same for both directions, once each in the module.

#[inline(never)]
fn data_bytes(node: &Node, out: Out, direction: Direction) -> Result<isize> {
    out.line(queue_config(node, direction)?.capacity_bytes())
}

#[inline(never)]
fn max_entry_bytes(node: &Node, out: Out, direction: Direction) -> Result<isize> {
    out.line(queue::max_entry_bytes(queue_config(node, direction)?))
}

#[inline(never)]
fn overwrite(node: &Node, out: Out, direction: Direction) -> Result<isize> {
    out.line(u8::from(queue_config(node, direction)?.is_overwriting()))
}

fn counter(node: &Node, out: Out, direction: Direction, counter: Counter) -> Result<isize> {
    // The sum over all clients. Most nodes have one at a time.
    let values = node.ports().iter().filter_map(|port| {
        port.with_open_queue(direction, |queue| queue.counter(counter).load(Relaxed))
    });
    out.line(values.fold(0, u64::wrapping_add))
}

/// Whether a node is a driver's with a queue of this direction.
fn has(node: &Node, direction: Direction) -> bool {
    node.ports().first().is_some_and(|port| port.has(direction))
}

/// Defines a static table of files. Each has a name, a condition that the node meets, a [`Show`],
/// and possibly a [`Store`].
macro_rules! attributes {
    ($static:ident: $($name:literal if $applies:expr => $show:expr $(, store $store:expr)?;)*) => {
        pub(crate) static $static: Table<{ [$($name),*].len() }> = Table([
            $(Attribute::new(
                $name,
                $applies,
                $crate::file::sysfs::Shown::Text($show),
                attributes!(@store $($store)?),
            )),*
        ]);
    };
    (@store) => { None };
    (@store $store:expr) => { Some($store) };
}
pub(crate) use attributes;

/// Defines a static table of files, one for each counter of a table of counters. It has a condition
/// that the node meets, and a function that writes the value of a counter.
macro_rules! counter_files {
    ($static:ident: $counter:ident if $applies:expr => $show:expr) => {
        pub(crate) static $static: Table<{ $counter::ALL.len() }> = Table({
            let show: $crate::file::sysfs::ShowCounter =
                |node, out, index| $show(node, out, $counter::ALL[index]);
            let mut files = [const { Attribute::NOTHING }; $counter::ALL.len()];
            let mut i = 0;
            while i < files.len() {
                files[i] = Attribute::new(
                    $counter::ALL[i].file_name(),
                    $applies,
                    $crate::file::sysfs::Shown::Counter(show, i),
                    None,
                );
                i += 1;
            }
            files
        });
    };
}
pub(crate) use counter_files;

/// The files of one group.
pub(crate) struct Table<const N: usize>(pub(crate) [Attribute; N]);

// SAFETY: The table is never changed.
unsafe impl<const N: usize> Sync for Table<N> {}

attributes! { NODE:
    c"name" if |_| true => name;
    c"sessions" if |_| true => sessions;
    c"pages" if |node| node.is_built_in() => pages;
    c"unopened" if |node| !node.is_built_in() => unopened;
    c"max_queue_bytes" if |_| true => max_queue_bytes;
    c"max_total_bytes" if |_| true => max_total_bytes;
}
attributes! { OUTPUT_QUEUE:
    c"data_bytes" if |node| has(node, Direction::Output) =>
        |node, out| data_bytes(node, out, Direction::Output);
    c"max_entry_bytes" if |node| has(node, Direction::Output) =>
        |node, out| max_entry_bytes(node, out, Direction::Output);
    c"overwrite" if |node| has(node, Direction::Output) =>
        |node, out| overwrite(node, out, Direction::Output);
}
attributes! { INPUT_QUEUE:
    c"data_bytes" if |node| has(node, Direction::Input) =>
        |node, out| data_bytes(node, out, Direction::Input);
    c"max_entry_bytes" if |node| has(node, Direction::Input) =>
        |node, out| max_entry_bytes(node, out, Direction::Input);
    c"overwrite" if |node| has(node, Direction::Input) =>
        |node, out| overwrite(node, out, Direction::Input);
}
counter_files!(OUTPUT: Counter if |node| has(node, Direction::Output) =>
    |node, out, which| counter(node, out, Direction::Output, which));
counter_files!(INPUT: Counter if |node| has(node, Direction::Input) =>
    |node, out, which| counter(node, out, Direction::Input, which));

/// An array of pointers as sysfs takes it: the last one is null.
struct Pointers<T, const N: usize>([*const T; N]);

// SAFETY: The array is never changed, and points to statics that are never changed.
unsafe impl<T, const N: usize> Sync for Pointers<T, N> {}

/// The number of a table's files.
const fn count<const N: usize>(_: &Table<N>) -> usize {
    N
}

/// Null pointers alone.
const fn no_pointers<const M: usize>() -> Pointers<c::attribute, M> {
    Pointers([core::ptr::null(); M])
}

/// Adds pointers to the files of a table, from `start` on.
const fn add<const N: usize, const M: usize>(
    mut all: Pointers<c::attribute, M>,
    start: usize,
    table: &'static Table<N>,
) -> Pointers<c::attribute, M> {
    // The last pointer stays null.
    assert!(start + N < M);
    let mut i = 0;
    while i < N {
        all.0[start + i] = &raw const table.0[i].attribute.attr;
        i += 1;
    }
    all
}

/// Defines the static array of pointers to the files of one or two tables.
macro_rules! pointers_to {
    ($static:ident: $table:expr $(, $more:expr)?) => {
        static $static: Pointers<c::attribute, { count(&$table) $(+ count(&$more))? + 1 }> = {
            let all = add(no_pointers(), 0, &$table);
            $(let all = add(all, count(&$table), &$more);)?
            all
        };
    };
}

pointers_to!(NODE_POINTERS: NODE);
pointers_to!(OUTPUT_POINTERS: OUTPUT, OUTPUT_QUEUE);
pointers_to!(INPUT_POINTERS: INPUT, INPUT_QUEUE);
pointers_to!(STREAM_POINTERS: stream::STREAM);
pointers_to!(COUNTERS_POINTERS: stream::COUNTERS);

/// A group of files: a folder if it has a name, otherwise files of the node's own folder.
struct Group(Opaque<c::attribute_group>);

// SAFETY: The group is never changed.
unsafe impl Sync for Group {}

impl Group {
    /// A group of the files of `attributes`.
    const fn new<const N: usize>(
        name: Option<&'static CStr>,
        attributes: &'static Pointers<c::attribute, N>,
    ) -> Self {
        Self(Opaque::new(c::attribute_group {
            name: match name {
                Some(name) => chars(name),
                None => core::ptr::null(),
            },
            __bindgen_anon_1: c::attribute_group__bindgen_ty_1 {
                is_visible: Some(is_visible),
            },
            __bindgen_anon_2: c::attribute_group__bindgen_ty_2 {
                attrs: (&raw const attributes.0).cast_mut().cast(),
            },
            ..pin_init::zeroed()
        }))
    }
}

static NODE_GROUP: Group = Group::new(None, &NODE_POINTERS);
static OUTPUT_GROUP: Group = Group::new(Some(c"output"), &OUTPUT_POINTERS);
static INPUT_GROUP: Group = Group::new(Some(c"input"), &INPUT_POINTERS);

static STREAM_GROUP: Group = Group::new(None, &STREAM_POINTERS);
static COUNTERS_GROUP: Group = Group::new(Some(c"stream"), &COUNTERS_POINTERS);

static GROUPS: Pointers<c::attribute_group, 6> = Pointers([
    NODE_GROUP.0.get(),
    OUTPUT_GROUP.0.get(),
    INPUT_GROUP.0.get(),
    STREAM_GROUP.0.get(),
    COUNTERS_GROUP.0.get(),
    core::ptr::null(),
]);

/// The groups of all nodes, for their device type.
pub(crate) const fn groups() -> *mut *const c::attribute_group {
    (&raw const GROUPS.0).cast_mut().cast()
}
