#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: scripts/tests/ktap_report.py [--console LOG] [--vm-status N] [--only PATTERN] STREAM

Judge a run of the tests: STREAM is the output of qemu/rootfs/usr/lib/iostream/run-tests, LOG the
kernel's log, N the exit status of qemu/run. Prints each contract row with its clauses, each failure
with its reason, and last `N passed, N failed, N skipped`. Fails if a test failed or did not report,
if the kernel complained, or if the VM did not end by itself.
"""

import argparse
import fnmatch
import pathlib
import re
import sys
import textwrap

RESULT = re.compile(r"^(not )?ok +(\d+) +(?:- )?([^\s#]+)\s*(?:#\s*(.*))?$")
PLAN = re.compile(r"^1\.\.(\d+)\s*(?:#.*)?$")

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def complaints():
    """The patterns of qemu/kernel-complaints; a match anywhere in the log fails the run."""
    lines = (TOP / "qemu/kernel-complaints").read_text().splitlines()
    return [line.removeprefix("~") for line in lines if line and not line.startswith("#")]


COMPLAINT = re.compile("|".join(map(re.escape, complaints())))


HOW_PATTERNS_LOOK = (
    "a pattern is a shell glob for the whole name of a test, such as 'Q-12/*' or '*epoll-edge*'; "
    "`|` separates several"
)


class Report:
    """The results of a run in order, and its faults, which count as failed tests."""

    def __init__(self):
        self.results = []  # (name, "ok" | "FAILED" | "skipped", explanation lines)
        self.seen = set()

    def add(self, name, state, why=()):
        if name in self.seen:
            state, why = "FAILED", [*why, "a test of this name reported before"]
        self.seen.add(name)
        self.results.append((name, state, list(why)))

    def fault(self, name, *why):
        self.add(name, "FAILED", why)

    def count(self, state):
        return sum(1 for result in self.results if result[1] == state)


def read_section(report, name, lines, listed):
    """Reads the KTAP of one program. Every listed test must report."""
    version = plan = status = None
    number = 0
    notes = []
    complete = False
    for line in lines:
        if line.startswith("%% exit "):
            status = int(line.split()[2])
            complete = True
        elif line.strip() == "KTAP version 1":
            version = 1
        elif match := PLAN.match(line):
            if plan is not None:
                report.fault(f"{name}/plan", "two plans")
            plan = int(match[1])
        elif match := RESULT.match(line):
            number += 1
            why, notes = notes, []
            if int(match[2]) != number:
                why.append(f"reported as number {match[2]}, expected {number}")
                report.add(match[3], "FAILED", why)
                number = int(match[2])
            elif match[1]:
                report.add(match[3], "FAILED", why + ([match[4]] if match[4] else []))
            elif (match[4] or "").upper().startswith("SKIP"):
                report.add(match[3], "skipped", [match[4]])
            else:
                report.add(match[3], "ok")
        elif line.startswith("Bail out!"):
            report.fault(f"{name}/bail-out", line)
        elif line.strip():
            notes.append(line.removeprefix("# "))

    if version is None:
        report.fault(f"{name}/version", "no line `KTAP version 1`", *notes[-20:])
    elif plan is None:
        report.fault(f"{name}/plan", "no plan `1..N`", *notes[-20:])
    elif number > plan:
        report.fault(f"{name}/plan", f"{plan} planned, {number} reported")
    missing = [test for test in listed if test not in report.seen]
    for test in missing:
        report.fault(test, "never reported", *([] if complete else notes[-20:]))
    if plan is not None and number < plan - len(missing):
        for unknown in range(number + 1, plan - len(missing) + 1):
            report.fault(f"{name}/test-{unknown}", "never reported", *notes[-20:])
    if status is None:
        report.fault(f"{name}/exit", "the program did not end", *notes[-20:])
    elif status != 0 and not report.count("FAILED"):
        report.fault(f"{name}/exit", f"the program ended with status {status}", *notes[-20:])


def matches(name, pattern):
    """Whether the whole name matches: a pattern is a shell glob, as everywhere in this project."""
    return fnmatch.fnmatchcase(name, pattern)


def read_stream(report, text, only):
    patterns = [pattern for pattern in only.split("|") if pattern]
    sections = []
    listed = []
    ended = False
    for line in text.splitlines():
        if line.startswith("%% section "):
            sections.append((line.split(maxsplit=2)[2], [], listed))
            listed = []
        elif line.startswith("%% listed "):
            listed.append(line.split(maxsplit=2)[2])
        elif line == "%% end":
            ended = True
        elif sections:
            sections[-1][1].append(line)
    for name, lines, names in sections:
        if patterns:
            names = [name for name in names if any(matches(name, pattern) for pattern in patterns)]
        read_section(report, name, lines, names)
    lost = [pattern for pattern in patterns if not any(matches(name, pattern) for name in report.seen)]
    if lost:
        report.fault("run/only", f"no test matches {' nor '.join(lost)}", HOW_PATTERNS_LOOK)
    if not ended:
        report.fault("run/end", "the run did not come to its end")
    if not any(state == "ok" for _, state, _ in report.results):
        report.fault("run/tests", "no test passed")


def without_group_kills(lines):
    """Leaves out what a memory cgroup's killer reports, trace included: a test provokes it."""
    kept = []
    start = None
    for line in lines:
        if start is None and "invoked oom-killer:" in line:
            start = len(kept)
        kept.append(line)
        if start is not None and "oom-kill:constraint=" in line:
            if "CONSTRAINT_MEMCG" in line:
                del kept[start:]
            start = None
    return kept


INJECTED = re.compile(r"\b(faults|hostile): (vmalloc error|page allocation failure):? ")


def without_injected(lines):
    """Leaves out the kernel's messages about an allocation that was made to fail.

    Two programs inject failures, and vmalloc reports each of them with a trace of calls, whatever
    the settings of the injection. Only that trace is left out.
    """
    kept = []
    inside = False
    for line in lines:
        inside = inside or INJECTED.search(line) is not None
        if not inside:
            kept.append(line)
        elif "</TASK>" in line:
            inside = False
    return kept


def read_console(report, text):
    lines = without_injected(without_group_kills(text.splitlines()))
    bad = [number for number, line in enumerate(lines) if COMPLAINT.search(line)]
    if bad:
        excerpt = lines[max(0, bad[0] - 3) : bad[0] + 40]
        report.fault("kernel-log/clean", f"{len(bad)} complaints; the log from the first on:", *excerpt)
    else:
        report.add("kernel-log/clean", "ok")


def print_rows(report):
    rows = {}
    for name, state, _ in report.results:
        row, _, clause = name.partition("/")
        rows.setdefault(row, []).append(f"{clause or row} {state}")
    # Contract rows come first, in the contract's order of letters.
    contract = re.compile(r"^[QSUB]-\d\d$")
    for row in sorted(rows, key=lambda row: (not contract.match(row), "QSUB".find(row[0]) if contract.match(row) else 0, row)):
        line = f"{row:<8}"
        for clause in rows[row]:
            if len(line) + len(clause) > 118:
                print(line.rstrip(" ,"))
                line = " " * 8
            line += f" {clause},"
        print(line.rstrip(" ,"))
    print_skipped(report)
    for name, state, why in report.results:
        if state == "FAILED":
            print(f"\nFAILED {name}")
            for line in why:
                print(f"    {line}")


def print_skipped(report):
    """Prints the skipped tests after each reason."""
    reasons = {}
    for name, state, why in report.results:
        if state == "skipped":
            reasons.setdefault("; ".join(why), []).append(name)
    for why, names in reasons.items():
        print(f"\nskipped: {why.removeprefix('SKIP ')}:")
        print(textwrap.fill(", ".join(names), 110, initial_indent="    ", subsequent_indent="    ",
                            break_on_hyphens=False))


def main():
    if "-h" in sys.argv or "--help" in sys.argv:
        print(__doc__.rstrip())
        return 0
    parser = argparse.ArgumentParser()
    parser.add_argument("--console")
    parser.add_argument("--vm-status", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("stream")
    arguments = parser.parse_args()

    report = Report()
    with open(arguments.stream, encoding="utf-8", errors="replace") as file:
        read_stream(report, file.read(), arguments.only)
    if arguments.console:
        with open(arguments.console, encoding="utf-8", errors="replace") as file:
            read_console(report, file.read())
    if arguments.vm_status == 124:
        report.fault("vm/time-out", "the VM had to be ended; see above for the test that did not report")
    elif arguments.vm_status == 125:
        report.fault("vm/died", "the VM ended without reporting a status: a panic, or QEMU died")
    elif arguments.vm_status != 0:
        report.fault("vm/status", f"the run in the VM ended with status {arguments.vm_status}")

    print_rows(report)
    failed = report.count("FAILED")
    print(f"{report.count('ok')} passed, {failed} failed, {report.count('skipped')} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
