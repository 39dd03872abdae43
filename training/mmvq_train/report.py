"""report.html: a run to look at. One page, nothing fetched, no script; drawings are inline SVG (drawings.py).

Codes are numbered as in codes.json and in the model's output `codes`: over all lengths, shortest first.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from markupsafe import Markup
from torch import Tensor

from mmvq_run.explain import backed_sub_action
from mmvq_train.codebook import ShapeCodebook
from mmvq_train.data import WindowSet
from mmvq_train.drawings import (
    AXES,
    AXIS_NAMES,
    Span,
    columns,
    curves,
    heat_map,
    number,
    percent,
    progress,
    signal_panels,
)
from mmvq_train.evaluate import Judged
from mmvq_train.names import Code
from mmvq_train.pages import write_page
from mmvq_train.student.model import Student

TYPICAL: Final = 6  # windows shown, of different labels
MISTAKES: Final = 2  # and the surest mistakes, for honesty
BECAUSE: Final = 5  # pieces a window, as in the runtime's events
RARE: Final = 0.1  # of an even share of use: a code ten times rarer than that tells little
WORDS_SHOWN: Final = 2  # sub-actions of a code without a name

STAGES: Final = {
    "codebook": "Codebook",
    "teacher-signal": "Teacher: signal",
    "teacher-persistence": "Teacher: persistence images",
    "student": "Student",
}


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
) -> None:
    """Write run/report.html. `metrics` as in metrics.json; `judged` is the student's output over `test`; entries: texts
    of the M sub-actions. Curves come from run/log/<stage>/metrics*.csv, where there are any."""
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
        lengths=_lengths(metrics, codes, student, codebook.text is not None, entries),
        examples=_examples(metrics["classes"], codes, student, codebook, test, judged, entries),
        training=[(title, _curves(run / "log" / stage)) for stage, title in STAGES.items()],
        axes=list(zip(AXES, AXIS_NAMES, strict=True))[: student.layout.axes],
        with_text=codebook.text is not None,
    )


def _figures(metrics: dict[str, Any], codes: int) -> list[Figure]:
    test, explained, book = metrics["test"], metrics.get("explanation", {}), metrics.get("codebook", {})
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
    ]


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


def _lengths(
    metrics: dict[str, Any], codes: list[Code], student: Student, with_text: bool, entries: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Of every length: its figures, its usage as bars, and its codes, most used first."""
    size = student.codes.shape[1]
    figures = metrics.get("codebook", {}).get("lengths", [])
    out = []
    for i, length_s in enumerate(student.layout.lengths_s):
        order = sorted(range(i * size, (i + 1) * size), key=lambda k: -codes[k].usage)
        usage = [codes[k].usage for k in order]
        titles = [f"code {k}: {percent(codes[k].usage, 2)}" for k in order]
        out.append({
            "length_s": length_s,
            "figures": figures[i] if i < len(figures) else {},
            "bars": columns(usage, titles, 1 / size, f"Use of the codes of {length_s:g} s, most used first"),
            "codes": [_card(k, codes[k], size, with_text, entries) for k in order],
        })
    return out


def _card(index: int, code: Code, size: int, with_text: bool, entries: tuple[str, ...]) -> dict[str, Any]:
    likely = sorted(code.sub_actions.items(), key=lambda item: -item[1])[:WORDS_SHOWN]
    shown = with_text and code.usage > 0
    return {
        "index": index,
        "drawing": curves([(curve, "shape") for curve in code.shape], f"Shape of code {index}"),
        "usage": code.usage,
        "mark": "unused" if code.usage == 0 else "rare" if code.usage < RARE / size else "",
        "name": code.name,
        "likely": [(entries[k], p) for k, p in likely if p > 0] if shown else [],
    }


def _examples(
    labels: Sequence[str],
    codes: list[Code],
    student: Student,
    codebook: ShapeCodebook,
    test: WindowSet,
    judged: Judged,
    entries: tuple[str, ...],
) -> list[dict[str, Any]]:
    probability = (judged.logits / student.temperature).softmax(-1)
    typical, mistakes = _choose(probability, test.y)
    rows = typical + mistakes
    x = test.x[rows]
    rebuilt = _rebuilt(codebook, x)
    with torch.no_grad():
        shapes = torch.cat([p.shape for p in student.pieces(x)], dim=1)
    out = []
    for i, row in enumerate(rows):
        truth, said = int(test.y[row]), int(probability[row].argmax())
        pieces = _because(row, said, shapes[i], codes, student, judged, entries)
        strongest = max(max(p["contribution"] for p in pieces), 1e-9)
        spans = [
            Span(p["t"], p["length"], min(1.0, max(0.0, p["contribution"] / strongest)), f"piece {n}: {p['what']}")
            for n, p in enumerate(pieces, 1)
        ]
        out.append({
            "truth": labels[truth],
            "said": labels[said],
            "right": truth == said,
            "p": float(probability[row, said]),
            "kind": "typical" if i < len(typical) else "a sure mistake",
            "error_g": float((x[i] - rebuilt[i]).square().mean().sqrt()),
            "movement_g": float((x[i] - x[i].mean(0)).square().mean().sqrt()),
            "drawing": signal_panels(
                x[i].numpy(), rebuilt[i].numpy(), student.layout.rate_hz, spans,
                f"A window of {labels[truth]}: signal, its reconstruction, and the pieces that counted most",
            ),
            "pieces": pieces,
        })
    return out


def _because(
    row: int,
    label: int,
    shapes: Tensor,
    codes: list[Code],
    student: Student,
    judged: Judged,
    entries: tuple[str, ...],
) -> list[dict[str, Any]]:
    """The pieces of one window that counted most for `label`; shapes (T, A, 32) are the pieces' own.

    As in the runtime's events, words are backed if a code of the piece bears them as its tested name.
    """
    layout, size = student.layout, student.codes.shape[1]
    length_of = np.repeat(np.arange(len(layout.counts)), layout.counts)
    spans = layout.spans_s()
    best = judged.contributions[row, :, label].topk(min(BECAUSE, layout.tokens))
    out = []
    for token, contribution in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        chosen = [int(length_of[token]) * size + int(k) for k in judged.codes[row, token]]
        probabilities = judged.sub_actions[row, token]
        backed = backed_sub_action(probabilities, [codes[k].name for k in chosen], entries)
        action = int(probabilities.argmax()) if backed is None else backed
        out.append({
            "t": float(spans[token, 0]),
            "length": float(spans[token, 1]),
            "contribution": contribution,
            "codes": chosen,
            "drawings": [_compared(shapes[token, a].tolist(), codes[k], k, a) for a, k in enumerate(chosen)],
            "words": entries[action] if entries else None,
            "p": float(probabilities[action]),
            "backed": backed is not None,
            "what": entries[action] if backed is not None else f"codes {', '.join(map(str, chosen))}, unnamed",
        })
    return out


def _compared(piece: list[float], code: Code, index: int, axis: int) -> Markup:
    title = f"{AXIS_NAMES[axis]}: the piece (grey) and code {index}, {code.name or 'unnamed'}"
    return curves([(piece, "soft"), (code.shape[0], AXES[axis])], title, width=72, height=34)


@torch.no_grad()
def _rebuilt(codebook: ShapeCodebook, x: Tensor) -> Tensor:
    """(B, window, 3) in g, drawn from the codes, offsets and scales of the windows' pieces alone."""
    codebook.eval()
    pieces, z = codebook.encode(x)
    features = codebook.features(pieces, codebook.quantise(z))
    return codebook.rebuild(features, codebook.hidden(features))


def _choose(probability: Tensor, truth: Tensor) -> tuple[list[int], list[int]]:
    """Rows of typical windows (the median in the true label's probability) of labels spread over all that occur, then
    the surest mistakes of further windows, each of another true label."""
    present = truth.unique().tolist()
    wanted = [present[i] for i in np.unique(np.linspace(0, len(present) - 1, TYPICAL).round().astype(int))]
    rows = []
    for label in wanted:
        own = (truth == label).nonzero()[:, 0]
        order = probability[own, label].argsort(stable=True)
        rows.append(int(own[order[(len(own) - 1) // 2]]))
    sure, said = probability.max(-1)
    mistakes: dict[int, int] = {}
    for row in sure.argsort(descending=True, stable=True).tolist():
        if len(mistakes) == MISTAKES:
            break
        label = int(truth[row])
        if int(said[row]) != label and label not in mistakes and row not in rows:
            mistakes[label] = row
    return rows, list(mistakes.values())


def _curves(folder: Path) -> list[tuple[str, float, Markup]]:
    """(quantity, last value, drawing) of a CSVLogger's files, those of interrupted attempts first.

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
    out = []
    for name, values in sorted(found.items(), key=lambda item: (item[0] != "loss", item[0])):
        points = sorted(values.items())
        out.append((name, points[-1][1], progress(points, f"{name} over the epochs")))
    return out


def _value(text: object) -> float | None:
    """A finite number in a CSV cell. A killed run may have left half a line, so anything else is nothing."""
    if not isinstance(text, str):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
