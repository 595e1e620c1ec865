// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl doctor`: what is wrong with an installation, and what would be right.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt;

use iostream::{Error, OpenError, Session};
use rustix::fs::{access, Access};
use serde_json::{json, Value};

use crate::attribute::text;
use crate::cli::Cli;
use crate::failure::{Failure, Result};
use crate::report::{print, Output};
use crate::surroundings::{sees_sys, what_permits, why_missing, NO_SYS};
use crate::sysfs::{Node, System};

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    what: String,
    /// What is wrong and what would be right; `None` if it is in order.
    wrong: Option<String>,
}

impl Finding {
    fn new(what: impl Into<String>, wrong: Option<String>) -> Self {
        let what = what.into();
        Self { what, wrong }
    }

    fn json(&self) -> Value {
        json!({ "what": self.what, "ok": self.wrong.is_none(), "wrong": self.wrong })
    }
}

/// Looks at everything that programs need. Fails if something is wrong.
pub fn run(cli: &Cli) -> Result<()> {
    let system = System::real();
    let mut findings = installed(&system);
    findings.extend(version());
    findings.extend(nodes(&system));
    let wrong = findings
        .iter()
        .filter(|found| found.wrong.is_some())
        .count();
    let json = || {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
        })
    };
    print(cli, Output::Free, json, |out| {
        for found in &findings {
            match &found.wrong {
                None => writeln!(out, "ok     {}", found.what)?,
                Some(wrong) => writeln!(out, "WRONG  {}: {wrong}", found.what)?,
            }
        }
        Ok(())
    })?;
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::Unsound("1 thing is wrong".to_owned())),
        _ => Err(Failure::Unsound(format!("{wrong} things are wrong"))),
    }
}

/// The module, the rules of udev and the group.
fn installed(system: &System) -> Vec<Finding> {
    if !sees_sys(system) {
        return vec![Finding::new("/sys is there", Some(NO_SYS.to_owned()))];
    }
    let mut findings = vec![Finding::new(
        "the module iostream is loaded",
        (!system.is_loaded()).then(|| "load it with `modprobe iostream`".to_owned()),
    )];
    if !system.is_loaded() {
        return findings;
    }
    let group = text(&system.path("etc/group")).unwrap_or_default();
    let named = group.lines().any(|line| line.starts_with("iostream:"));
    // A container may have no name for the group that its nodes have.
    let given = metadata(system.path("dev/iostream")).is_ok_and(|file| file.gid() != 0);
    findings.push(Finding::new(
        "the group iostream is there",
        (!named && !given).then(|| {
            "only root can use the nodes: create it with `groupadd --system iostream`".to_owned()
        }),
    ));
    // A service or container with a /dev of its own has no links: the nodes tell that.
    if system.path("dev/iostream").exists() {
        let linked = system.path("dev/iostreams/by-name").is_dir();
        findings.push(Finding::new(
            "udev names the nodes in /dev/iostreams/by-name",
            (!linked).then(|| {
                "install 60-iostream.rules in /etc/udev/rules.d, and run `udevadm trigger`"
                    .to_owned()
            }),
        ));
    }
    findings
}

/// Whether module and command speak the same version of the interface, if that can be asked:
/// `/dev/iostream` may be open as often as one likes.
fn version() -> Option<Finding> {
    let wrong = match Session::open(iostream::BuiltIn::PATH) {
        Ok(_) => None,
        Err(OpenError::Other(error @ Error::Version { .. })) => {
            Some(format!("{error}: build both from one source"))
        }
        // Another finding tells of it.
        Err(_) => return None,
    };
    let what = "the module and this command speak one version of the interface";
    Some(Finding::new(what, wrong))
}

/// Whether this user can open each node. A container need not have all of them.
fn nodes(system: &System) -> Vec<Finding> {
    let nodes = system.nodes().unwrap_or_default();
    let (here, hidden): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.path.exists());
    let shown = if here.is_empty() { hidden } else { here };
    shown.into_iter().map(|node| usable(node, system)).collect()
}

/// Whether this user can open a node.
fn usable(node: &Node, system: &System) -> Finding {
    let what = format!("{} ({}) can be opened", node.path.display(), node.name);
    let wrong = if node.path.exists() {
        let both = Access::READ_OK | Access::WRITE_OK;
        access(&node.path, both)
            .err()
            .map(|_| format!("no permission: {}", what_permits(&node.path)))
    } else {
        Some(format!("it {}", why_missing(&node.path, system)))
    };
    Finding::new(what, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::fake;

    #[test]
    fn each_missing_part_is_found() {
        let wrong = |files: &[(&str, &str)], test| {
            let system = fake(test, files);
            let findings = installed(&system);
            system.remove();
            let wrong = findings.iter().filter(|found| found.wrong.is_some());
            (findings.len(), wrong.count())
        };
        let group = ("etc/group", "root:x:0:\niostream:x:9:\n");
        assert_eq!(wrong(&[group], "doctor1"), (1, 1));
        let other = ("sys/class/tty/x", "");
        assert_eq!(wrong(&[group, other], "doctor2"), (1, 1));
        let module = ("sys/class/iostream/iostream/name", "iostream\n");
        let node = ("dev/iostream", "");
        assert_eq!(wrong(&[module], "doctor3"), (2, 1));
        assert_eq!(wrong(&[module, node], "doctor4"), (3, 2));
        assert_eq!(wrong(&[module, node, group], "doctor5"), (3, 1));
        let link = ("dev/iostreams/by-name/x", "");
        assert_eq!(wrong(&[module, node, group, link], "doctor6"), (3, 0));
    }

    #[test]
    fn a_missing_node_is_wrong() {
        let node = Node {
            path: "/nonexistent/node".into(),
            ..Node::default()
        };
        assert!(usable(&node, &System::real()).wrong.is_some());
    }
}
