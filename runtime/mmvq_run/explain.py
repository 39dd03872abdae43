"""The pieces of a window that counted most for a label, as data and in words. Pure.

A code is called by its tested name or not at all: a sub-action is told only where a code of the token bears it
and the token agrees. Of a piece in which nothing moves the shape is the sensor's noise, so that is what is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmvq_run.metadata import Metadata
from mmvq_run.model import Prediction
from mmvq_run.signal import QUIET_G

SHOWN: Final = {"none": 0, "top": 5, "full": None}  # --explain: pieces in an event
IN_WORDS: Final = 3  # reasons in a sentence
WORTH_TELLING: Final = 0.25  # of what the strongest reason counts
AGREEING: Final = 0.5  # of the largest probability, for a tested name to be told
TOUCHING_S: Final = 1e-3
SEES_ALL_S: Final = 2.0  # a piece of so many seconds at most: its 32 points miss nothing that a hand does
SEEING: Final = ("axes", "gravity")  # views whose scale is of all that moves; rhythm's ends at 6 Hz
UNNAMED: Final = {"axes": "shape", "gravity": "shape along gravity", "rhythm": "rhythm"}
STILL: Final = "hand nearly still"
SEPARATOR: Final = "·"


@dataclass(frozen=True)
class Piece:
    """t: session time of its start, length: both in seconds; codes: one an axis; p: of the sub-action; still: nothing
    in it moves; view: what of the piece the codes are of."""

    t: float
    length: float
    codes: tuple[int, ...]
    code_names: tuple[str | None, ...]
    sub_action: str | None
    p: float | None
    contribution: float
    still: bool
    view: str

    @property
    def what(self) -> str:
        """In words, or its codes where there are none."""
        if self.still:
            return STILL
        return self.sub_action or f"{UNNAMED.get(self.view, 'code')} {SEPARATOR.join(map(str, self.codes))}"

    def as_event(self) -> dict[str, Any]:
        """The entry of `because` (DESIGN 3.6), with "still" where nothing moves: its shapes are noise then."""
        entry = {
            "t": self.t,
            "length": self.length,
            "codes": list(self.codes),
            "code_names": list(self.code_names),
            "sub_action": self.sub_action,
            "p": self.p,
            "contribution": self.contribution,
        }
        return entry | {"still": True} if self.still else entry


def pieces_for(prediction: Prediction, metadata: Metadata, label: int, start: float) -> list[Piece]:
    """All tokens in the order of what they contributed to `label`; `start`: the window's, in seconds."""
    counted, still = prediction.contributions[:, label], still_tokens(prediction, metadata)
    begin, end = _spans(prediction)
    return [
        _piece(prediction, metadata, token, label, float(start + begin[token]), float(end[token] - begin[token]),
               bool(still[token]))
        for token in np.argsort(-counted, kind="stable")
    ]


def still_tokens(prediction: Prediction, metadata: Metadata) -> npt.NDArray[np.bool_]:
    """Of which tokens (T,) it is known that nothing in them moves: the token's own scales are small, and wherever it
    lies there is a short piece whose are, for a long piece's points and a rhythm's top leave out what is fast."""
    begin, end = _spans(prediction)
    quiet = (prediction.attributes[:, :, 3] < QUIET_G).all(1)
    views = [metadata.code_views[codes[0]] for codes in prediction.codes]
    seeing = np.isin(views, SEEING) & (end - begin <= SEES_ALL_S + TOUCHING_S)
    edges = np.sort(np.concatenate([begin, end]))
    moments = ((edges[1:] + edges[:-1]) / 2)[np.diff(edges) > TOUCHING_S]  # one between any two edges
    within = (moments >= begin[:, None]) & (moments < end[:, None])
    calm = within[quiet & seeing].any(0)
    return np.asarray(quiet & (calm | ~within).all(1), dtype=np.bool_)


def _spans(prediction: Prediction) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Begin and end (T,) of tokens in the window, in seconds: axes may differ in them; the piece is what they span."""
    begins, lengths = prediction.attributes[:, :, 0].astype(float), prediction.attributes[:, :, 1].astype(float)
    return begins.min(1), (begins + lengths).max(1)


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


@dataclass(frozen=True)
class Reason:
    """Pieces that are alike, touch and speak the same way: `what`, start and end in seconds of session time, and what
    they counted together."""

    what: str
    start: float
    end: float
    counted: float

    def __str__(self) -> str:
        return f"{self.what} ({self.start:.1f}-{self.end:.1f} s, {self.counted:+.1f})"


def reasons(pieces: Sequence[Piece]) -> list[Reason]:
    """Every piece belongs to one, so together they count what the pieces count; what speaks loudest for it first."""
    found: list[Reason] = []
    for piece in sorted(pieces, key=lambda piece: (piece.what, piece.contribution < 0, piece.t)):
        one = Reason(piece.what, piece.t, piece.t + piece.length, piece.contribution)
        last = found[-1] if found else None
        same = last is not None and last.what == one.what and (last.counted < 0) == (one.counted < 0)
        if last is not None and same and one.start <= last.end + TOUCHING_S:
            found[-1] = Reason(one.what, last.start, max(last.end, one.end), last.counted + one.counted)
        else:
            found.append(one)
    return sorted(found, key=lambda reason: -reason.counted)


def in_words(found: Sequence[Reason]) -> str:
    """Reasons, the loudest first, as a sentence goes on after "walking, because": what carried it, and what spoke
    loudest against it, if that counts beside them.

    wrist swings forward (4.2-6.2 s, +1.9) and shape 17·3·40 (8.0-9.0 s, +0.6); against it shape 7·7·7 (0.0-1.0 s, -0.5)
    """
    if not found or found[0].counted <= 0:
        return "no piece speaks for it"
    least = WORTH_TELLING * found[0].counted
    *before, last = [str(reason) for reason in found[:IN_WORDS] if reason.counted >= least]
    carried = f"{', '.join(before)} and {last}" if before else last
    return f"{carried}; against it {found[-1]}" if found[-1].counted <= -least else carried


def _piece(
    prediction: Prediction, metadata: Metadata, token: int, label: int, t: float, length: float, still: bool
) -> Piece:
    codes = tuple(int(code) for code in prediction.codes[token])
    names = tuple(metadata.code_names[code] for code in codes)
    probabilities = prediction.sub_actions[token]
    backed = backed_sub_action(probabilities, names, metadata.sub_actions)
    sub_action, p = (None, None) if backed is None else (metadata.sub_actions[backed], float(probabilities[backed]))
    return Piece(
        t=t,
        length=length,
        codes=codes,
        code_names=names,
        sub_action=sub_action,
        p=p,
        contribution=float(prediction.contributions[token, label]),
        still=still,
        view=metadata.code_views[codes[0]],
    )
