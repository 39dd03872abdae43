"""The pieces of a window that counted most for a label, as data and in words. Pure.

A code is called by its tested name or not at all: a sub-action is told only where a code of the token bears it
and the token agrees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmvq_run.metadata import Metadata
from mmvq_run.model import Prediction

SHOWN: Final = {"none": 0, "top": 5, "full": None}  # --explain: pieces in an event
IN_WORDS: Final = 3  # pieces in a line for people
AGREEING: Final = 0.5  # of the largest probability, for a tested name to be told
SHAPE_SEPARATOR: Final = "·"


@dataclass(frozen=True)
class Piece:
    """t: session time of its start, length: both in seconds; codes: one an axis; p: of the sub-action."""

    t: float
    length: float
    codes: tuple[int, ...]
    code_names: tuple[str | None, ...]
    sub_action: str | None
    p: float | None
    contribution: float

    def as_event(self) -> dict[str, Any]:
        """The entry of `because` (DESIGN 3.6)."""
        return {
            "t": self.t,
            "length": self.length,
            "codes": list(self.codes),
            "code_names": list(self.code_names),
            "sub_action": self.sub_action,
            "p": self.p,
            "contribution": self.contribution,
        }


def pieces_for(prediction: Prediction, metadata: Metadata, label: int, start: float, most: int | None) -> list[Piece]:
    """Tokens in the order of what they contributed to `label`, at most `most`; `start`: the window's, in seconds."""
    counted = prediction.contributions[:, label]
    return [_piece(prediction, metadata, token, label, start) for token in np.argsort(-counted, kind="stable")[:most]]


def backed_sub_action(
    probabilities: npt.ArrayLike, names: Sequence[str | None], sub_actions: Sequence[str]
) -> int | None:
    """The likeliest (of M probabilities) among the sub-actions that the token's own codes are tested for, or None.

    None, too, where another sub-action is more than twice as likely: codes and token then disagree, and words would be
    a guess, not a reason.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    tested = [i for i, text in enumerate(sub_actions) if text in names]
    best = max(tested, key=lambda i: float(p[i]), default=None)
    return best if best is not None and p[best] >= AGREEING * p.max() else None


def in_words(because: Sequence[Mapping[str, Any]]) -> str:
    """Pieces of an event as a person reads them; alike ones that touch are one.

    wrist swings forward (4.2-5.3 s, +1.9), shape 17·3·40 (8.0-9.0 s, +0.4)
    """
    spans: list[tuple[str, float, float, float]] = []
    for piece in sorted(because[:IN_WORDS], key=lambda piece: piece["t"]):
        what = piece["sub_action"] or "shape " + SHAPE_SEPARATOR.join(map(str, piece["codes"]))
        start, end, counted = piece["t"], piece["t"] + piece["length"], piece["contribution"]
        if spans and spans[-1][0] == what and start <= spans[-1][2] + 1e-3:
            _, first, last, before = spans.pop()
            start, end, counted = first, max(last, end), before + counted
        spans.append((what, start, end, counted))
    spans.sort(key=lambda span: -span[3])
    return ", ".join(f"{what} ({start:.1f}-{end:.1f} s, {counted:+.1f})" for what, start, end, counted in spans)


def _piece(prediction: Prediction, metadata: Metadata, token: int, label: int, start: float) -> Piece:
    codes = tuple(int(code) for code in prediction.codes[token])
    names = tuple(metadata.code_names[code] for code in codes)
    # The axes of a token may differ in t and length; the piece is what they span.
    begins = prediction.attributes[token, :, 0].astype(float)
    ends = begins + prediction.attributes[token, :, 1].astype(float)
    probabilities = prediction.sub_actions[token]
    backed = backed_sub_action(probabilities, names, metadata.sub_actions)
    sub_action, p = (None, None) if backed is None else (metadata.sub_actions[backed], float(probabilities[backed]))
    return Piece(
        t=start + float(begins.min()),
        length=float(ends.max() - begins.min()),
        codes=codes,
        code_names=names,
        sub_action=sub_action,
        p=p,
        contribution=float(prediction.contributions[token, label]),
    )
