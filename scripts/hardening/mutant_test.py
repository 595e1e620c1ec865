# SPDX-License-Identifier: GPL-2.0
"""Builds a copy of the checkout, with a defect or without, and runs the test that has to notice."""

import re

from hardening.shared import HUNTING_MODULES, PAGES_AS_THEY_ARE, TOP
from hardening.shared import hunting_machine, text_of, tree

# The kinds of tests, in the order in which they are tried: the ones that tell most come first.
# The last kind leaves programs with a defect in the copies.
KINDS = ["vm", "ring", "unit", "herd", "soak", "loom", "harden", "hostile", "crate"]
# These kinds run on the bug-hunting kernel.
ON_HUNTING = ("harden", "hostile")
# These kinds are selftests.
SELFTESTS = ("vm", "harden", "crate")
# The verdict on a machine that died, or that had to be ended.
NOTHING_SAID = "(the machine said nothing of it)"
# The longest that a machine may run for one test; a defect may hang it.
SECONDS = {"vm": 300, "crate": 300, "harden": 400, "soak": 300, "hostile": 300}
# The wake-ups of a soak. The kernel's ends look for milliseconds before they sleep. Without the
# second look they lost a wake-up within 170 to 3,600, as long as the machine had its processors
# to itself: the soak aims by time.
WAKEUPS = {"process": 50_000, "kernel": 20_000}
# A failure with such a name is the failure of any test that ran meanwhile.
OF_THE_MACHINE = ("kernel-log/", "vm/", "run/", "UNLOAD/", "LOAD/")


def kernel_of(kind):
    return "hunting" if kind in ON_HUNTING else "stock"


def soak(variant):
    """The command that runs one variant of the soak."""
    side = "kernel" if variant.startswith("kernel-") else "process"
    return f"hostile soak --variant {variant} --wakeups {WAKEUPS[side]}"


def hostile(letter):
    """The command that runs a tenth of one class of the hostile program."""
    return f"hostile --class {letter} --divide 10"


class Runner:
    """Builds and runs in one copy; what is said goes to `log`."""

    def __init__(self, copy, log):
        self.copy, self.log = copy, log

    def note(self, text):
        with open(self.log, "a") as log:
            log.write(text)

    def note_console(self, console):
        """What the kernel said in a machine that said nothing else."""
        self.note(text_of(console)[-20000:] or "there is no console\n")

    def run(self, command, seconds, **env):
        return self.copy.run(command, seconds, self.log, **env)

    def said(self, command, seconds, **env):
        """The status of a command, and its output."""
        out = self.copy.top / "build/mutant.out"
        out.unlink(missing_ok=True)
        status = self.copy.run(command, seconds, out, **env)
        return status, text_of(out)

    def build(self, kernel, stale=False, drivers=()):
        """Builds the modules with the drivers that are needed: all are built again each time."""
        if kernel == "hunting":
            target = ["--into", HUNTING_MODULES, tree("hunting") + "/build"]
        else:
            target = [""]
        folders = {driver for driver in drivers if (TOP / "rust/drivers" / driver).is_dir()}
        command = [
            "scripts/build/modules", *target, "modules",
            "iostream-drivers=" + " ".join(["ticker", *sorted({*drivers} - folders)]),
            "iostream-driver-folders=" + " ".join(["test", *sorted(folders)]),
            # A third of the compiler's time; nobody looks into these modules.
            "KRUSTFLAGS=-Cdebuginfo=0",
        ]
        if self.run(command, 300) != 0:
            return False
        return not stale or self.run(["scripts/build/stale-driver"], 300) == 0

    def machine(self, kernel):
        if kernel == "hunting":
            return [*hunting_machine(), "--modules", HUNTING_MODULES]
        return ["--append", PAGES_AS_THEY_ARE]

    def selftests(self, kernel, pattern, seconds, name="mutant"):
        """The names of the tests that failed, and how many passed; None: unknown."""
        patience = "5" if kernel == "hunting" else "1"
        command = ["scripts/tests/vm", "--name", name, "--timeout", str(seconds),
                   "--patience", patience, *self.machine(kernel)]
        status, text = self.said(command, seconds + 60, ONLY=pattern)
        self.note(text)
        failed = re.findall(r"^FAILED (\S+)$", text, re.M)
        ran = re.search(r"^(\d+) passed", text, re.M)
        # A machine that said anything of a test listed all of them before.
        if status is None or not ran or "run/only" in failed:
            self.note_console(self.copy.top / f"build/test/{name}.console")
            return None, 0
        return failed, int(ran[1])

    def command(self, kernel, command, seconds):
        """Runs a command with the modules loaded: its status and output."""
        console = self.copy.top / "build/mutant.console"
        modules = "/lib/modules/iostream"
        line = f"insmod {modules}/iostream.ko && insmod {modules}/iostream_test.ko && {command}"
        status, text = self.said(
            ["qemu/run", "--timeout", str(seconds), "--console", str(console), *self.machine(kernel),
             "--cmd", line],
            seconds + 60,
        )
        self.note(text)
        if status != 0 and "%%" not in text:
            self.note_console(console)
        return status, text

    def cargo(self, kind, test):
        """Whether the test passed. None: it does not build, or there is no such test."""
        *file, test = test.split()
        loom = kind == "loom"
        env = {"CARGO_TARGET_DIR": str(self.copy.top / f"build/cargo-{'loom' if loom else 'tests'}")}
        if loom:
            env["RUSTFLAGS"] = "--cfg loom"
        if kind == "unit":
            target = ["--package", "iostream-client", "--lib"]
        else:
            target = ["--package", "iostream-ring", "--test", *file]
        base = ["cargo", "test", "--quiet", "--locked", "--offline", "--manifest-path",
                "userspace/Cargo.toml", *target, *(["--release"] if loom else [])]
        if self.run([*base, "--no-run"], 300, **env) != 0:
            return None
        status, text = self.said([*base, "--", "--exact", test], 120, **env)
        self.note(text[-20000:])
        if status == 0 and "1 passed" not in text:
            return None
        return status == 0

    def verdict(self, mutant):
        """(the test that caught it, what is wrong with the mutant itself, further words)"""
        kind, *test = mutant["test"].split()
        if kind in ("ring", "loom", "unit"):
            passed = self.cargo(kind, " ".join(test))
            if passed is None:
                return None, "does not build, or has no such test", ""
            return (None if passed else f"{kind} {'::'.join(test)}"), None, ""
        if kind == "herd":
            return self.herd(mutant, test[0])
        kernel = kernel_of(kind)
        if not self.build(kernel, mutant.get("stale", False), mutant.get("drivers", [])):
            return None, "does not build", ""
        # One defect after the other: most of what was compiled for the last one is the same.
        if kind == "crate" and self.run(["scripts/build/userspace"], 600, CARGO_INCREMENTAL="1") != 0:
            return None, "does not build", ""
        if kind in SELFTESTS:
            return self.selftest(kind, kernel, test[0])
        if kind == "soak":
            status, text = self.command(kernel, soak(test[0]), SECONDS[kind])
            how = f"soak {test[0]}" if "%% soak" in text else f"soak {test[0]} {NOTHING_SAID}"
            return (how if status != 0 else None), None, " ".join(re.findall(r"wakeups \d+", text))
        status, text = self.command(kernel, hostile(test[0]), SECONDS[kind])
        seed = re.search(r"seed (\d+)", text)
        how = f"hostile {test[0]}, seed {seed[1]}" if seed else f"hostile {test[0]} {NOTHING_SAID}"
        return (how if status != 0 else None), None, ""

    def selftest(self, kind, kernel, test):
        """The verdict of a selftest. A fault of the machine meanwhile counts as well."""
        failed, passed = self.selftests(kernel, test, SECONDS[kind])
        if failed is None:
            return f"{kind} {test} {NOTHING_SAID}", None, ""
        if test in failed:
            return f"{kind} {test}", None, ""
        if any(name.startswith(OF_THE_MACHINE) for name in failed):
            return f"{kind} {test} ({', '.join(failed)})", None, ""
        return None, None, f"{passed} passed"

    def herd(self, mutant, name):
        """The weakened copy of the litmus test says Sometimes. A soak shows the machine's view."""
        status, text = self.said(["scripts/check.d/55-litmus", name], 120)
        self.note(text)
        words = "not tried in the VM"
        if mutant.get("vm"):
            if not self.build("stock"):
                return None, "does not build", ""
            status_there, _ = self.command("stock", soak(mutant["vm"]), SECONDS["soak"])
            how = "fails, too" if status_there != 0 else "does not show it"
            words = f"in the VM: soak {mutant['vm']} {how}"
        return (f"herd {name}: Sometimes" if status == 0 else None), None, words


def not_passing(runner, kind, tests, stale, drivers):
    """The tests that do not pass without a defect: their failure would say nothing."""
    kernel = kernel_of(kind)
    if kind in (*SELFTESTS, "soak", "hostile") and not runner.build(kernel, stale, drivers):
        return tests
    if kind in SELFTESTS:
        failed, passed = runner.selftests(kernel, "|".join(tests), 900, "baseline")
        if failed is None or passed < len(tests):
            return tests
        # A failure that is none of the tests, such as a complaint of the kernel's, spoils all.
        return [test for test in tests if test in failed] if set(failed) <= set(tests) else tests
    bad = []
    for test in tests:
        if kind in ("ring", "loom", "unit"):
            good = runner.cargo(kind, test)
        elif kind == "soak":
            good = runner.command(kernel, soak(test), SECONDS[kind])[0] == 0
        elif kind == "hostile":
            good = runner.command(kernel, hostile(test), SECONDS[kind])[0] == 0
        else:
            # `make check` compares what the model says of the protocol as it is.
            good = True
        if not good:
            bad.append(test)
    return bad
