// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl doctor`: what is wrong with an installation, and what would be right.

use std::fs;
use std::path::Path;

use iostream::{Error, Session};
use rustix::fs::{access, Access};
use serde_json::{json, Value};

use crate::attribute::text;
use crate::cli::Cli;
use crate::failure::{Failure, Result};
use crate::report::{print, Output};
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
    for node in system.nodes().unwrap_or_default() {
        findings.push(usable(&node));
    }
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
    let mut findings = vec![Finding::new(
        "the module iostream is loaded",
        (!system.is_loaded()).then(|| "load it with `modprobe iostream`".to_owned()),
    )];
    if !system.is_loaded() {
        return findings;
    }
    let group = text(&system.path("etc/group")).unwrap_or_default();
    let is_there = group.lines().any(|line| line.starts_with("iostream:"));
    findings.push(Finding::new(
        "the group iostream is there",
        (!is_there).then(|| {
            "only root can use the nodes: create it with `groupadd --system iostream`".to_owned()
        }),
    ));
    let linked = system.path("dev/iostreams/by-name").is_dir();
    findings.push(Finding::new(
        "udev names the nodes in /dev/iostreams/by-name",
        (!linked).then(|| {
            "install 60-iostream.rules in /etc/udev/rules.d, and run `udevadm trigger`".to_owned()
        }),
    ));
    findings
}

/// Whether module and command speak the same version of the interface, if that can be asked:
/// `/dev/iostream` may be open as often as one likes.
fn version() -> Option<Finding> {
    let wrong = match Session::open(iostream::BuiltIn::PATH) {
        Ok(_) => None,
        Err(error @ Error::Version { .. }) => Some(format!("{error}: build both from one source")),
        // Another finding tells of it.
        Err(_) => return None,
    };
    let what = "the module and this command speak one version of the interface";
    Some(Finding::new(what, wrong))
}

/// Whether this user can open a node.
fn usable(node: &Node) -> Finding {
    let what = format!("{} ({}) can be opened", node.path.display(), node.name);
    let wrong = if node.path.exists() {
        let both = Access::READ_OK | Access::WRITE_OK;
        access(&node.path, both)
            .err()
            .map(|_| format!("you have no permission: {}", owner(&node.path)))
    } else {
        Some("the file is missing: is devtmpfs mounted at /dev?".to_owned())
    };
    Finding::new(what, wrong)
}

/// What would give this user permission for a file.
fn owner(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(path) {
        Ok(metadata) if metadata.gid() != 0 && metadata.mode() & 0o060 == 0o060 => format!(
            "join the group {} and log in again, or run as root",
            group_name(metadata.gid())
        ),
        _ => "only root has: install the rules of udev, which give it to the group iostream"
            .to_owned(),
    }
}

/// The name of a group, or its number.
fn group_name(gid: u32) -> String {
    let groups = text(Path::new("/etc/group")).unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| gid.to_string())
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
        assert_eq!(
            wrong(&[("etc/group", "iostream:x:9:\n")], "doctor1"),
            (1, 1)
        );
        let module = ("sys/class/iostream/iostream/name", "iostream\n");
        assert_eq!(wrong(&[module], "doctor2"), (3, 2));
        let group = ("etc/group", "root:x:0:\niostream:x:9:\n");
        assert_eq!(wrong(&[module, group], "doctor3"), (3, 1));
        let link = ("dev/iostreams/by-name/iostream", "");
        assert_eq!(wrong(&[module, group, link], "doctor4"), (3, 0));
    }

    #[test]
    fn a_missing_node_is_wrong() {
        let node = Node {
            path: "/nonexistent/node".into(),
            ..Node::default()
        };
        assert!(usable(&node).wrong.is_some());
    }
}
