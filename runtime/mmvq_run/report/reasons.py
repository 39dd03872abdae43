"""What the windows of an activity say for it, gathered while they pass: sums, never words of our own. Pure.

Each window tells pieces of signal with what they add to its label's score. Pieces are added up by their words (or by
their codes, where those have no tested name) over the windows that say the activity. Overlapping windows hold the same
piece, and each counts it; so a page divides sums by the number of windows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mmvq_run.report.told import Window

MOST: Final = 8  # reasons of an episode on the page,
WORTH_TELLING: Final = 0.05  # if they come to this much of the strongest
KINDS: Final = 4000  # of reasons kept while they are gathered: unnamed codes may be of so many kinds, and more
SHOWN_FOR, SHOWN_AGAINST = 5, 2  # pieces of a window that are kept: those that counted most either way
PER_MILLE: Final = 1000  # confidences are kept as whole ones: a page shows per cent


@dataclass(frozen=True, slots=True)
class Reason:
    """total: what pieces of these words added to the label's scores, over all windows; windows: in how many."""

    what: str
    total: float
    windows: int


@dataclass(frozen=True, slots=True)
class Episode:
    """An activity, as it was decided, or (label None) a stretch of windows that were all unknown.

    begin, end: seconds of its stream. decided: when it was known to have begun; None for a stretch, and where that line
    is missing. over: whether its end is in the file. windows: how many passed meanwhile; saying: how many said the
    label. confidence: the least, the median, the largest, 0 to 1. reasons: largest first, then those against; others:
    the sum of all that are not among them, and how many kinds these are. labels: what a stretch's windows were most
    like. surest, weakest: windows that say it.
    """

    stream: int
    label: str | None
    begin: float
    end: float
    decided: float | None
    over: bool
    windows: int
    saying: int
    confidence: tuple[float, float, float]
    reasons: tuple[Reason, ...]
    others: float
    other_kinds: int
    labels: tuple[tuple[str, int], ...]
    surest: Window | None
    weakest: Window | None

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.begin


class Confidences:
    """How sure windows were, kept to a tenth of a per cent."""

    def __init__(self) -> None:
        self._count: Counter[int] = Counter()

    def add(self, confidence: float) -> None:
        """Count a window's, 0 to 1."""
        self._count[round(confidence * PER_MILLE)] += 1

    def spread(self) -> tuple[float, float, float]:
        """The least, the median, the largest; zeros where there was none."""
        half, passed = self._count.total() / 2, 0
        for value in sorted(self._count):
            passed += self._count[value]
            if passed >= half:
                return min(self._count) / PER_MILLE, value / PER_MILLE, max(self._count) / PER_MILLE
        return 0.0, 0.0, 0.0


class Gathering:
    """An episode that goes on. label None: of unknown windows."""

    def __init__(self, label: str | None) -> None:
        self.label = label
        self._windows = 0
        self._confidences = Confidences()
        self._labels: Counter[str] = Counter()
        self._sums: dict[str, tuple[float, int]] = {}
        self._folded, self._folded_kinds = 0.0, 0
        self._surest: Window | None = None
        self._weakest: Window | None = None

    def add(self, window: Window) -> None:
        """A window passed."""
        self._windows += 1
        says = window.unknown if self.label is None else window.label == self.label and not window.unknown
        if not says:
            return
        self._labels[window.label] += 1
        self._confidences.add(window.confidence)
        if self._surest is None or window.confidence > self._surest.confidence:
            self._surest = _brief(window)
        if self._weakest is None or window.confidence < self._weakest.confidence:
            self._weakest = _brief(window)
        if self.label is not None:
            self._add_up(window)

    def episode(self, stream: int, begin: float, end: float, decided: float | None, over: bool) -> Episode:
        """What it came to."""
        every = [Reason(what, *sums) for what, sums in self._sums.items()]
        shown = _loudest(every)
        rest = sum(reason.total for reason in every) - sum(reason.total for reason in shown)
        return Episode(
            stream=stream,
            label=self.label,
            begin=begin,
            end=max(begin, end),
            decided=decided,
            over=over,
            windows=self._windows,
            saying=self._labels.total(),
            confidence=self._confidences.spread(),
            reasons=tuple(shown),
            others=rest + self._folded,
            other_kinds=len(every) - len(shown) + self._folded_kinds,
            labels=tuple(self._labels.most_common(3)),
            surest=self._surest,
            weakest=self._weakest,
        )

    def _add_up(self, window: Window) -> None:
        here: dict[str, float] = {}
        for piece in window.because:
            here[piece.what] = here.get(piece.what, 0.0) + piece.contribution
        for what, total in here.items():
            before, windows = self._sums.get(what, (0.0, 0))
            self._sums[what] = before + total, windows + 1
        if len(self._sums) > KINDS:
            # The smaller half goes into the sum of the others: memory stays bounded, and what is large stays told.
            by_size = sorted(self._sums.items(), key=lambda entry: -abs(entry[1][0]))
            self._sums = dict(by_size[: KINDS // 2])
            self._folded += sum(total for _, (total, _) in by_size[KINDS // 2 :])
            self._folded_kinds += len(by_size) - KINDS // 2


def gathered(label: str | None, windows: Iterable[Window]) -> Gathering:
    """A gathering that begins with these windows."""
    gathering = Gathering(label)
    for window in windows:
        gathering.add(window)
    return gathering


def _loudest(reasons: Sequence[Reason]) -> list[Reason]:
    """Those that a page shows: what adds most first, what speaks loudest against it last."""
    most = max((abs(reason.total) for reason in reasons), default=0.0)
    loud = sorted((one for one in reasons if abs(one.total) >= WORTH_TELLING * most), key=lambda one: -one.total)
    against = [reason for reason in loud[MOST - SHOWN_AGAINST :] if reason.total < 0][-SHOWN_AGAINST:]
    return loud if len(loud) <= MOST else loud[: MOST - len(against)] + against


def _brief(window: Window) -> Window:
    """A window with as many pieces as a page shows: those that counted most, and those that spoke loudest against."""
    by_size = sorted(window.because, key=lambda piece: -piece.contribution)
    against = [piece for piece in by_size[SHOWN_FOR:] if piece.contribution < 0][-SHOWN_AGAINST:]
    return replace(window, because=tuple(by_size[:SHOWN_FOR] + against))
