// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-08: what a file is is found out before it is opened.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use iostream::{BuiltIn, OpenError, Session};
use rustix::fs::inotify;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-08/open-looks-first", open_looks_first),
    Clause::new("U-08/open-without-sys", open_without_sys),
    Clause::new("U-08/open-without-proc", open_without_proc),
    Clause::new("U-08/open-without-both", open_without_both),
    Clause::new("U-08/open-without-driver", open_without_driver),
];

/// Tells which files are opened.
struct Watch {
    events: rustix::fd::OwnedFd,
}

impl Watch {
    fn new(path: &Path) -> Self {
        let events = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&events, path, inotify::WatchFlags::OPEN).unwrap();
        Self { events }
    }

    fn has_seen_one(&self) -> bool {
        match rustix::io::read(&self.events, &mut [0; 4096]) {
            Ok(_) => true,
            Err(Errno::AGAIN) => false,
            Err(errno) => panic!("{errno}"),
        }
    }
}

/// What a file that is refused is said to be.
#[track_caller]
fn refused(path: &Path) -> String {
    match Session::open(path) {
        Err(OpenError::NotADevice { path: named, is }) => {
            assert_eq!(named, path);
            is
        }
        Err(error) => panic!("{error}"),
        Ok(session) => panic!("{session:?}"),
    }
}

fn make_node(name: &str, kind: libc::mode_t, device: libc::dev_t) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    let text = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: `text` is a string that ends with a zero.
    let made = unsafe { libc::mknod(text.as_ptr(), kind | 0o600, device) };
    assert_eq!(made, 0);
    path
}

/// Other files are refused, and never opened. A device is opened once.
fn open_looks_first() {
    let pipe = make_node("pipe", libc::S_IFIFO, 0);
    let block = make_node("block", libc::S_IFBLK, libc::makedev(7, 0));
    let file = make_node("file", libc::S_IFREG, 0);
    for (path, is) in [
        (Path::new("/dev/null"), "a character device of class mem"),
        (Path::new("/dev/tty"), "a character device of class tty"),
        (&pipe, "a pipe"),
        (&block, "a block device"),
        (&file, "a regular file"),
        (Path::new("/dev"), "a directory"),
    ] {
        let watch = Watch::new(path);
        assert_eq!(refused(path), is);
        assert!(!watch.has_seen_one(), "{} was opened", path.display());
    }
    for path in [pipe, block, file] {
        std::fs::remove_file(path).unwrap();
    }
    let driver = Driver::stream("output 1 64");
    for path in [driver.path(), BuiltIn::PATH.into()] {
        let watch = Watch::new(&path);
        Session::open(&path).unwrap();
        assert!(watch.has_seen_one());
    }
}

/// Covers a folder with an empty one, for this process alone.
fn hide(folder: &str) {
    let folder = CString::new(folder).unwrap();
    let (root, tmpfs) = (c"/".as_ptr(), c"tmpfs".as_ptr());
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: All strings end with a zero, and the null pointers stand for arguments without use.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0);
        let null: *const libc::c_void = std::ptr::null();
        assert_eq!(
            libc::mount(null.cast(), root, null.cast(), private, null),
            0
        );
        assert_eq!(libc::mount(tmpfs, folder.as_ptr(), tmpfs, 0, null), 0);
    }
}

/// As in a container: /proc/devices tells the driver.
fn open_without_sys() {
    let driver = Driver::stream("output 1 64");
    let path = driver.path();
    hide("/sys");
    drop(Session::open(&path).unwrap());
    drop(Session::open(BuiltIn::PATH).unwrap());
    let is = refused(Path::new("/dev/null"));
    assert_eq!(is, "a character device of driver mem");
}

fn open_without_proc() {
    hide("/proc");
    drop(Session::open(BuiltIn::PATH).unwrap());
    let is = refused(Path::new("/dev/null"));
    assert_eq!(is, "a character device of class mem");
}

/// A device of which nothing is known is not opened; a descriptor that was given still works.
fn open_without_both() {
    let path = Path::new(BuiltIn::PATH);
    let fd = Session::open(path).unwrap().into_fd().unwrap();
    hide("/sys");
    hide("/proc");
    let watch = Watch::new(path);
    assert!(refused(path).contains("neither /sys nor /proc"));
    assert!(!watch.has_seen_one());
    Session::from_fd(fd).unwrap();
}

/// A node that was left over from a driver that is gone.
fn open_without_driver() {
    let driver = Driver::stream("output 1 64");
    let device = std::fs::read_to_string(driver.sysfs().join("dev")).unwrap();
    let (major, _) = device.trim().split_once(':').unwrap();
    // No driver has this minor number.
    let device = libc::makedev(major.parse().unwrap(), 0xf_ffff);
    let path = make_node("left-over", libc::S_IFCHR, device);
    let error = Session::open(&path).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(error, OpenError::NotFound { .. }), "{error}");
}
