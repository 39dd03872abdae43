"""Time by label, and how much was seen, unknown, not worn and missing. Pure.

Whether a device is worn is known only later, so its windows are told all the same: time in which it was not worn is
taken out of every label's here, once all is known.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmvq_run.report.columns import Floats
from mmvq_run.report.stream import NOT_WORN, UNKNOWN, Day, Marks, Stream


@dataclass(frozen=True)
class Label:
    """A label's windows while the device was worn: seconds, bouts, median confidence (None without a window); decided:
    how often the runtime said that the activity began or ended. name None: unknown."""

    name: str | None
    kind: int
    seconds: float
    bouts: int
    confidence: float | None
    decided: int


@dataclass(frozen=True)
class Totals:
    """Seconds: whole, of streams from begin to end; seen, in some window; not_worn, of the seen; unknown, of those seen
    and worn; gaps, of lost samples. labels: by time, longest first, the unknown after them."""

    whole: float
    seen: float
    not_worn: float
    unknown: float
    gaps: float
    windows: int
    labels: tuple[Label, ...]

    @property
    def unseen(self) -> float:
        """Seconds that no window saw."""
        return max(0.0, self.whole - self.seen)

    @property
    def worn(self) -> float:
        """Seconds seen while the device was worn."""
        return self.seen - self.not_worn


def totals(day: Day, streams: Iterable[Stream]) -> Totals:
    """Of some of the day's streams."""
    names: list[str | None] = [*day.labels, None]  # the last for UNKNOWN, which is -1
    seconds, bouts = np.zeros(len(names)), np.zeros(len(names), dtype=int)
    decided = np.zeros(len(names), dtype=int)
    whole = seen = gaps = 0.0
    kinds, confidences = [np.empty(0, dtype=int)], [np.empty(0)]
    for stream in streams:
        begins, ends, kind = arrays(stream.bouts)
        worn = ends - begins - overlap(begins, ends, *unworn(stream))
        np.add.at(seconds, kind, worn)
        np.add.at(bouts, kind, worn > 0)
        np.add.at(decided, arrays(stream.decided)[2], 1)
        middles, _, kind = arrays(stream.windows)
        worn_then = ~covered(middles, *unworn(stream))
        kinds.append(kind[worn_then])
        confidences.append(np.asarray(stream.confidences, dtype=float)[worn_then])
        whole += stream.until
        seen += float((ends - begins).sum())
        gaps += sum(lost.seconds for lost in stream.lost.values())
    kind, sure = np.concatenate(kinds), np.concatenate(confidences)
    order = np.argsort(kind, kind="stable")
    kind, sure = kind[order], sure[order]
    labels = []
    for place, name in enumerate(names):
        of = UNKNOWN if name is None else place
        some = sure[np.searchsorted(kind, of, side="left") : np.searchsorted(kind, of, side="right")]
        median = float(np.median(some)) if len(some) else None
        labels.append(Label(name, of, float(seconds[place]), int(bouts[place]), median, int(decided[place])))
    *known, unknown = labels
    known.sort(key=lambda label: -label.seconds)
    return Totals(
        whole=whole,
        seen=seen,
        not_worn=max(0.0, seen - float(seconds.sum())),
        unknown=unknown.seconds,
        gaps=gaps,
        windows=sum(len(stream.windows) for stream in streams),
        labels=(*known, unknown),
    )


def unsure(stream: Stream, begin: float, end: float) -> tuple[float, float]:
    """How many seconds of a time no window saw, and in how many the device was not worn."""
    begins, ends = np.array([begin]), np.array([end])
    seen = overlap(begins, ends, *arrays(stream.bouts)[:2])[0]
    return max(0.0, end - begin - float(seen)), float(overlap(begins, ends, *unworn(stream))[0])


def unworn(stream: Stream) -> tuple[Floats, Floats]:
    """When the device was not worn: begins and ends (m,), in order and apart."""
    begins, ends, kinds = arrays(stream.states)
    order = np.argsort(begins[kinds == NOT_WORN], kind="stable")
    begins, ends = begins[kinds == NOT_WORN][order], np.maximum.accumulate(ends[kinds == NOT_WORN][order])
    begins[1:] = np.maximum(begins[1:], ends[:-1])
    return begins, ends


def overlap(begins: Floats, ends: Floats, froms: Floats, tos: Floats) -> Floats:
    """How many seconds of each stretch (n,) lie in the others (m,), which are in order and apart."""
    if len(froms) == 0:
        return np.zeros(len(begins))
    passed = np.concatenate([[0.0], np.cumsum(tos - froms)])

    def before(t: Floats) -> Floats:
        """Seconds of the others up to t."""
        last = np.searchsorted(froms, t, side="right") - 1
        return np.where(last >= 0, passed[last] + np.minimum(t, tos[last]) - froms[last], 0.0)

    return before(ends) - before(begins)


def covered(t: Floats, froms: Floats, tos: Floats) -> npt.NDArray[np.bool_]:
    """Which moments (n,) lie in one of the stretches (m,), which are in order and apart."""
    if len(froms) == 0:
        return np.zeros(len(t), dtype=bool)
    last = np.searchsorted(froms, t, side="right") - 1
    return np.asarray((last >= 0) & (t < tos[last]))


def arrays(marks: Marks) -> tuple[Floats, Floats, npt.NDArray[np.int_]]:
    """Begins, ends and kinds (n,)."""
    return (
        np.array(marks.begins, dtype=float),
        np.array(marks.ends, dtype=float),
        np.array(marks.kinds, dtype=int),
    )
