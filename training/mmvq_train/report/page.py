"""report.html: a run to look at. One page, nothing fetched, no script; drawings are inline SVG (drawings.py, maps.py).

Windows and their pieces are of reasons.py, maps of codes of code_maps.py; here is everything else, and the page.

Codes are numbered as in codes.json and in the model's output `codes`: over all lengths, shortest first.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmvq_train.codebook import ShapeCodebook
from mmvq_train.compare import Compared
from mmvq_train.data import WindowSet
from mmvq_train.drawings import AXES, AXIS_NAMES, columns, curves, heat_map, number, percent, progress, thumb_colours
from mmvq_train.evaluate import Judged
from mmvq_train.names import Code
from mmvq_train.pages import write_page
from mmvq_train.report.code_maps import activity_maps, evidence_charts, sub_action_maps, wearer_maps
from mmvq_train.report.reasons import Tested, windows
from mmvq_train.report.teachers import side_by_side
from mmvq_train.student.model import Student

RARE: Final = 0.1  # of an even share of use: a code ten times rarer than that tells little
WORDS_SHOWN: Final = 2  # sub-actions of a code without a name

@dataclass(frozen=True)
class Figure:
    """A number, what it means in plain words, and what to hold it against, if anything."""

    name: str
    value: str
    meaning: str
    beside: str = ""


def write_report(
    run: Path,
    metrics: dict[str, Any],
    codes: list[Code],
    student: Student,
    codebook: ShapeCodebook,
    test: WindowSet,
    judged: Judged,
    entries: tuple[str, ...],
    compared: Mapping[str, Compared],
) -> None:
    """Write run/report.html. `metrics` as in metrics.json; `judged` is the student's output over `test`; entries: texts
    of the M sub-actions; compared: student and teachers over `test`. Curves come from run/log/<stage>/metrics*.csv,
    where there are any."""
    tested = Tested(tuple(metrics["classes"]), codes, student, codebook, test, judged, entries)
    examples, whole = windows(tested)
    write_page(
        run / "report.html",
        "report.html.j2",
        run=run.resolve().name,
        m=metrics,
        one_wearer=metrics["subjects"] == 1 or metrics["split"] == "time",
        figures=_figures(metrics, len(codes)),
        confusion=heat_map(metrics["test"]["confusion"], metrics["classes"], "Confusion matrix"),
        people=sorted(metrics["test"]["per_subject"].items(), key=lambda item: -item[1]),
        contest=_contest(metrics),
        ablations=_ablations(metrics.get("ablations", [])),
        lengths=_lengths(metrics, tested),
        examples=examples,
        whole=whole,
        evidence=evidence_charts(tested),
        by_wearer=wearer_maps(tested),
        by_activity=activity_maps(tested),
        by_sub_action=sub_action_maps(tested),
        beside=side_by_side(compared, tested.labels, _logged(run / "log" / "student")),
        training=[
            (title, [(name, points[-1][1], progress(points, f"{name} over the epochs"))
                     for name, points in _logged(run / "log" / stage).items() if not name.startswith("alpha_")])
            for stage, title in (
                ("codebook", "Codebook"),
                *((f"teacher-{name}", f"Teacher: {name}") for name in metrics["teachers"]),
                ("student", "Student"),
            )
        ],
        axes=list(zip(AXES, AXIS_NAMES, strict=True))[: student.layout.axes],
        joint=student.layout.joint,
        views=len(student.parts()) > 1,
        with_text=tested.with_text,
    )


def _figures(metrics: dict[str, Any], codes: int) -> list[Figure]:
    test, explained, book = metrics["test"], metrics.get("explanation", {}), metrics.get("codebook", {})
    told = book.get("information", [])
    drops = (explained.get("deletion_drop_named"), explained.get("deletion_drop_random"))
    return [
        Figure("Macro-F1", number(test.get("macro_f1")), "How well each label is found and how rarely it is said in "
               "error, averaged over the labels, so that rare ones count as much as common ones. 1 is perfect."),
        Figure("Balanced accuracy", number(test.get("balanced_accuracy")), "The share of each label's windows that got "
               f"this label, averaged over the labels. Guessing gives {number(1 / len(metrics['classes']))}."),
        Figure("Shape error", number(book.get("shape_error")), "How much of a piece's shape its code does not show "
               "(1 − ρ²): 0 is a true picture, 1 is fiction. k-means with as many shapes, fitted on the "
               "training people for this alone, is the yardstick.",
               f"k-means: {number(book.get('shape_error_kmeans'))}"),
        Figure("Deletion", number(drops[0], 2), "How far the label's log-odds fall when the three short pieces "
               "named as reasons are flattened, and when three random ones of the same lengths are. True reasons "
               "cost more.", f"random pieces: {number(drops[1], 2)}"),
        Figure("Named pieces win", percent(explained.get("deletion_named_wins")), "The share of windows in which "
               "flattening the named pieces costs more than flattening random ones. 50 % would be chance."),
        Figure("Claim against effect", number(explained.get("deletion_correlation"), 2), "Correlation of a piece's "
               "contribution with what flattening it does. 1 is full agreement, 0 is none."),
        Figure("Sub-actions in set", percent(explained.get("sub_actions_in_set")), "How much of the sub-action "
               "probability falls on what the text bank lists for the true label; chance is an even spread.",
               f"chance: {percent(explained.get('sub_actions_in_set_chance'))}"),
        Figure("Additivity", number(explained.get("additivity")), "The largest difference between a label's "
               "score and the sum of its pieces' contributions: only rounding, as the reasons are the whole reason."),
        Figure("Code agreement", percent(book.get("code_agreement_with_encoder")), "How often the student gives a "
               "piece the code that the codebook's own, larger encoder gives."),
        Figure("Named codes", f"{book.get('named', 0)} of {codes}", "Codes whose sub-action passed a permutation test. "
               "All others stay unnamed: what they most likely mean is shown, and may be chance."),
        Figure("What codes tell", f"{number(_mean(told, 'information'), 2)} bits", "How much a code says about the "
               "sub-action of its piece, wearers and activities weighing alike, mean over the lengths. One bit would "
               "halve the possible sub-actions.", f"by chance: {number(_mean(told, 'by_chance'), 2)} bits"),
    ]


def _mean(rows: Sequence[dict[str, float]], key: str) -> float | None:
    return sum(row[key] for row in rows) / len(rows) if rows else None


def _contest(metrics: dict[str, Any]) -> list[tuple[str, float | None]]:
    """Who did how well: the student and its teachers, macro-F1."""
    rows: list[tuple[str, float | None]] = [("student (runs at the edge)", metrics["test"].get("macro_f1"))]
    rows += [(f"teacher: {kind}", row.get("macro_f1")) for kind, row in metrics.get("teachers", {}).items()]
    return rows


def _ablations(rows: Sequence[dict[str, Any]]) -> list[tuple[str, float | None, float | None]]:
    """(what is left out, macro-F1, difference to the whole)."""
    whole = next((row["macro_f1"] for row in rows if row["without"] == "nothing"), None)
    out = []
    for row in rows:
        change = None if whole is None or row["without"] == "nothing" else row["macro_f1"] - whole
        out.append((row["without"], row["macro_f1"], change))
    return out


def _lengths(metrics: dict[str, Any], t: Tested) -> list[dict[str, Any]]:
    """Of every length: its figures, its usage as bars, and its codes, most used first."""
    size = t.student.size
    figures = metrics.get("codebook", {}).get("lengths", [])
    out = []
    for i in range(len(t.student.layout.lengths_s)):
        length = t.student.layout.called(i)
        order = sorted(range(i * size, (i + 1) * size), key=lambda k: -t.codes[k].usage)
        usage = [t.codes[k].usage for k in order]
        titles = [f"code {k}: {percent(t.codes[k].usage, 2)}" for k in order]
        out.append({
            "length": length,
            "figures": figures[i] if i < len(figures) else {},
            "bars": columns(usage, titles, 1 / size, f"Use of the codes of {length}, most used first"),
            "codes": [_card(k, t) for k in order],
        })
    return out


def _card(index: int, t: Tested) -> dict[str, Any]:
    code = t.codes[index]
    likely = sorted(code.sub_actions.items(), key=lambda item: -item[1])[:WORDS_SHOWN]
    shown = t.with_text and code.usage > 0
    series = list(zip(code.shape, thumb_colours(len(code.shape)), strict=True))
    return {
        "index": index,
        "drawing": curves(series, f"Shape of code {index}"),
        "usage": code.usage,
        "mark": "unused" if code.usage == 0 else "rare" if code.usage < RARE / t.student.size else "",
        "name": code.name,
        "bits": code.bits,
        "p": code.p,
        "likely": [(t.entries[k], p) for k, p in likely if p > 0] if shown else [],
    }


def _logged(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """(epoch, value) of every quantity in a CSVLogger's files, those of interrupted attempts first; the loss on top.

    Of an epoch that a resumed run began twice the last row counts.
    """
    found: dict[str, dict[float, float]] = {}
    for path in sorted(folder.glob("metrics*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for line, row in enumerate(csv.DictReader(file), 1):
                at = _value(row.get("epoch"))
                for name, text in row.items():
                    value = _value(text)
                    if name and name not in ("epoch", "step") and value is not None:
                        found.setdefault(name, {})[line if at is None else at + 1] = value
    return {name: sorted(found[name].items()) for name in sorted(found, key=lambda name: (name != "loss", name))}


def _value(text: object) -> float | None:
    """A finite number in a CSV cell. A killed run may have left half a line, so anything else is nothing."""
    if not isinstance(text, str):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
