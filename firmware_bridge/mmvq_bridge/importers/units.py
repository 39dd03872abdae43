"""Units that a file does not name: of acceleration, and of time. Pure."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import LIMIT_G, STANDARD_GRAVITY, Floats, counts_per_g

MOST_G: Final = 4.0  # of a wearer's median, which is near 1 g however much is shaken: with more, units are wrong
AUTO_MS2: Final = (MOST_G, 40.0)  # a median that is m/s²: over .4 g, under 4 g. Beyond it is counts
WEIGHTLESS_G: Final = 0.5  # of a median: below it, gravity was taken out, or this is a gyroscope
SECONDS: Final = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
LIKELY_HZ: Final = (1.0, 1000.0)  # a factor of 1000, so that one of those units fits, and no other


def in_g(values: Floats, units: str, path: Path | str, place: Callable[[int], str]) -> tuple[Floats, list[str]]:
    """values (n, 3), n at least 1, as g, and what is to be said about it.

    units: "g", "ms2", "counts:N", or "auto", which takes a median of 4 to 40 for m/s². place: where row i of `values`
    stands in the file, such as "line 12". BadInput for a value that is not finite or over 32 g, and a median over 4 g.
    """
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise BadInput(f"{path}: {place(int(bad[0]))}: {_shown(values[bad[0]])} is not finite; leave lost samples out")
    with np.errstate(over="ignore"):  # what is so large is refused below
        median = float(np.median(np.linalg.norm(values, axis=1)))
        told = units == "auto" and AUTO_MS2[0] < median <= AUTO_MS2[1]
        units = "ms2" if told else units
        one_g = {"g": 1.0, "auto": 1.0, "ms2": STANDARD_GRAVITY}.get(units) or counts_per_g(units)
        values = values / one_g
    over = np.flatnonzero((np.abs(values) > LIMIT_G).any(axis=1))
    if len(over):
        raise BadInput(
            f"{path}: {place(int(over[0]))}: {_shown(values[over[0]])} g, with a median of {median / one_g:.4g} g, is "
            f"over {LIMIT_G:g} g; damaged, or other units: say --units ms2, or counts:N (counts a g)"
        )
    if median / one_g > MOST_G:
        raise BadInput(
            f"{path}: a median of {median / one_g:.4g} g is no wearer's; other units: say --units ms2, or counts:N "
            "(counts a g)"
        )
    notices = [f"{path}: the median acceleration is {median:.2f}: taken for m/s² and divided by 9.80665"] * told
    if median / one_g < WEIGHTLESS_G:
        notices.append(
            f"{path}: the median acceleration is {median / one_g:.2g} g: there is no gravity in it, which tells how a "
            "wrist is held (a gyroscope's file? linear acceleration? other --units?)"
        )
    return values, notices


def seconds_per_tick(t: Floats, path: Path | str) -> tuple[float, str]:
    """Which of s, ms, µs and ns times (n,) are in: the one that makes a rate of 1 to 1000 Hz. BadInput if none does."""
    steps = np.diff(t)
    steps = steps[steps > 0]
    if len(steps) == 0:
        raise BadInput(f"{path}: time never moves, so there is no rate; a row is a sample with its time")
    step = float(np.median(steps))
    for unit, seconds in SECONDS.items():
        if LIKELY_HZ[0] <= 1 / (step * seconds) < LIKELY_HZ[1]:
            return seconds, unit
    raise BadInput(f"{path}: time moves by {step:g} a row, which makes no rate of 1 to 1000 Hz in s, ms, µs or ns")


def _shown(sample: Floats) -> str:
    return ", ".join(f"{value:.4g}" for value in sample)
