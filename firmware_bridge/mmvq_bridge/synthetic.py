"""Movement of nobody, endless and repeatable, to try a line without a wearable or a recording.

    acceleration = gravity, turned with the wrist, + sums of sines + noise of the sensor

    bout, 15 to 40 s, in turn     what moves
    rest                          nothing
    walking                       steps at 1.8 to 2 Hz with two harmonics, the arm swings at half of that
    hand activity                 five sines of .3 to 4 Hz, each in a direction of its own; the forearm turns slowly
    jogging                       as walking, at 2.5 to 2.9 Hz and four times as strong

No person moves so. The names say what the sines imitate from afar; they are no labels, a score against them would mean
nothing, and so does whatever a model makes of them. Sizes of amplitudes are of the order seen at a wrist, no more.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.device import Block

BOUT_S: Final = (15.0, 40.0)  # all four kinds come within three minutes, each longer than a window
TURN_S: Final = 1.0  # how long the wrist takes to its next posture
TURN: Final = 0.8  # how far away that is, as a standard deviation of each axis, in g
NOISE_G: Final = 0.004  # of each axis: a small MEMS accelerometer at 100 Hz
HARMONICS: Final = (1.0, 0.4, 0.2)  # of a step, relative to the first
SINES: Final = 5  # of a hand activity
MOTION_STREAM: Final = 4  # of random numbers: other ones than those of faults with the same seed

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Kind:
    """A bout: `strength` in g of the first sine, of `hz` drawn between two; the forearm turns by `tilt` rad at swing_hz
    (None: at half the frequency of steps)."""

    strength: float
    hz: tuple[float, float]
    tilt: float
    swing_hz: float | None = None


_REST: Final = _Kind(0.0, (1.0, 1.0), 0.0)
_HAND: Final = _Kind(0.08, (0.3, 4.0), 0.4, swing_hz=0.15)
_KINDS: Final = (_REST, _Kind(0.25, (1.8, 2.0), 0.3), _HAND, _Kind(1.0, (2.5, 2.9), 0.3))


def motion(seconds: float, rate_hz: float, seed: int) -> Iterator[Block]:
    """`seconds` (math.inf for ever) of movement, a bout at a time: t (n,) in s, and xyz (n, 3) in g, within ±5 g.

    At least one sample; sample i lies at i / rate_hz. With the same rate and seed, a longer movement begins as a
    shorter one does.
    """
    left: float = seconds if seconds == math.inf else max(1, round(seconds * rate_hz))
    first = number = 0
    down = np.array([0.0, 0.0, 1.0])
    while left > 0:
        rng = np.random.default_rng([seed, MOTION_STREAM, number])
        n = round(rng.uniform(*BOUT_S) * rate_hz)
        xyz, down = _bout(_KINDS[number % len(_KINDS)], np.arange(n) / rate_hz, down, rng)
        n = int(min(n, left))
        yield np.arange(first, first + n) / rate_hz, xyz[:n]
        first, number, left = first + n, number + 1, left - n


def _bout(kind: _Kind, s: Floats, before: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A bout's samples at `s` seconds from its start; gravity points to `before` at first, and at last as returned."""
    after = _unit(before + rng.normal(0, TURN, 3))
    turned = _ease(s / TURN_S)
    down = _unit((1 - turned) * before + turned * after)
    # Movement grows after the turn's start and fades before the next one, so that nothing jumps.
    share = turned * _ease((s[-1] - s) / TURN_S)
    across = _unit(np.cross(after, rng.normal(size=3)).astype(np.float64))
    hz = rng.uniform(*kind.hz)
    swing = share * np.sin(2 * np.pi * (kind.swing_hz or hz / 2) * s)[:, None]
    xyz = _unit(down + np.tan(kind.tilt) * swing * across)
    if kind is _HAND:
        for _ in range(SINES):
            direction = _unit(rng.normal(size=3))
            xyz += share * kind.strength * _sine(rng.uniform(*kind.hz), s, rng) * direction
    else:
        for k, height in enumerate(HARMONICS, 1):
            xyz += share * kind.strength * height * _sine(k * hz, s, rng) * down
        xyz += kind.strength / 2 * swing * across
    return xyz + rng.normal(0, NOISE_G, xyz.shape), after


def _ease(share: Floats) -> Floats:
    """From 0 to 1 without a kink, as a column."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(share, 0, 1))[:, None]


def _sine(hz: float, s: Floats, rng: np.random.Generator) -> Floats:
    return np.sin(2 * np.pi * (hz * s + rng.random()))[:, None]


def _unit(vectors: Floats) -> Floats:
    """Vectors of length 1, along the last axis."""
    lengths: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths
