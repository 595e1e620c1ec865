# SPDX-License-Identifier: GPL-2.0
"""What scripts/harden and scripts/mutants share: source keys, kept results, commands, kernels."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = TOP / "build/harden"
# The modules for the bug-hunting kernel.
HUNTING_MODULES = "build/harden/modules"
# What the modules that the tests load are made of, and what boots them.
KERNEL_PARTS = ["rust/iostream", "rust/ring", "rust/uapi", "rust/drivers/test", "qemu", "Kbuild"]
PROGRAMS = [
    f"userspace/{name}"
    for name in ("iostream", "iostreamctl", "raw", "selftests", "hostile", "Cargo.toml", "Cargo.lock")
]
# The sources that the result of a step of scripts/harden depends on, and of all of them together.
SOURCES_OF = {
    "litmus": ["rust/ring"],
    "hostile": [*KERNEL_PARTS, "userspace/hostile", "userspace/raw"],
    "soak": [*KERNEL_PARTS, "userspace/hostile", "userspace/raw"],
}
SOURCES = ["rust", *PROGRAMS, "qemu", "udev", "Kbuild", "scripts/hardening/coverage",
           "scripts/hardening/coverage.out-of-reach"]
# Pages must be zero because the module asks for it, not because this kernel happens to zero all.
PAGES_AS_THEY_ARE = "init_on_alloc=0"

_trees = {}


def key_of(parts, *words):
    """Changes with any file of `parts` (files and folders of the checkout), and with the words."""
    total = hashlib.sha256(" ".join(words).encode())
    for part in parts:
        path = TOP / part
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                total.update(str(file.relative_to(TOP)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def sources_of(step):
    """The sources that the result of a step (`litmus`, `soak-output-poll`) depends on."""
    return SOURCES_OF.get(step.partition("-")[0], SOURCES)


def commit_of_sources():
    """The commit of the checkout, or nothing where its sources differ from it."""
    git = ["git", "-C", str(TOP)]
    try:
        changed = subprocess.check_output([*git, "status", "--porcelain", "--", *SOURCES], text=True)
        return "" if changed else subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def kept(file, key):
    """The result that was kept under this key, or None."""
    if file.exists():
        result = json.loads(file.read_text())
        if result.get("key") == key:
            return result
    return None


def keep(file, result):
    """Keeps a result. An interruption leaves the old one or the new one, never a part."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(result, indent=1))
    new.rename(file)


def call(command, log, seconds, *, cwd=TOP, append=False, **env):
    """Runs a command with its output in `log`: its exit status, or None if it took too long."""
    with open(log, "ab" if append else "wb") as out:
        try:
            return subprocess.run(
                command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                timeout=seconds, env={**os.environ, **env},
            ).returncode
        except subprocess.TimeoutExpired:
            return None


def text_of(file):
    """What a program or a machine said; nothing if it never began."""
    return file.read_text(errors="replace") if file.exists() else ""


def tree(kernel):
    """The folder of a kernel, `stock` or `hunting`, which is made if it is missing."""
    if kernel not in _trees:
        script = {"stock": "kernel-tree", "hunting": "hardening-kernel"}[kernel]
        said = subprocess.check_output([TOP / "scripts/env" / script], text=True)
        _trees[kernel] = said.strip()
    return _trees[kernel]


def hunting_machine():
    """The options of qemu/run for the bug-hunting kernel, without the modules."""
    # no5lvl: between two looks at the processor's features the kernel takes itself for one with
    # four levels of page tables, and KASAN takes the memory of an interrupt for wild. Two sockets:
    # the MP table lists only the first processor of each.
    return [
        "--kernel", tree("hunting") + "/vmlinuz", "--cpus", "2,sockets=2", "--memory", "3G",
        "--append", f"no5lvl kasan_multi_shot {PAGES_AS_THEY_ARE}", "--overlay", "qemu/hardening",
    ]


def run_in_root(script, main):
    """Runs `main` with Debian 13's tools, and ends the process with what it returns."""
    if "-h" in sys.argv or "--help" in sys.argv:
        print(sys.modules["__main__"].__doc__.rstrip())
        sys.exit(0)
    if not os.environ.get("IOSTREAM_IN_ROOT"):
        # The root folder has no git.
        os.environ["IOSTREAM_COMMIT"] = commit_of_sources()
        os.execv(TOP / "scripts/env/in-root", ["in-root", f"scripts/{script}", *sys.argv[1:]])
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print(f"\n{script}: interrupted; the results so far are kept, and the next run goes on",
              file=sys.stderr)
        sys.exit(130)
