# SPDX-License-Identifier: GPL-2.0
"""The steps of scripts/harden. Each returns results, one dictionary a line of the table."""

import json
import os
import re

from hardening.shared import HUNTING_MODULES, OUT, PAGES_AS_THEY_ARE, TOP
from hardening.shared import call, hunting_machine, text_of, tree
from tests import ktap_report

STEPS = OUT / "steps"
QUICK = bool(os.environ.get("QUICK"))
QUICK_ROWS = "Q-12/*|Q-17/*|Q-21/*|B-04/*|B-05/c*|FAULTS/*"
# The classes of the hostile program.
CLASSES = "ABCDEFGHI"
# Wake-ups of a full run, for a sleeper in the process and for the kernel's ends: on the stock
# kernel, on the bug-hunting kernel.
SOAK = {"process": (1_250_000, 20_000), "kernel": (50_000, 2_000)}
VARIANTS = [
    *(
        f"{direction}-{means}"
        for direction in ("output", "input")
        for means in ("poll", "epoll-level", "epoll-edge", "eventfd")
    ),
    *(
        f"output-{readable}-{means}"
        for readable in ("watermark", "latency")
        for means in ("poll", "epoll-edge", "eventfd")
    ),
    "kernel-for-entries",
    "kernel-for-room",
]
# Machines on which DMA takes another way, by the options of qemu/run that make them so.
GROUNDS = {
    # The processor copies for each device.
    "swiotlb": ["--append", "swiotlb=force"],
    # A device reaches only what is mapped for it, and not a moment longer.
    "iommu": ["--qemu", "-device", "--qemu", "intel-iommu",
              "--append", "intel_iommu=on iommu.passthrough=0 iommu.strict=1"],
}
STREAM_ROWS = "S-*|U-*|H-*"
# Other kernels than that of `make test`, and the script that tests on each.
KERNELS = {
    "amd64": "scripts/test", "cloud-arm64": "scripts/test", "arm64-16k": "scripts/test",
    "newest": "scripts/tests/newest",
}
# The edu card's driver asks for such an address on purpose, to learn how far the card reaches.
PROBED = 1 << 39
# A machine that has not ended by then hangs. All selftests on the bug-hunting kernel take an hour.
SECONDS = 3600
SELFTEST_SECONDS = 3 * SECONDS
# Thousands of cells, each with a node of its own: no machine runs more than a part of them.
RACES_PARTS = 10
# They keep their results by themselves: this only ends a run that hangs.
MUTANT_SECONDS = 6 * SECONDS
# A quick run tries every 52nd mutant.
QUICK_MUTANTS = 52


def run(command, log, seconds=SECONDS, **env):
    """The status of a command, 124 if it took too long, and its output."""
    status = call(command, log, seconds, **env)
    return 124 if status is None else status, text_of(log)


def build():
    """Builds all that the steps run; the log of the command that failed, if one did."""
    hunting = tree("hunting") + "/build"
    return build_each(
        ["scripts/build/modules", "", "modules"],
        ["scripts/build/stale-driver"],
        ["scripts/build/template-driver"],
        ["scripts/build/modules", "--into", HUNTING_MODULES, hunting, "modules"],
        ["scripts/build/stale-driver", "--into", "build/harden/vm", hunting],
        ["scripts/build/template-driver", "--into", "build/harden/vm", hunting],
        ["scripts/build/userspace"],
        ["scripts/build/tools"],
    )


def build_each(*commands):
    for command in commands:
        status, text = run(command, OUT / "build.log")
        if status != 0:
            return f"{' '.join(command)} failed:\n{text[-3000:]}"
    return None


def machine(kernel, modules=None):
    """The options of qemu/run for a machine with this kernel; `modules` instead of the usual."""
    if kernel == "stock":
        return ["--append", PAGES_AS_THEY_ARE, "--overlay", "qemu/hardening",
                "--modules", modules or "build/modules"]
    return [*hunting_machine(), "--overlay", "build/harden/vm", "--modules", modules or HUNTING_MODULES]


def complaints(console):
    """What the judge of the tests finds in a kernel's log."""
    report = ktap_report.Report()
    ktap_report.read_console(report, text_of(console) or "WARNING: no log")
    return [line for name, state, why in report.results if state != "ok" for line in [name, *why]]


def left_behind(text):
    clean = "%% end" in text and "%% pages after 0" in text
    return [] if clean else [f"pages or modules are left behind: {text[-500:]}"]


def campaign(name, kernel, command, script="campaign", modules=None):
    """Runs a command in a machine: output, whether the kernel complained, all that is wrong."""
    console = STEPS / f"{name}.console"
    status, text = run(
        ["qemu/run", "--timeout", str(SECONDS), "--console", str(console), *machine(kernel, modules),
         "--cmd", f"exec /usr/lib/iostream/{script} '{command}'"],
        STEPS / f"{name}.out", SECONDS + 120,
    )
    wrong = complaints(console)
    splats = 1 if wrong else 0
    if status != 0:
        wrong.append(f"status {status}: {text[-1500:]}")
    else:
        wrong += left_behind(text)
    return text, splats, wrong


def selftests(name, kernel, patience, only, log, modules=None, through=(), long="",
              seconds=SELFTEST_SECONDS):
    """Runs the selftests in a machine. Returns the same three as `campaign`."""
    status, text = run(
        ["scripts/tests/vm", "--name", name, "--timeout", str(seconds),
         "--patience", str(patience), *through, *machine(kernel, modules)],
        STEPS / log, seconds + 120, ONLY=only, LONG=long,
    )
    wrong = re.findall(r"^FAILED (.*)$", text, re.M) or ([] if status == 0 else [text[-1500:]])
    return text, int("FAILED kernel-log/clean" in text), wrong


def step_litmus():
    status, text = run(["scripts/check.d/55-litmus"], STEPS / "litmus.out")
    results = []
    for name, promised, verdict in re.findall(r"^(\S+) +(Never|Sometimes) +(\S+) ", text, re.M):
        wrong = [] if promised == verdict else [f"{verdict} instead of {promised}"]
        results.append({"name": name, "class": "litmus", "cases": 1, "verdict": verdict, "wrong": wrong})
    if status != 0 or not results:
        results.append({"name": "litmus", "class": "litmus", "cases": 0, "wrong": [text[-1500:]]})
    fewer = {"LOOM_MAX_PREEMPTIONS": "2"} if QUICK else {}
    status, text = run(["scripts/check.d/50-loom"], STEPS / "loom.out", **fewer)
    passed = sum(int(n) for n in re.findall(r"(\d+) passed", text))
    wrong = [] if status == 0 else [text[-1500:]]
    results.append({"name": "loom", "class": "loom", "cases": passed, "wrong": wrong})
    return results


def step_selftests():
    only = os.environ.get("ONLY") or (QUICK_ROWS if QUICK else "")
    text, splats, wrong = selftests("harden", "hunting", 10, only, "selftests.out")
    print(text)
    passed = re.search(r"^(\d+) passed", text, re.M)
    return [{"name": "selftests", "class": "selftests", "kernel": "hunting",
             "cases": int(passed[1]) if passed else 0, "splats": splats, "wrong": wrong}]


def step_ground(which):
    """The tests of streams where DMA takes another way. No device may miss its mappings."""
    text, splats, wrong = selftests(f"ground-{which}", "stock", 3, STREAM_ROWS,
                                    f"ground-{which}.out", None, GROUNDS[which])
    console = text_of(TOP / f"build/test/ground-{which}.console")
    faults = [f"the device reached for {address}, which is not mapped for it"
              for address in re.findall(r"DMAR: .* fault addr (0x[0-9a-f]+)", console)
              if not int(address, 16) & PROBED]
    passed = re.search(r"^(\d+) passed", text, re.M)
    return [{"name": f"ground-{which}", "class": "selftests", "kernel": "stock",
             "cases": int(passed[1]) if passed else 0, "splats": splats, "wrong": wrong + faults}]


def step_kernel(which):
    """All tests of the small VM on another kernel."""
    name = f"kernel-{which}"
    flavour = {} if which == "newest" else {"KERNEL": which}
    # Each has a root folder of its own, which is entered from within this one.
    status, text = run([KERNELS[which]], STEPS / f"{name}.out", SELFTEST_SECONDS, IOSTREAM_IN_ROOT="", **flavour)
    wrong = re.findall(r"^FAILED (.*)$", text, re.M) or ([] if status == 0 else [text[-1500:]])
    passed = re.findall(r"^(\d+) passed", text, re.M)
    # What the other steps load was built for another kernel meanwhile.
    if error := build():
        wrong.append(error)
    return [{"name": name, "class": "selftests", "kernel": which, "cases": int(passed[-1]) if passed else 0,
             "splats": int("FAILED kernel-log/clean" in text), "wrong": wrong}]


def step_races(part):
    """A thread is held at each point, while a part of all operations run."""
    name = f"races-{part}"
    text, splats, wrong = selftests(name, "hunting", 10, "RACES/*", f"{name}.out",
                                    long=f"{part}/{RACES_PARTS}")
    said = text_of(TOP / f"build/test/{name}.ktap")
    cells = sum(int(n) for n in re.findall(r"^# (\d+) cells$", said, re.M))
    points = len(re.findall(r"^ok \d+ RACES/", said, re.M)) - 1
    return [{"name": name, "class": f"{points} points", "kernel": "hunting", "cases": cells,
             "splats": splats, "wrong": wrong}]


def step_hostile(letters):
    """One class, or several in one machine. A class that did not come to its end has no result."""
    name = f"hostile-{letters}"
    command = f"hostile --class {letters} --divide {10 if QUICK else 1}"
    text, splats, wrong = campaign(name, "hunting", command)
    results = []
    for letter, kind, cases, seeds, seconds in re.findall(
        r"^%% class (.) (\S+) cases (\d+) rounds \d+ seeds (\S+) seconds (\S+)", text, re.M
    ):
        results.append({"name": f"hostile-{letter}", "class": f"{letter} {kind}", "kernel": "hunting",
                        "cases": int(cases), "seeds": seeds, "splats": 0, "seconds": float(seconds),
                        "wrong": []})
    failed = re.search(r"^%% failed class . seed \d+\n(?:# .*\n)*", text, re.M)
    if failed:
        wrong.insert(0, failed[0])
    missing = [letter for letter in letters if all(result["class"][0] != letter for result in results)]
    if wrong or missing:
        results.append({"name": name, "class": "hostile", "kernel": "hunting", "cases": 0,
                        "splats": splats, "wrong": wrong or [f"classes without a result: {missing}"]})
    return results


def step_coverage():
    modules = "build/harden/coverage"
    failed = build_each(
        ["scripts/build/modules", "--into", modules, "", "modules", "IOSTREAM_COVERAGE=y"],
        ["scripts/build/stale-driver"],
        ["scripts/build/template-driver"],
    )
    if failed:
        return [{"name": "coverage", "class": "coverage", "cases": 0, "wrong": [failed]}]
    if QUICK:
        said = STEPS / "coverage.out"
        _, splats, wrong = campaign("coverage", "stock", "400", "covered", modules)
    else:
        said = TOP / "build/test/coverage.ktap"
        through = ["--through", "/usr/lib/iostream/covered --tests 40"]
        _, splats, wrong = selftests("coverage", "stock", 3, "", "coverage.tests", modules, through)
        lines = text_of(said).splitlines()
        wrong += left_behind("\n".join(line for line in lines if not line.startswith("%% ran")))
    status, table = run(["scripts/hardening/coverage", modules, str(said)], STEPS / "coverage.txt")
    total = re.search(r"^(\d+) of (\d+) blocks", table, re.M)
    if not total or (status != 0 and not QUICK):
        wrong.append(table[-1500:])
    return [{"name": "coverage", "class": "coverage", "kernel": "stock",
             "cases": int(total[1]) if total else 0, "of": int(total[2]) if total else 0,
             "splats": splats, "wrong": wrong}]


def step_soak(variant):
    """One variant, or all of them in one machine, on both kernels."""
    results = []
    wanted = VARIANTS if variant == "all" else [variant]
    for which, kernel in enumerate(("stock", "hunting")):
        runs = []
        for name in wanted:
            wakeups = SOAK["kernel" if name.startswith("kernel") else "process"][which]
            runs.append(f"hostile soak --variant {name} --wakeups {wakeups // (40 if QUICK else 1)}")
        text, splats, wrong = campaign(f"soak-{variant}-{kernel}", kernel, " && ".join(runs))
        for name, verdict, wakeups, seconds in re.findall(
            r"^%% soak (\S+) (\S+) wakeups (\d+) entries \d+ seconds (\S+)", text, re.M
        ):
            bad = [] if verdict == "passed" else [f"{verdict} after {wakeups} wake-ups"]
            results.append({"name": f"soak-{name}", "class": "soak", "kernel": kernel,
                            "cases": int(wakeups), "verdict": verdict, "splats": 0,
                            "seconds": float(seconds), "wrong": bad})
        if wrong:
            results.append({"name": f"soak-{variant}", "class": "soak", "kernel": kernel, "cases": 0,
                            "verdict": "none", "splats": splats, "wrong": wrong})
    return results


def step_mutants():
    _, text = run(["scripts/mutants", "--list"], STEPS / "mutants.list")
    names = [line.split()[0] for line in text.splitlines()][:: QUICK_MUTANTS if QUICK else 1]
    status, text = run(["scripts/mutants", *names], STEPS / "mutants.out", MUTANT_SECONDS)
    results = []
    for file in sorted((OUT / "mutants").glob("*.json")):
        found = json.loads(file.read_text())
        if found["name"] in names:
            wrong = [] if found["caught_by"] else [found["error"] or "survived"]
            results.append({"name": found["name"], "class": "mutant", "rule": found["rule"],
                            "kind": found["expected"].split()[0],
                            "caught_by": found["caught_by"], "cases": 1, "seconds": found["seconds"],
                            "words": found["words"], "wrong": wrong})
    if status != 0 and all(not result["wrong"] for result in results):
        results.append({"name": "mutants", "class": "mutant", "cases": 0, "caught_by": None,
                        "wrong": [text[-1500:]]})
    return results


def step(name):
    """Runs one step by its name: `litmus`, `hostile-AB`, `soak-output-poll`."""
    kind, _, which = name.partition("-")
    return globals()[f"step_{kind}"](*([which] if which else []))


def all_steps():
    if os.environ.get("ONLY"):
        return ["selftests"]
    if QUICK:
        # Few machines: each takes time to start, and to search for what was lost.
        return ["litmus", "selftests", "hostile-" + CLASSES, "coverage", "soak-all", "mutants"]
    races = [f"races-{part}" for part in range(1, RACES_PARTS + 1)]
    grounds = [f"ground-{which}" for which in GROUNDS]
    kernels = [f"kernel-{which}" for which in KERNELS]
    hostile = [f"hostile-{letter}" for letter in CLASSES]
    soak = [f"soak-{variant}" for variant in VARIANTS]
    return ["litmus", "selftests", *races, *grounds, *kernels, *hostile, "coverage", *soak, "mutants"]
