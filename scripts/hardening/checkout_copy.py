# SPDX-License-Identifier: GPL-2.0
"""Copies of the checkout, in which scripts/mutants builds: the checkout itself is left as it is."""

import os
import pathlib
import shutil

from hardening.shared import OUT, TOP, call

# What a copy is made of.
PARTS = ["rust", "userspace", "scripts", "qemu", "udev", "install", "Kbuild", "Makefile", "README.md", "rustfmt.toml"]
PROGRAMS = ["iostreamctl", "selftests", "hostile"]


def checkout_id():
    """Several checkouts share the cache, and all have the same path in the root folder."""
    file = OUT / "id"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(os.urandom(4).hex())
    return file.read_text()


class Copy:
    """The copy of one worker."""

    def __init__(self, number):
        cache = pathlib.Path(os.environ["IOSTREAM_CACHE"])
        self.top = cache / "mutants" / checkout_id() / str(number)
        # What was built in it stays, and is built again as far as the sources differ.
        for part in PARTS:
            self.sync(TOP / part, self.top / part)
        build = self.top / "build"
        release = "cargo/x86_64-unknown-linux-gnu/release"
        (build / release).mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS:
            # The old file goes first: it may be a hard link to cargo's own copy.
            (build / release / program).unlink(missing_ok=True)
            shutil.copy2(TOP / "build" / release / program, build / release / program)
        shutil.rmtree(build / "vm", ignore_errors=True)
        shutil.copytree(TOP / "build/vm", build / "vm")

    def sync(self, source, target):
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in source.iterdir()}
            for entry in target.iterdir():
                if entry.name not in names:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            for entry in source.iterdir():
                self.sync(entry, target / entry.name)
        elif not target.exists() or target.read_bytes() != source.read_bytes():
            # The new file has the time of now: what was built of a defect must be built again.
            shutil.copy(source, target)

    def run(self, command, seconds, log, **env):
        """Runs a command in the copy: its exit status, or None if it took too long."""
        return call(command, log, seconds, cwd=self.top, append=True, **env)

    def set(self, mutant, broken):
        """Puts the defect into the source, or the source back."""
        source = (TOP / mutant["file"]).read_text()
        text = source.replace(mutant["old"], mutant["new"]) if broken else source
        (self.top / mutant["file"]).write_text(text)
