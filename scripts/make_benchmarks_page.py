"""Write docs/benchmarks.md, the student beside what one would use instead, from benchmarks/results.

    python scripts/make_benchmarks_page.py
"""

import json
from pathlib import Path
from typing import Any

from telling import NAMES, short, signed

from mmvq_bridge.files import atomic

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = """\
# The student beside what one would use instead

Written by `scripts/make_benchmarks_page.py` from what is there of `accuracy.json`, `explanation.json`,
`robustness.json`, `latency.json` and `search.json` in `benchmarks/results/`; each file says machine, versions, commit
and date.
"""
TARGETS = """
## What was aimed at, and what is there
Unseen people, int8 through ONNX Runtime; each figure is told in full below.

"""
ACCURACY = """
## Accuracy
Every fold by a judge trained on the other folds' people, one seed where no other is named. All see the same windows;
nets and the student are judged as the int8 files that one would deploy, through ONNX Runtime.

- **macro-F1**: of all folds' windows together, in brackets its 95 % interval over people (1000 bootstrap draws); rows
  of fewer than five folds say so. **fold 0** alone, and the mean over **people** of each one's own.
- **ECE**: expected calibration error, ten bins, folds together; the temperature is fitted on held-out training people.
- **lost**: macro-F1 lost when the watch is turned by 30° about the forearm (to either side), worn on the other arm,
  under Gaussian noise of .1 g, with a fifth of the samples lost, with a unit that is off by 15 %.
- **minutes**: from start to file, on a core beside other work, some of it halted for a while: no more than a hint.
  None where a GPU trained (an H100, together with others), or a codebook was there already (WISDM's of mmvq: runs begun
  before noise was found to help, their students anew).
- Nets and the student learn from turned and scaled copies, and from mixtures where that helped on fold 1; nets that say
  *noisy* from noise too, and so do mmvq's students, in their mixtures, those that left activities out (unknowns, below)
  among them; of selfBACK the student of one view, and the one that taught a WRN16-1, are of before that.
- **VQShape** is of the size and as long pre-trained as in `vqshape.json`, which is what a CPU bears and far from what
  was published; on a fold's training people alone, its tokens in a linear layer, in float.
- Forms and ways of learning were chosen on fold 1's people, by those of folds 2 to 4: only fold 0's people took no part
  in any choice.

"""
EXPLANATION = """
## Are the reasons true?
The student's as its int8 file gives them; WRN16-1's as found afterwards, over the same pieces, of at most 1 s.
{windows}.

- **deletion**: the window's mean in the place of the three pieces that counted most; its drop in the label's log-odds
  beside that of three random pieces as long. **won**: share of windows in which the named ones cost more.
  **correlation** of what a piece is said to count with what taking it away costs.
- Occlusion asks the net once a piece, and measures nearly what deletion does: it is a bound, not a rival.
"""
ROBUSTNESS = """
## Activities that nobody taught it
Three activities are left out of training and calibration, in turn; the people of fold 0 are tested, all their windows.
**AUROC** of telling the left-out activities' windows from the others: of the unknown score, beside one minus the
largest probability. **told unknown**: share of windows over the threshold that held-out training people set.
"""
LATENCY = """
## Size and time
{machine}; one thread, 10th percentile of calls of all files in turn, and of calls of one file after each other, which
finds its weights in the cache. *with codes*: with what describes a form's codes in its metadata, about {code_bytes}
bytes a code. Variants and forms of the student have random weights, as neither depends on them.

"""
LIVE = """
### Four windows a second
A process each, with what it must import: the packaged student by mmvq's runtime and all its checks, other files by ONNX
Runtime alone, the rest by the package that has them.

"""
BOUND = """
### What a call of the packaged file is bound by
Here {nodes_run} nodes run. Their products are {us_of_arithmetic:.0f} µs at the measured peak of this core, which is
{gops_float:.0f} thousand million operations a second in float and {gops_bytes:.0f} in bytes; a node that does next to
nothing costs {us_a_node:.2f} µs. If every node took the larger of both, a call would take {us_bound:.0f} µs. It takes
{us:.0f} µs, {times_bound:.1f} times as much. Where the profiler sees the time: {kinds}. These are small tensors that
are cut, turned and compared: hardly any of them multiplies.
"""
SEARCH = """
## The search
What the form of the student and ways of learning were chosen by: the people of fold {fold}, by a judge trained on those
of folds 2 to 4, nobody of fold 0. Parts on k-means codes, each trained alone, in float; a form of several parts is
their sum. *worn anyhow*: windows turned about the forearm and mirrored along it are learnt from too; *noisy*: half of
the mixtures have noise of up to .1 g (`--student.noise-g .1`; nets' other windows too); *longer*: width 48, worn
anyhow, twice as many windows and epochs.
"""


PACKAGED = "wisdm_watch"  # what the packaged model learnt from
AT_LEAST, AT_MOST = "at least", "at most"
AIMS = {  # what is wanted, and with how many digits it is told; what a set has no figure of is no aim there
    "macro-F1, all folds, mean of seeds": (AT_LEAST, 0.86, 3),
    "macro-F1, fold 0 alone": (AT_LEAST, 0.89, 3),
    "more than the better of MiniRocket and WRN16-2": (AT_LEAST, 0.02, 3),
    "what the best net of at most its size has more": (AT_MOST, 0.01, 3),
    "kB": (AT_MOST, 300, 0),
    "times WRN16-1's latency": (AT_MOST, 1, 2),
    "expected calibration error": (AT_MOST, 0.03, 3),
    "AUROC of unknown activities": (AT_LEAST, 0.85, 3),
    "macro-F1 lost when turned by 30°": (AT_MOST, 0.03, 3),
    "macro-F1 lost on the other arm": (AT_MOST, 0.03, 3),
    "deletion, times that of random pieces": (AT_LEAST, 2.5, 2),
    "deletion, share won": (AT_LEAST, 0.85, 3),
    "deletion, correlation": (AT_LEAST, 0.6, 3),
    "top three reasons as in float": (AT_LEAST, 0.95, 3),
    "honesty error": (AT_MOST, 0, 3),
}
NETS = ("WRN16-1", "WRN16-2", "TinierHAR", "WRN16-1, taught", "WRN16-1, noisy", "WRN16-2, noisy")
REASONS = {  # what explanation.json knows of the student beside deletion, as the page says it
    "label_agreement": "labels as in float", "code_agreement": "codes as in float",
    "top_three_reasons_agree": "top three reasons as in float", "macro_F1_lost": "macro-F1 lost by int8",
    "additivity_error": "largest error of the sum",
    "honesty_error": "largest change of a token's rows by signal outside its span",
    "noise_of_.05_g_labels": "noise of .05 g: same labels", "noise_of_.05_g_codes": "same codes",
    "noise_of_.05_g_reasons": "same top three reasons", "shift_by_a_sample_labels": "shift by a sample: same labels",
    "shift_by_a_sample_codes": "same codes", "shift_by_a_sample_reasons": "same top three reasons",
    "turned_15_degrees_labels": "turned by 15°: same labels", "turned_15_degrees_codes": "same codes",
    "turned_15_degrees_reasons": "same top three reasons", "shape_error": "shape error (1 − ρ²)",
    "shape_error_kmeans": "of k-means with as many centres", "sub_actions_in_set": "sub-actions inside the label's set",
    "sub_actions_in_set_chance": "by chance",
}
TINY = 1e-4
LEAST_SHARE = 0.02  # of a call's time: kinds of node under it are not named


def main() -> None:
    """Write the page of the results that are there."""
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    sections = {
        "accuracy": _accuracy, "explanation": _explanation, "robustness": _robustness, "latency": _latency,
        "search": _search,
    }
    page = PAGE + _targets(found) + "".join(tell(found[name]) for name, tell in sections.items() if name in found)
    with atomic(ROOT / "docs" / "benchmarks.md") as part:
        part.write_text(page, encoding="utf-8")


def _targets(found: dict[str, Any]) -> str:
    """What was aimed at beside what is there; nothing where one of the files is not there yet."""
    if not {"accuracy", "explanation", "robustness", "latency"} <= found.keys():
        return ""
    told = {name: _aimed_at(found, name) for name in NAMES}
    lines = [
        [what, f"{way} {_aim(aim)}", *(_held(values.get(what), way, aim, digits) for values in told.values())]
        for what, (way, aim, digits) in AIMS.items()
    ]
    return TARGETS + _table(["", "aim", *NAMES.values()], lines)


def _aim(aim: float) -> str:
    return f"{aim:g}".removeprefix("0") or "0"


def _held(value: float | None, way: str, aim: float, digits: int) -> str:
    if value is None:
        return "–"
    met = value >= aim if way == AT_LEAST else value <= aim
    return ("−" if round(value, digits) < 0 else "") + short(abs(value), digits) + ("" if met else ", missed")


def _aimed_at(found: dict[str, Any], name: str) -> dict[str, float]:
    """Figures of a set by the names of AIMS."""
    accuracy, reasons = found["accuracy"]["data"][name], found["explanation"]["data"][name]["mmvq"]
    rows, mmvq = accuracy["rows"], accuracy["rows"]["mmvq"]
    gained = {  # of rows that have all folds
        row: f["gained_by_mmvq"][0] for row, f in rows.items() if f["gained_by_mmvq"] and f["folds"] == mmvq["folds"]
    }
    figures = {
        "what the best net of at most its size has more": -min(gained[row] for row in NETS if row in gained),
        "kB": mmvq["bytes"] / 1000,
        "expected calibration error": mmvq["expected_calibration_error"],
        "AUROC of unknown activities": found["robustness"]["data"][name]["auroc"],
        "macro-F1 lost when turned by 30°": mmvq["lost_when"]["turned 30°"],
        "macro-F1 lost on the other arm": mmvq["lost_when"]["mirrored"],
        "deletion, times that of random pieces": reasons["deletion_drop_named"] / reasons["deletion_drop_random"],
        "deletion, share won": reasons["deletion_named_wins"],
        "deletion, correlation": reasons["deletion_correlation"],
        "top three reasons as in float": reasons["top_three_reasons_agree"],
        "honesty error": reasons["honesty_error"],
    }
    if name != PACKAGED:
        more = {"more than the better of MiniRocket and WRN16-2": min(gained["MiniRocket"], gained["WRN16-2"])}
        return figures | more
    return figures | {
        "macro-F1, all folds, mean of seeds": accuracy["mmvq_over_seeds"]["macro_f1"][0],
        "macro-F1, fold 0 alone": mmvq["macro_f1_per_fold"]["0"],
        "times WRN16-1's latency": found["latency"]["files"]["packaged"]["times_WRN16-1_alone"],
    }


def _accuracy(found: dict[str, Any]) -> str:
    """Both sets' tables."""
    return ACCURACY + "\n".join(_set(NAMES[name], one) for name, one in found["data"].items())


def _set(name: str, found: dict[str, Any]) -> str:
    rows, seeds = found["rows"], found["mmvq_over_seeds"]
    lost = list(next(iter(rows.values()))["lost_when"])
    head = ["", "macro-F1", "fold 0", "people", "ECE", "kB", "minutes", *(f"lost: {what}" for what in lost)]
    lines = [
        [
            row, f"{short(f['macro_f1'])} ({_range(f['interval_95_over_people'])})" + _folds(f["folds"]),
            short(f["macro_f1_per_fold"]["0"]) if "0" in f["macro_f1_per_fold"] else "–",
            short(sum(f["per_subject"].values()) / len(f["per_subject"])),
            short(f["expected_calibration_error"]) if "expected_calibration_error" in f else "–",
            f"{f['bytes'] / 1000:.0f}" if f["bytes"] else "–", f"{f['minutes']:.1f}" if f["minutes"] else "–",
            *(_share(f["lost_when"][what]) for what in lost),
        ]
        for row, f in rows.items()
    ]
    gained = [
        f"{row} {_difference(f['gained_by_mmvq'])}" for row, f in rows.items() if f["gained_by_mmvq"]
    ]
    mean, several = seeds["macro_f1"], seeds["seeds"] > 1
    more = f"\nMean over mmvq's {seeds['seeds']} seeds: {short(mean[0])} ({_range(mean[1:])})." if several else ""
    if gained:
        who = "their mean" if several else "mmvq"
        more += f"\nWhat {who} has more than the others, people drawn in pairs: {'; '.join(gained)}.\n"
    return f"### {name}\n{_table(head, lines)}{more}"


def _explanation(found: dict[str, Any]) -> str:
    """Deletion of all judges, then what else is known of the student's reasons."""
    text = EXPLANATION.format(windows=found["windows"].capitalize())
    for name, rows in found["data"].items():
        lines = [
            [
                row + _folds(f["folds"]), f"{f['deletion_drop_named']:.2f}", f"{f['deletion_drop_random']:.2f}",
                f"{f['deletion_drop_named'] / f['deletion_drop_random']:.2f}", short(f["deletion_named_wins"]),
                _share(f["deletion_correlation"]),
            ]
            for row, f in rows.items()
        ]
        head = ["", "drop", "of random pieces", "ratio", "won", "correlation"]
        text += f"\n### {NAMES[name]}\n{_table(head, lines)}"
    rest = [
        [said, *(_reason(rows["mmvq"][what]) for rows in found["data"].values())] for what, said in REASONS.items()
    ]
    return f"{text}\n### What else is known of mmvq's\n{_table(['', *map(NAMES.get, found['data'])], rest)}"


def _reason(value: float) -> str:
    """Shares, and errors that are far smaller than any."""
    return f"{value:.0e}" if 0 < value < TINY else _share(value)


def _robustness(found: dict[str, Any]) -> str:
    """Every turn, and the mean of all."""
    text = ROBUSTNESS
    head = ["left out", "AUROC", "largest probability", "told unknown of the left-out", "of the others"]
    figures = ("auroc", "auroc_of_largest_probability", "flagged_of_unknown", "flagged_of_known")
    for name, mean in found["data"].items():
        turns = mean["turns"]
        named = [(", ".join(turn["left_out"]), turn) for turn in turns] + [(f"mean ({len(turns)})", mean)]
        lines = [[what, *(short(turn[figure]) for figure in figures)] for what, turn in named]
        text += f"\n### {NAMES[name]}\n{_table(head, lines)}"
    return text


def _latency(found: dict[str, Any]) -> str:
    lines = [
        [
            name, f"{f['bytes'] / 1000:.0f}",
            f"{f['bytes_with_codes'] / 1000:.0f}" if f["bytes_with_codes"] > f["bytes"] else "–", str(f["nodes"]),
            f"{f['ms']:.3f}", f"{f['times_WRN16-1']:.2f}", f"{f['ms_alone']:.3f}", f"{f['times_WRN16-1_alone']:.2f}",
        ]
        for name, f in found["files"].items()
    ]
    head = ["file", "kB", "with codes", "nodes", "ms", "times WRN16-1", "ms, one file", "times WRN16-1"]
    text = LATENCY.format(machine=found["machine"], code_bytes=found["bytes_a_code"]) + _table(head, lines)
    parts = ", ".join(f"{what} {size / 1000:.1f}" for what, size in found["packaged_bytes"].items())
    dear = ", ".join(f"{name} {f['ms']:.2f}" for name, f in found["peers"].items())
    text += f"\nBeside each other, in turn, ms a window: {dear}.\n"
    text += f"\nWhat takes what in the packaged file, kB: {parts}.\n"
    live = [
        [
            name, f"{f['ms_median']:.2f}", f"{f['ms_90th_percentile']:.2f}", f"{100 * f['share_of_a_core']:.2f} %",
            f"{f['rss_mb']:.0f}", f"{f['bytes'] / 1000:.0f}",
        ]
        for name, f in found["live"].items()
    ]
    text += LIVE + _table(["", "ms, median", "90th percentile", "of a core", "MB of memory", "kB of model"], live)
    kinds = ", ".join(
        f"{kind} ({f['nodes']}) {100 * f['share']:.0f} %" for kind, f in found["bound"]["share_by_kind"].items()
        if f["share"] >= LEAST_SHARE
    )
    return text + BOUND.format(kinds=kinds, **found["bound"])


def _search(found: dict[str, Any]) -> str:
    text = SEARCH.format(fold=found["fold"])
    for name, forms in found["data"].items():
        disturbed = [what for what in next(iter(forms.values()))["macro_f1"] if what != found["plain"]]
        lines = [
            [
                form, short(f["macro_f1"][found["plain"]]),
                f"{f['weights'] / 1000:.0f}", f"{f['minutes']:.1f}",
                *(_share(f["macro_f1"][found["plain"]] - f["macro_f1"][what]) for what in disturbed),
            ]
            for form, f in forms.items()
        ]
        head = ["", "macro-F1", "thousand weights", "minutes", *(f"lost: {what}" for what in disturbed)]
        text += f"\n### {NAMES[name]}\n{_table(head, lines)}"
    return text


def _table(head: list[str], lines: list[list[str]]) -> str:
    return _rows([head, ["---"] * len(head), *lines])


def _rows(lines: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _folds(count: int) -> str:
    return "" if count == 5 else f", {count} of 5 folds"


def _share(value: float) -> str:
    """Without a sign, unless it is negative."""
    return signed(value) if round(value, 3) < 0 else short(abs(value))


def _range(found: list[float]) -> str:
    return " to ".join(map(short, found))


def _difference(found: list[float]) -> str:
    mean, low, high = found
    return f"{signed(mean)} ({signed(low)} to {signed(high)})"


if __name__ == "__main__":
    main()
