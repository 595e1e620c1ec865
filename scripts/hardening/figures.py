# SPDX-License-Identifier: GPL-2.0
"""The figures of what scripts/harden found, as a Markdown text for SECURITY.md."""

from hardening.mutant_test import NOTHING_SAID
from hardening.steps import RACES_PARTS


def of_class(results, name):
    return [result for result in results if result["class"] == name]


def named(steps, prefix):
    """The results of the steps whose names begin so, each with the commit of its step."""
    return [
        result | {"commit": step["commit"]}
        for name, step in steps.items() if name.startswith(prefix) for result in step["results"]
    ]


def count(number):
    return f"{number:,}"


def commits(of):
    """The commits of several results: one, or how many."""
    different = sorted({one["commit"] for one in of})
    return different[0] if len(different) == 1 else f"{len(different)} commits"


def range_of(values):
    values = sorted(set(values))
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def heading(steps, mutants):
    everything = [*steps.values(), *mutants.values()]
    if not everything:
        return "Nothing was run in full yet."
    splats = sum(result.get("splats", 0) for step in steps.values() for result in step["results"])
    kinds = "emulated" if any(step["emulated"] for step in steps.values()) else "virtual"
    minutes = sum(one["seconds"] for one in everything) / 60
    stock, hunting = ({step[kernel] for step in steps.values()} for kernel in ("stock", "hunting"))
    return (f"The last full result of each step of `make harden` and of each mutant, of {range_of(one['ended'] for one in everything)}, "
            f"with {range_of(str(step['processors']) for step in steps.values())} {kinds} processors: {splats} splats, "
            f"{minutes:.0f} minutes in all. Stock kernel: {', '.join(sorted(stock))}; bug-hunting kernel: "
            f"{', '.join(sorted(hunting))}. In brackets is the commit whose sources a result is of.")


def models(steps):
    results = named(steps, "litmus")
    if not results:
        return []
    litmus, loom = of_class(results, "litmus"), of_class(results, "loom")
    never = sum(result.get("verdict") == "Never" for result in litmus)
    return [f"- {never} litmus tests say \"Never\", as they must, and {len(litmus) - never} copies with an ordering taken away "
            f"say \"Sometimes\"; {sum(result['cases'] for result in loom)} loom models and controls of the ring pass "
            f"({commits(results)})."]


def tests(steps):
    lines = []
    for result in named(steps, "selftests"):
        lines.append(f"- All tests of the VM on the bug-hunting kernel, each failing allocation among them: "
                     f"{count(result['cases'])} passed ({result['commit']}).")
    races = named(steps, "races-")
    if races:
        lines.append(f"- Held races: {races[0]['class']}, {count(sum(result['cases'] for result in races))} pairs of a "
                     f"point and an operation, in {len(races)} of {RACES_PARTS} parts ({commits(races)}).")
    for result in named(steps, "ground-"):
        lines.append(f"- The tests of streams, `{result['name'].removeprefix('ground-')}`: {count(result['cases'])} passed "
                     f"({result['commit']}).")
    for result in named(steps, "kernel-"):
        lines.append(f"- All tests of the small VM on the kernel `{result['kernel']}`: {count(result['cases'])} passed "
                     f"({result['commit']}).")
    for result in named(steps, "coverage"):
        lines.append(f"- `unsafe` blocks that ran: {result['cases']} of {result['of']}; the others are in "
                     f"`scripts/hardening/coverage.out-of-reach` ({result['commit']}).")
    return lines


def hostile(steps):
    classes = sorted(named(steps, "hostile-"), key=lambda result: result["name"])
    if not classes:
        return []
    total = sum(result["cases"] for result in classes)
    lines = [f"- The hostile program on the bug-hunting kernel, each class from seed 1 on, {count(total)} cases:", "",
             "| class | cases | seeds | seconds | splats | commit |", "|---|---:|---:|---:|---:|---|"]
    for result in classes:
        lines.append(f"| {result['class']} | {count(result['cases'])} | {result['seeds']} | {result['seconds']:.0f} |"
                     f" {result['splats']} | {result['commit']} |")
    return [*lines, ""]


def soak(steps):
    runs = named(steps, "soak-")
    if not runs:
        return []
    cases = {(result["name"], result["kernel"]): result["cases"] for result in runs}
    lost = sum(result["verdict"] != "passed" for result in runs)
    lines = [f"- The soak, {count(sum(cases.values()))} wake-ups, {lost} lost ({commits(runs)}):", "",
             "| variant | stock kernel | bug-hunting kernel |", "|---|---:|---:|"]
    for name in sorted({result["name"] for result in runs}):
        stock, hunting = (count(cases.get((name, kernel), 0)) for kernel in ("stock", "hunting"))
        lines.append(f"| {name.removeprefix('soak-')} | {stock} | {hunting} |")
    return [*lines, ""]


def mutants(caught):
    if not caught:
        return []
    kinds = {}
    for mutant in caught.values():
        kind = mutant["expected"].split()[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    models_alone = kinds.pop("herd", 0)
    silent = sum(mutant["caught_by"].endswith(NOTHING_SAID) for mutant in caught.values())
    listed = ", ".join(f"{number} of kind `{kind}`" for kind, number in sorted(kinds.items()))
    return [f"- Mutants: {sum(kinds.values())} caught ({listed}), {silent} of them by silencing their machine; "
            f"{models_alone} weakened models told from the real ones ({commits(caught.values())})."]


def never_run(steps, caught, all_steps, all_mutants):
    missing = [f"`{name}`" for name in all_steps if name not in steps and name != "mutants"]
    untried = len([name for name in all_mutants if name not in caught])
    if untried:
        missing.append(f"{untried} of {len(all_mutants)} mutants")
    return [f"- Of these no full result is kept yet: {', '.join(missing)}."] if missing else []


def markdown(steps, caught, all_steps, all_mutants):
    lines = [heading(steps, caught), "", *models(steps), *tests(steps), *hostile(steps), *soak(steps), *mutants(caught),
             *never_run(steps, caught, all_steps, all_mutants)]
    return "\n".join(lines) + "\n"
