// SPDX-License-Identifier: GPL-2.0

//! `/sys/class/iostream/*`: what can be seen of a node from outside.
//!
//! ```text
//! name                 the node's name
//! sessions             how many have it open
//! pages                /dev/iostream: pages that all queues together take
//! unopened             drivers' nodes: entries refused because nobody had it open
//! output/*, input/*    drivers' nodes: the counters of the open session's queue
//! ```
//!
//! Those of streams are in `stream/sysfs.rs`.

pub(crate) mod stream;

use core::mem::offset_of;

use kernel::{bindings as c, fmt, prelude::*, sync::atomic::Relaxed, types::Opaque};

use crate::{
    bindings::{self, chars},
    memory::limits,
    node::Node,
    queue::{config::Direction, Counter},
};

/// Writes what a file shows; an error if it makes no sense for this node.
pub(crate) type Show = fn(&Node, Out) -> Result<isize>;
/// Does what is written to a file.
pub(crate) type Store = fn(&Node, &str) -> Result;

/// The page that sysfs gives for a file's text.
pub(crate) struct Out(*mut c_char);

impl Out {
    /// A line of text.
    ///
    /// # Errors
    ///
    /// None; as what shows wants it.
    pub(crate) fn line(self, value: impl fmt::Display) -> Result<isize> {
        // SAFETY: `%pA` takes a pointer to `fmt::Arguments`; the page is sysfs's.
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

/// One file.
#[repr(C)]
pub(crate) struct Attribute {
    attribute: c::device_attribute,
    show: Show,
    store: Option<Store>,
    applies: fn(&Node) -> bool,
}

impl Attribute {
    #[allow(
        clippy::needless_update,
        reason = "how many fields there are depends on the kernel's configuration"
    )]
    pub(crate) const fn new(
        name: &'static CStr,
        applies: fn(&Node) -> bool,
        show: Show,
        store: Option<Store>,
    ) -> Self {
        Self {
            attribute: c::device_attribute {
                attr: c::attribute {
                    name: chars(name),
                    mode: if store.is_some() { 0o644 } else { 0o444 },
                    // There is more in a kernel with lockdep.
                    ..pin_init::zeroed()
                },
                __bindgen_anon_1: c::device_attribute__bindgen_ty_1 {
                    show: Some(show_trampoline),
                },
                __bindgen_anon_2: c::device_attribute__bindgen_ty_2 {
                    store: Some(store_trampoline),
                },
            },
            show,
            store,
            applies,
        }
    }
}

const _: () = assert!(offset_of!(Attribute, attribute) == 0);

/// # Safety
///
/// `dev` is a node's device, `attribute` one of this file's, `buffer` a page of sysfs's.
unsafe extern "C" fn show_trampoline(
    dev: *mut c::device,
    attribute: *mut c::device_attribute,
    buffer: *mut c_char,
) -> isize {
    // SAFETY: The groups below are on nodes alone, which sysfs keeps alive meanwhile.
    let node = unsafe { Node::from_device(dev) };
    // SAFETY: Every attribute here is the first field of an `Attribute`.
    let show = unsafe { (*attribute.cast::<Attribute>()).show };
    match show(node, Out(buffer)) {
        Ok(len) => len,
        Err(error) => error.to_errno() as isize,
    }
}

/// # Safety
///
/// `dev` is a node's device, `attribute` one of this file's, `buffer` holds `count` bytes.
unsafe extern "C" fn store_trampoline(
    dev: *mut c::device,
    attribute: *mut c::device_attribute,
    buffer: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: As in `show_trampoline`; the bytes are sysfs's own copy of what was written.
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

/// Whether a file makes sense for this node.
///
/// # Safety
///
/// `kobject` is a node's device's, `attribute` one of this file's.
unsafe extern "C" fn is_visible(
    kobject: *mut c::kobject,
    attribute: *mut c::attribute,
    _index: c_int,
) -> c::umode_t {
    // SAFETY: The caller's promise; the attribute is the first field of all that it is in.
    let (node, applies) = unsafe {
        let dev = bindings::iostream_kobj_to_dev(kobject);
        (
            Node::from_device(dev),
            (*attribute.cast::<Attribute>()).applies,
        )
    };
    if applies(node) {
        // SAFETY: The caller's promise.
        unsafe { (*attribute).mode }
    } else {
        // Said of its first file, it hides a whole group.
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

fn counter(node: &Node, out: Out, direction: Direction, counter: Counter) -> Result<isize> {
    // Of all clients together; of most nodes there is one.
    let values = node.ports().iter().filter_map(|port| {
        port.with_open_queue(direction, |queue| queue.counter(counter).load(Relaxed))
    });
    out.line(values.fold(0, u64::wrapping_add))
}

/// Whether a driver's node has a queue of this direction.
fn has(node: &Node, direction: Direction) -> bool {
    node.ports().first().is_some_and(|port| port.has(direction))
}

/// A static table of files: name, whether a node has it, what it shows, what writing does.
macro_rules! attributes {
    ($static:ident: $($name:literal if $applies:expr => $show:expr $(, store $store:expr)?;)*) => {
        pub(crate) static $static: Table<{ [$($name),*].len() }> = Table([
            $(Attribute::new($name, $applies, $show, attributes!(@store $($store)?))),*
        ]);
    };
    (@store) => { None };
    (@store $store:expr) => { Some($store) };
}
pub(crate) use attributes;

macro_rules! counters {
    ($static:ident, $direction:expr) => {
        attributes! { $static:
            c"entries" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::Entries);
            c"bytes" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::Bytes);
            c"wakeups_sent" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::WakeupsSent);
            c"wakeups_suppressed" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::WakeupsSuppressed);
            c"notifications" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::Notifications);
            c"full" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::Full);
            c"lost" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::Lost);
            c"corrupt" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::Corrupt);
            c"high_water_bytes" if |n| has(n, $direction) => |n, o| counter(n, o, $direction, Counter::HighWater);
        }
    };
}

/// Files, for a group.
pub(crate) struct Table<const N: usize>(pub(crate) [Attribute; N]);

// SAFETY: Immutable; sysfs only reads it.
unsafe impl<const N: usize> Sync for Table<N> {}

attributes! { NODE:
    c"name" if |_| true => name;
    c"sessions" if |_| true => sessions;
    c"pages" if |node| node.is_built_in() => pages;
    c"unopened" if |node| !node.is_built_in() => unopened;
}
counters!(OUTPUT, Direction::Output);
counters!(INPUT, Direction::Input);

/// Pointers as sysfs wants them, closed by null.
struct Pointers<T, const N: usize>([*const T; N]);

// SAFETY: Pointers to statics, only read.
unsafe impl<T, const N: usize> Sync for Pointers<T, N> {}

const fn pointers<const N: usize, const M: usize>(
    table: &'static Table<N>,
) -> Pointers<c::attribute, M> {
    assert!(M == N + 1);
    let mut all = [core::ptr::null(); M];
    let mut i = 0;
    while i < N {
        all[i] = &raw const table.0[i].attribute.attr;
        i += 1;
    }
    Pointers(all)
}

static NODE_POINTERS: Pointers<c::attribute, 5> = pointers(&NODE);
static OUTPUT_POINTERS: Pointers<c::attribute, 10> = pointers(&OUTPUT);
static INPUT_POINTERS: Pointers<c::attribute, 10> = pointers(&INPUT);
static STREAM_POINTERS: Pointers<c::attribute, 9> = pointers(&stream::STREAM);
static COUNTERS_POINTERS: Pointers<c::attribute, 8> = pointers(&stream::COUNTERS);

struct Group(Opaque<c::attribute_group>);

// SAFETY: Immutable; sysfs only reads it.
unsafe impl Sync for Group {}

impl Group {
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

/// The groups of every node, for its device type.
pub(crate) const fn groups() -> *mut *const c::attribute_group {
    (&raw const GROUPS.0).cast_mut().cast()
}
