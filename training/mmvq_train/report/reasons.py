"""The windows of report.html: signal, reconstruction, the pieces that counted most, and all pieces of some windows."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from markupsafe import Markup
from torch import Tensor

from mmvq_run.explain import backed_sub_action
from mmvq_train.codebook import ShapeCodebook
from mmvq_train.data import WindowSet
from mmvq_train.drawings import AXES, AXIS_NAMES, Span, curves, number, signal_panels
from mmvq_train.evaluate import Judged
from mmvq_train.names import Code
from mmvq_train.report.matrices import lanes
from mmvq_train.student.model import Student

TYPICAL: Final = 6  # windows shown, of different labels
MISTAKES: Final = 2  # and the surest mistakes, for honesty
BECAUSE: Final = 5  # pieces a window, as in the runtime's events
WHOLE: Final = 2  # windows of which all pieces are shown


@dataclass(frozen=True)
class Tested:
    """A student and what it said of the test windows. labels: C names; codes: of all lengths, shortest first; entries:
    texts of the M sub-actions."""

    labels: tuple[str, ...]
    codes: list[Code]
    student: Student
    codebook: ShapeCodebook
    windows: WindowSet
    judged: Judged
    entries: tuple[str, ...]

    @property
    def with_text(self) -> bool:
        """Whether sub-actions mean anything."""
        return self.codebook.text is not None

    def codes_of(self, row: int, token: int) -> list[int]:
        """A token's codes (S,) as numbered over all lengths."""
        layout, size = self.student.layout, self.student.size
        length = int(np.searchsorted(np.cumsum(layout.counts), token, side="right"))
        return [length * size + int(k) for k in self.judged.codes[row, token]]

    def words(self, row: int, token: int) -> tuple[int, float, bool]:
        """A token's sub-action, its probability, and whether it is backed: as in the runtime's events, if a code of the
        token bears it as its tested name. Otherwise it is merely the likeliest."""
        probabilities = self.judged.sub_actions[row, token]
        names = [self.codes[k].name for k in self.codes_of(row, token)]
        backed = backed_sub_action(probabilities, names, self.entries)
        action = int(probabilities.argmax()) if backed is None else backed
        return action, float(probabilities[action]), backed is not None


def windows(t: Tested) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Example windows with their best pieces; and, of the first typical ones that were told right, all pieces."""
    probability = (t.judged.logits / t.student.temperature).softmax(-1)
    typical, mistakes = _choose(probability, t.windows.y)
    rows = typical + mistakes
    x = t.windows.x[rows]
    rebuilt = _rebuilt(t.codebook, x)
    with torch.no_grad():
        shapes = t.student.pieces.joined(x).shape
    examples = []
    for i, row in enumerate(rows):
        truth, said = int(t.windows.y[row]), int(probability[row].argmax())
        pieces = _because(t, row, said, shapes[i])
        strongest = max(max(p["contribution"] for p in pieces), 1e-9)
        spans = [
            (str(n), [Span(p["t"], p["length"], max(0.0, p["contribution"] / strongest), f"piece {n}: {p['what']}")])
            for n, p in enumerate(pieces, 1)
        ]
        examples.append({
            "truth": t.labels[truth],
            "said": t.labels[said],
            "right": truth == said,
            "p": float(probability[row, said]),
            "kind": "typical" if i < len(typical) else "a sure mistake",
            "error_g": float((x[i] - rebuilt[i]).square().mean().sqrt()),
            "movement_g": float((x[i] - x[i].mean(0)).square().mean().sqrt()),
            "drawing": signal_panels(
                x[i].numpy(), rebuilt[i].numpy(), t.student.layout.rate_hz, spans,
                f"A window of {t.labels[truth]}: signal, its reconstruction, and the pieces that counted most",
            ),
            "pieces": pieces,
        })
    order = sorted(range(len(typical)), key=lambda i: not examples[i]["right"])
    whole = [_whole(t, rows[i], x[i], rebuilt[i], examples[i]) for i in order[:WHOLE]]
    return examples, whole


def _whole(t: Tested, row: int, x: Tensor, rebuilt: Tensor, example: dict[str, Any]) -> dict[str, Any]:
    """All pieces of one window, darkest where they counted most for the label that was said."""
    layout, said = t.student.layout, t.labels.index(example["said"])
    spans, counted = layout.spans_s(), t.judged.contributions[row, :, said]
    strongest = max(float(counted.abs().max()), 1e-9)
    rows: list[tuple[str, list[Span]]] = []
    for i, tokens in enumerate(np.split(np.arange(layout.tokens), np.cumsum(layout.counts)[:-1])):
        lane = lanes(spans[tokens, 0].astype(float), layout.samples(i) / layout.rate_hz)
        first = len(rows)
        rows += [(layout.called(i) if n == 0 else "", []) for n in range(max(lane) + 1)]
        for token, place in zip(tokens.tolist(), lane, strict=True):
            value = float(counted[token])
            start, length = (float(v) for v in spans[token])
            title = f"{_told(t, row, token)}: {_signed(value)}"
            rows[first + place][1].append(Span(start, length, value / strongest, title))
    return {
        "said": example["said"],
        "right": example["right"],
        "pro": float(counted.clamp_min(0).sum()),
        "contra": float(counted.clamp_max(0).sum()),
        "bias": float(t.student.bias[said].detach()),
        "score": float(t.judged.logits[row, said]),
        "strongest": strongest,
        "drawing": signal_panels(
            x.numpy(), rebuilt.numpy(), layout.rate_hz, rows,
            f"All {layout.tokens} pieces of a window of {example['truth']}, darker where they counted more",
        ),
    }


def _told(t: Tested, row: int, token: int) -> str:
    """A token in words: when, its codes, and its name if it has one."""
    start, length = (float(v) for v in t.student.layout.spans_s()[token])
    action, p, backed = t.words(row, token)
    name = f"{t.entries[action]} ({round(100 * p)} %)" if backed else "unnamed"
    return f"{start:.1f}–{start + length:.1f} s, {_listed(t.codes_of(row, token))}, {name}"


def _listed(codes: list[int]) -> str:
    return f"code{'s' * (len(codes) > 1)} {', '.join(map(str, codes))}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value, 2)


def _because(t: Tested, row: int, label: int, shapes: Tensor) -> list[dict[str, Any]]:
    """The pieces of one window that counted most for `label`; shapes (T, S, points) are the pieces' own."""
    spans = t.student.layout.spans_s()
    best = t.judged.contributions[row, :, label].topk(min(BECAUSE, t.student.layout.tokens))
    out = []
    for token, contribution in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        chosen = t.codes_of(row, token)
        action, p, backed = t.words(row, token)
        out.append({
            "t": float(spans[token, 0]),
            "length": float(spans[token, 1]),
            "contribution": contribution,
            "codes": _listed(chosen),
            "drawings": [d for s, k in enumerate(chosen) for d in _compared(shapes[token, s], t.codes[k], k, s)],
            "words": t.entries[action] if t.entries else None,
            "p": p,
            "backed": backed,
            "what": t.entries[action] if backed else f"{_listed(chosen)}, unnamed",
        })
    return out


def _compared(piece: Tensor, code: Code, index: int, stream: int) -> list[Markup]:
    """A piece's shape (32·curves,) under its code's. A joint code's curves are the axes' own, a picture each, on one
    scale, as how large they are beside each other is part of the shape."""
    own = piece.unflatten(0, (len(code.shape), -1)).tolist()
    values = [v for curve in [*own, *code.shape] for v in curve]
    within = (min(values), max(values)) if len(code.shape) > 1 else None
    out = []
    for axis, (grey, drawn) in enumerate(zip(own, code.shape, strict=True), stream):
        title = f"{AXIS_NAMES[axis]}: the piece (grey) and code {index}, {code.name or 'unnamed'}"
        out.append(curves([(grey, "soft"), (drawn, AXES[axis])], title, width=72, height=34, within=within))
    return out


@torch.no_grad()
def _rebuilt(codebook: ShapeCodebook, x: Tensor) -> Tensor:
    """(B, window, 3) in g, drawn from the codes, offsets and scales of the windows' pieces alone."""
    codebook.eval()
    pieces, z = codebook.encode(x)
    quantised = codebook.quantise(z)
    features = codebook.features(pieces, [q.z for q in quantised])
    return codebook.rebuild(features, codebook.hidden(features, [q.codes for q in quantised]))


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
