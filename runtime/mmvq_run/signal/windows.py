"""Grid samples to windows. A window starts at a multiple of the hop in stream time, also after a gap; one that a cut
touches does not exist (DESIGN 3.1)."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.recordings import Recording
from mmvq_run.signal.resample import GridSamples, Resampler

LABEL_SHARE: Final = 0.6  # of a window's samples must agree on one label for the window to be trained on
# Deviations below this, in g, are sensor noise: 2 % of gravity, a few counts of a ±2 g 8 bit part.
QUIET_G: Final = 0.02


@dataclass(frozen=True)
class Window:
    """`xyz` float32 (window, 3) in g; `start` and `end` in seconds of stream time; `patched` the share of samples
    that were interpolated over a gap."""

    start: float
    end: float
    xyz: npt.NDArray[np.float32]
    patched: float


class Windower:
    """A stream of grid samples -> windows of `window` samples, every `hop_s` seconds."""

    def __init__(self, rate_hz: float, window: int, hop_s: float) -> None:
        self.rate_hz = rate_hz
        self.window = window
        self.hop_s = hop_s
        self._first = 0
        self._xyz = np.empty((0, 3), dtype=np.float32)
        self._patched = np.empty(0, dtype=bool)
        self._number = 0

    def push(self, samples: GridSamples) -> list[Window]:
        """Take grid samples; return the windows that they complete."""
        if samples.fresh:
            self._first = samples.first
            self._xyz, self._patched = samples.xyz, samples.patched
        else:
            self._xyz = np.concatenate([self._xyz, samples.xyz])
            self._patched = np.concatenate([self._patched, samples.patched])
        earliest = math.floor((self._first - 1) / self.rate_hz / self.hop_s)
        self._number = max(self._number, earliest)
        while self._begin(self._number) < self._first:
            self._number += 1
        out = []
        end = self._first + len(self._xyz)
        while (begin := self._begin(self._number)) + self.window <= end:
            part = slice(begin - self._first, begin - self._first + self.window)
            start = begin / self.rate_hz
            out.append(
                Window(
                    start,
                    start + self.window / self.rate_hz,
                    self._xyz[part].copy(),
                    float(self._patched[part].mean()),
                )
            )
            self._number += 1
        done = min(max(0, self._begin(self._number) - self._first), len(self._xyz))
        self._first += done
        self._xyz, self._patched = self._xyz[done:], self._patched[done:]
        return out

    def _begin(self, number: int) -> int:
        return round(number * self.hop_s * self.rate_hz)


def cut_recording(
    recording: Recording, source_hz: float, rate_hz: float, window: int, hop_s: float
) -> tuple[list[Window], npt.NDArray[np.int32]]:
    """A recording's windows as the live runtime would cut them, and the label index of each.

    The label is the majority's, or -1 where fewer than 60 % of the window's samples agree on one.
    """
    t = recording.t - recording.t[0]
    resampler = Resampler(source_hz, rate_hz)
    windower = Windower(rate_hz, window, hop_s)
    pieces = resampler.push(t, recording.xyz) + resampler.flush()
    windows = [found for piece in pieces for found in windower.push(piece)]
    labels = [
        _majority(recording.label[np.searchsorted(t, w.start) : np.searchsorted(t, w.end)]) for w in windows
    ]
    return windows, np.array(labels, dtype=np.int32)


def _majority(labels: npt.NDArray[np.int32]) -> int:
    if len(labels) == 0:
        return -1
    counts = np.bincount(labels + 1)
    best = int(counts.argmax())
    return best - 1 if counts[best] >= LABEL_SHARE * len(labels) else -1
