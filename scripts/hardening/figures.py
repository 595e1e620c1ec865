# SPDX-License-Identifier: GPL-2.0
"""The figures of a run of scripts/harden, as a Markdown text for SECURITY.md."""

from hardening.mutant_test import NOTHING_SAID


def of_class(results, name):
    return [result for result in results if result["class"] == name]


def named(results, prefix):
    return [result for result in results if result["name"].startswith(prefix)]


def count(number):
    return f"{number:,}"


def heading(run):
    minutes = sum(result["seconds"] for result in run["results"]) / 60
    wrong = sum(bool(result["wrong"]) for result in run["results"])
    emulated = "emulated" if run["emulated"] else "virtual"
    return (f"`make harden` in full, ended on {run['ended']}, with the sources as of commit {run['commit']}: "
            f"{len(run['results']) - wrong} passed, {wrong} failed, {splats(run)} splats, in {minutes:.0f} minutes for all "
            f"steps together. The machines had {run['processors']} {emulated} processors. Stock kernel: {run['stock']}; "
            f"bug-hunting kernel: {run['hunting']}.")


def splats(run):
    return sum(result.get("splats", 0) for result in run["results"])


def models(results):
    litmus, loom = of_class(results, "litmus"), of_class(results, "loom")
    never = sum(result.get("verdict") == "Never" for result in litmus)
    return (f"- {never} litmus tests say \"Never\", as they must, and {len(litmus) - never} copies with an ordering taken away "
            f"say \"Sometimes\"; {sum(result['cases'] for result in loom)} loom models and controls of the ring pass.")


def tests(results):
    lines = []
    for result in named(results, "selftests"):
        lines.append(f"- All tests of the VM on the bug-hunting kernel, each failing allocation among them: "
                     f"{count(result['cases'])} passed.")
    for result in named(results, "races"):
        lines.append(f"- Held races: {result['class']}, {count(result['cases'])} pairs of a point and an operation.")
    for result in named(results, "ground-"):
        lines.append(f"- The tests of streams, `{result['name'].removeprefix('ground-')}`: {count(result['cases'])} passed.")
    for result in named(results, "coverage"):
        lines.append(f"- `unsafe` blocks that ran: {result['cases']} of {result['of']}; the others are in "
                     f"`scripts/hardening/coverage.out-of-reach`.")
    return lines


def hostile(results):
    classes = named(results, "hostile-")
    total = sum(result["cases"] for result in classes)
    lines = [f"- The hostile program on the bug-hunting kernel, each class from seed 1 on, {count(total)} cases:", "",
             "| class | cases | seeds | seconds | splats |", "|---|---:|---:|---:|---:|"]
    for result in classes:
        lines.append(f"| {result['class']} | {count(result['cases'])} | {result['seeds']} | {result['seconds']:.0f} |"
                     f" {result['splats']} |")
    return [*lines, ""]


def soak(results):
    runs = of_class(results, "soak")
    variants = list(dict.fromkeys(result["name"] for result in runs))
    cases = {(result["name"], result["kernel"]): result["cases"] for result in runs}
    lost = sum(result["verdict"] != "passed" for result in runs)
    lines = [f"- The soak, {count(sum(cases.values()))} wake-ups, {lost} lost:", "",
             "| variant | stock kernel | bug-hunting kernel |", "|---|---:|---:|"]
    for name in variants:
        stock, hunting = (count(cases.get((name, kernel), 0)) for kernel in ("stock", "hunting"))
        lines.append(f"| {name.removeprefix('soak-')} | {stock} | {hunting} |")
    return [*lines, ""]


def mutants(results):
    found = of_class(results, "mutant")
    real = [result for result in found if result["kind"] != "herd"]
    caught = [result for result in real if result["caught_by"]]
    silent = [result for result in caught if result["caught_by"].endswith(NOTHING_SAID)]
    kinds = {}
    for result in caught:
        kinds[result["kind"]] = kinds.get(result["kind"], 0) + 1
    listed = ", ".join(f"{number} of kind `{kind}`" for kind, number in sorted(kinds.items()))
    return (f"- Mutants: {len(caught)} of {len(real)} caught ({listed}), {len(silent)} of them by silencing their machine; "
            f"{len(found) - len(real)} weakened models told from the real ones.")


def markdown(run):
    results = run["results"]
    lines = [heading(run), "", models(results), *tests(results), *hostile(results), *soak(results), mutants(results)]
    return "\n".join(lines) + "\n"
