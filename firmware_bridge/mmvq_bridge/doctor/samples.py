"""What the numbers of the samples give away: axes that are dead or the same, byte order, resolution, peaks cut off."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.doctor.heard import Heard
from mmvq_bridge.findings import Finding, counted, fault, fine, share, warning
from mmvq_bridge.frames import FLAG_SATURATED

LEAST: Final = 40  # samples to judge by: two seconds at the model's rate
FINE_STEP_G: Final = 0.002  # a step below the noise of any sensor, so that no axis of it is ever still
COARSE_G: Final = 0.01  # 8 bits over ±2 g are steps of 16 mg; ten bits are fine enough
MOVED_G: Final = 0.1  # an axis that stands still while another spans so much is dead
SMOOTHER: Final = 4.0  # times, by which samples have to be when their bytes are swapped; wrong order makes 10 to 256
FULL_SCALE: Final = 32767
PLATEAU: Final = 3  # equal samples in a row at an axis's extreme, and
PLATEAUS: Final = 2  # so many times, and
PEAK: Final = 1.5  # times the usual length, so far out: gravity alone does not get there
REPEATED: Final = 0.3  # share of samples equal to the one before in all axes; noise makes a few in a thousand

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Samples as they came: values (n, 3), counts or what lines say; per_g: how many of them a g is told to be, 0 where
    nothing tells; counts: whether they are int16; flagged: how many frames carry the saturation flag."""

    values: Floats
    per_g: float
    rate_hz: float
    counts: bool
    flagged: int = 0

    @property
    def at_end(self) -> npt.NDArray[np.bool_]:
        """Which samples have an axis at the end of int16, (n,)."""
        ends = np.abs(self.values) >= (FULL_SCALE if self.counts else np.inf)
        return np.any(ends, axis=1)

    @cached_property
    def g(self) -> float:
        """What one g is in values: as HELLO tells, else the usual length, which it is unless the device moves much."""
        return self.per_g if self.counts and self.per_g else self.usual or 1.0

    @cached_property
    def usual(self) -> float:
        """The usual length of a sample."""
        return float(np.median(np.linalg.norm(self.values, axis=1)))

    @cached_property
    def step(self) -> float:
        """The smallest step of values: their common divisor, if they are whole numbers."""
        steps = np.diff(self.values, axis=0)
        steps = np.abs(steps[steps != 0])
        if not len(steps):
            return 0.0
        if (self.values == np.rint(self.values)).all() and steps.max() < 2**53:
            return float(np.gcd.reduce(steps.astype(np.int64)))
        levels = np.concatenate([np.diff(np.unique(axis)) for axis in self.values.T])
        return float(levels[levels > 1e-9 * steps.max()].min())  # less is the rounding of decimals


def measured(heard: Heard, rate_hz: float) -> Measured:
    """All samples of a listening. rate_hz: as told, or as found."""
    if heard.lines is not None:
        xyz = heard.lines.xyz
        return Measured(xyz[np.isfinite(xyz).all(axis=1)], 1.0, rate_hz, False)
    values = np.concatenate([np.zeros((0, 3)), *(_in_order(heard))])
    flagged = sum(int((stretch.flags & FLAG_SATURATED != 0).sum()) for stretch in heard.stretches)
    return Measured(values, float(heard.hello.counts_per_g) if heard.hello else 0.0, rate_hz, True, flagged)


def samples(of: Measured) -> list[Finding]:
    """What at least LEAST of them give away, whatever the device did meanwhile."""
    return [*_dead(of), *_equal(of), *_repeated(of), *_resolution(of), *_clipping(of)]


def byte_order(of: Measured) -> list[Finding]:
    """Whether samples make more sense with their bytes swapped: then nothing else can be said of them."""
    if not of.counts:
        return []
    shift = 2 ** int(np.log2(np.gcd(int(of.step), 2**15))) if of.step >= 1 else 1  # of samples that stand at the left
    heard = np.abs(np.diff(of.values, axis=0)).mean() / shift
    swapped = np.abs(np.diff(of.values.astype(np.int16).byteswap().astype(np.float64), axis=0)).mean()
    if heard <= SMOOTHER * swapped or heard == 0:
        return []
    says = f"samples jump by {heard * shift:,.0f} counts, with their bytes swapped by {swapped:,.0f}: wrong byte order"
    return [fault("byte_order", says, "send the low byte first; sensors may have it the other way round")]


def dead_axes(of: Measured) -> list[int]:
    """Axes that never change, but for those that stand at the end of the range."""
    if not len(of.values):
        return []
    stuck = (np.ptp(of.values, axis=0) == 0) & ~(of.counts & (np.abs(of.values[0]) >= FULL_SCALE))
    return [int(axis) for axis in np.flatnonzero(stuck)]


def equal_axes(of: Measured) -> list[tuple[int, int, int]]:
    """Pairs of axes that change, and are the same (1) or the opposite of each other (-1)."""
    dead = dead_axes(of)
    return [
        (one, other, sign)
        for one, other in ((0, 1), (0, 2), (1, 2))
        for sign in (1, -1)
        if not {one, other} & set(dead) and np.array_equal(of.values[:, one], sign * of.values[:, other])
    ]


def _in_order(heard: Heard) -> list[Floats]:
    pieces = []
    for stretch in heard.stretches:
        frames = np.split(stretch.samples.astype(np.float64), np.cumsum(stretch.size)[:-1])
        pieces += [frames[at] for at in np.unique(stretch.seq, return_index=True)[1]]
    return pieces


def _dead(of: Measured) -> list[Finding]:
    dead = dead_axes(of)
    if not dead:
        return []
    names = " and ".join("xyz"[axis] for axis in dead)
    level = ", ".join(f"{of.values[0, axis]:g}" for axis in dead)
    says = f"{names} never changed in {counted(len(of.values), 'sample')}: always {level}"
    moved = np.ptp(of.values, axis=0).max() >= MOVED_G * of.g
    step_g = (of.step or float(of.counts)) / of.g
    if moved or step_g <= FINE_STEP_G:
        do = "check register addresses, the sensor's axis enable bits, and which bytes go where in a sample"
        return [fault("dead", says, do)]
    do = f"move the device while it is checked: with steps of {1000 * step_g:.0f} mg an axis at rest may stand still"
    return [warning("dead", says, do)]


def _equal(of: Measured) -> list[Finding]:
    pairs = equal_axes(of)
    if not pairs:
        return []
    how = {1: "the same as", -1: "the opposite of"}
    said = " and ".join(f"{'xyz'[one]} is {how[sign]} {'xyz'[other]}" for one, other, sign in pairs)
    says = f"{said} in all {counted(len(of.values), 'sample')}"
    return [fault("equal", says, "the same register is read twice, or one variable is sent twice")]


def _repeated(of: Measured) -> list[Finding]:
    again = int((np.diff(of.values, axis=0) == 0).all(axis=1).sum())
    if of.step > FINE_STEP_G * of.g or len(dead_axes(of)) == 3 or again <= REPEATED * len(of.values):
        return []
    says = f"{share(again, len(of.values))} of samples are the same as the one before: read faster than it measures"
    do = "set the sensor's output rate to what HELLO says, and read on data-ready"
    return [warning("repeated", says, do)]


def _resolution(of: Measured) -> list[Finding]:
    if not of.step:
        return []
    step_g = of.step / of.g
    says = f"smallest step {1000 * step_g:.3g} mg"
    if of.counts:
        bits = 16 - int(np.log2(of.step))
        says = f"smallest step {counted(int(of.step), 'count')}, {1000 * step_g:.3g} mg"
        says += f": {bits} bits in words of 16" if of.step > 1 else ""
    if step_g > COARSE_G:
        do = "take the sensor's high-resolution mode and send all bits: rest and slow movement need them"
        return [warning("resolution", says, do)]
    return [fine("resolution", says)]


def _clipping(of: Measured) -> list[Finding]:
    """At the end of int16, or on a plateau that several peaks share."""
    levels = [level for axis in of.values.T for level in _plateaus(axis) if abs(level) >= PEAK * of.usual]
    cut = int((of.at_end | np.isin(of.values, levels).any(axis=1)).sum())
    if not cut and not of.flagged:
        return [fine("clipping", "no peak is cut off at the end of the range")]
    at = f" at ±{max(map(abs, levels), default=FULL_SCALE) / of.g:.3g} g"
    says = f"{share(cut, len(of.values))} of samples are cut off{at}; {counted(of.flagged, 'frame')} flagged for it"
    do = "set a larger range (wrists reach 8 g)"
    if cut and of.counts and not of.flagged:
        do += ", and set flag 2 in frames that reach its end"
    return [warning("clipping", says, do)]


def _plateaus(axis: Floats) -> list[float]:
    """An axis's extremes that it holds for some samples, several times."""
    levels = []
    for level in (axis.min(), axis.max()):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], axis == level, [False]])))
        lengths = edges[1::2] - edges[::2]
        if (lengths >= PLATEAU).sum() >= PLATEAUS:
            levels.append(float(level))
    return levels
