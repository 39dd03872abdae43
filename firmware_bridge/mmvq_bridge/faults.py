"""What goes wrong between a simulated device and its host, repeatably: in the device, on the line, at the plug.

    SimulatedDevice ──────► FaultyLine ──────────► plug ─────────► host
    overrun, scale, clock   drop, corrupt, bytes   unplug, replug
    reset, drift            reorder, jitter

Device time is what the device's oscillator counts from its first boot; sampling, clock and the seconds of faults all go
by it. True time is the host's: device time / (1 + drift). A device with drift sends the same bytes at other moments.
Everything here is pure: `hear` plays an hour in a second, and `Connection` is what link.py plays in real time.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.device import Block, SimulatedDevice

WRAP_S: Final = 2**32 / 1e6  # of the device's clock
BYTES_STREAM, TIMING_STREAM = 1, 2  # of random numbers, so that one kind of fault does not move the places of another


@dataclass(frozen=True)
class Faults:
    """What `KINDS` says, in the units of the names; shares have none."""

    drop: float = 0.0
    corrupt: float = 0.0
    unplug_s: float = math.inf
    replug_s: float = math.inf
    wrong_bytes: float = 0.0
    reorder: float = 0.0
    jitter_ms: float = 0.0
    drift_ppm: float = 0.0
    clock_s: float = 0.0
    reset_s: float = math.inf
    overrun: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class _Kind:
    """A fault as a word: KIND=X with X from low to high sets a field of `Faults`."""

    field: str
    low: float
    high: float
    example: str
    meaning: str


_KINDS: Final = {
    "drop": _Kind("drop", 0, 1, "0.01", "share of frames that never arrive, 0 to 1"),
    "corrupt": _Kind("corrupt", 0, 1, "0.01", "share of frames with one flipped bit, 0 to 1"),
    "bytes": _Kind("wrong_bytes", 0, 1, "0.0001", "share of bytes that arrive as other ones, 0 to 1"),
    "reorder": _Kind("reorder", 0, 1, "0.01", "share of frames that change places with the next one, 0 to 1"),
    "jitter": _Kind("jitter_ms", 0, 10_000, "20", "most milliseconds that a frame comes late, in order; 0 to 10000"),
    "drift": _Kind(
        "drift_ppm", -100_000, 100_000, "50", "parts per million that the device's clock is fast; below 0 slow"
    ),
    "clock": _Kind("clock_s", 0, WRAP_S, "4290", "seconds that the device's clock shows at boot; wraps at 4294.967"),
    "reset": _Kind("reset_s", 0, math.inf, "60", "second of device time at which it restarts once; the port stays"),
    "overrun": _Kind("overrun", 0, 1, "0.01", "share of frames whose samples the device itself loses, 0 to 1"),
    "scale": _Kind("scale", 0.001, 1000, "4", "factor of all samples, unknown to HELLO (cut off at the range: 8 g)"),
    "unplug": _Kind("unplug_s", 0, math.inf, "60", "second of device time at which the port vanishes"),
    "replug": _Kind(
        "replug_s", 0, math.inf, "5", "seconds until it is back and the device boots, to be unplugged again"
    ),
}
KINDS: Final = {name: kind.meaning for name, kind in _KINDS.items()}


@dataclass(frozen=True)
class Heard:
    """Of the frame that was `sent`, a host hears `wire` at true time `at_s`: the same, other bytes, or none."""

    at_s: float
    wire: bytes
    sent: bytes


@dataclass(frozen=True)
class Unplugged:
    """The port vanishes at true time `at_s`, and the device is off."""

    at_s: float


@dataclass(frozen=True)
class PluggedIn:
    """The port is back at true time `at_s`, and the device boots."""

    at_s: float


Happening = Heard | Unplugged | PluggedIn


class FaultyLine:
    """Carries a device's frames and hurts some. The same seed and frames give the same bytes.

    dropped, corrupted, swapped: how many frames met that fate; wrong_bytes: how many bytes did.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self.dropped = self.corrupted = self.swapped = self.wrong_bytes = 0
        self._rng = np.random.default_rng(seed)
        self._bytes = np.random.default_rng([seed, BYTES_STREAM])
        self._timing = np.random.default_rng([seed, TIMING_STREAM])
        self._held: Heard | None = None  # waits for the next frame, to come after it
        self._last_s = 0.0

    def carry(self, frame: bytes) -> bytes:
        """What arrives of one frame: nothing, the frame with bits or bytes changed (its closing 00 too), or all."""
        # Three draws for every frame, so that one kind of fault does not move the places of another.
        drop, corrupt, where = self._rng.random(3)
        hurt = bytearray(frame)
        wrong = np.flatnonzero(self._bytes.random(len(frame)) < self.faults.wrong_bytes)
        for at in wrong:
            hurt[at] ^= int(self._bytes.integers(1, 256))
        if drop < self.faults.drop:
            self.dropped += 1
            return b""
        self.wrong_bytes += len(wrong)
        if corrupt < self.faults.corrupt:
            self.corrupted += 1
            byte, bit = divmod(int(where * 8 * len(frame)), 8)
            hurt[byte] ^= 1 << bit
        return bytes(hurt)

    def send(self, frame: bytes, at_s: float) -> list[Heard]:
        """What is heard of a frame that leaves at true time `at_s`, and of one kept back; or nothing yet."""
        late, swap = self._timing.random(2)
        # A serial line does not overtake: what comes after a late frame is no earlier.
        self._last_s = max(self._last_s, at_s + late * self.faults.jitter_ms / 1000)
        heard = Heard(self._last_s, self.carry(frame), frame)
        if self._held is not None:
            return [heard, *self.flush()]
        if swap < self.faults.reorder:
            self.swapped += 1
            self._held = heard
            return []
        return [heard]

    def flush(self) -> list[Heard]:
        """The frame that was kept back, if there is one: no other will come, or has come just now."""
        held, self._held = self._held, None
        return [replace(held, at_s=self._last_s)] if held is not None else []


class Connection:
    """A device at a host's port through a faulty line. Whoever holds it says what true time it is.

    unplugs: how often the plug came out.
    """

    def __init__(self, device: SimulatedDevice, line: FaultyLine) -> None:
        self.unplugs = 0
        self._device, self._line, self._faults = device, line, line.faults
        self._pace = 1 + self._faults.drift_ppm / 1e6  # device seconds in a true second
        # In device time:
        self._reset_s, self._unplug_s = self._faults.reset_s, self._faults.unplug_s
        self._plug_s: float | None = None  # while the plug is out: when it goes in again
        self._coming: deque[Happening] = deque()

    @property
    def next_due_s(self) -> float | None:
        """True time at which something happens next; None when nothing will."""
        due = [self._coming[0].at_s] if self._coming else []
        step_s = self._next_step_s()
        if step_s < math.inf:
            due.append(step_s / self._pace)
        return min(due, default=None)

    def until(self, t_s: float) -> list[Happening]:
        """What happens up to true time `t_s` and was not given yet, in order."""
        while (step_s := self._next_step_s()) < math.inf and step_s / self._pace <= t_s:
            self._step(step_s)
        given: list[Happening] = []
        while self._coming and self._coming[0].at_s <= t_s:
            given.append(self._coming.popleft())
        return given

    def receive(self, data: bytes, t_s: float) -> list[Heard]:
        """Answers to what the host sent, at true time `t_s`. No fault hurts them; an unplugged device gives none."""
        if self._plug_s is not None:
            return []
        return [Heard(t_s, frame, frame) for frame in self._device.receive(data, t_s * self._pace)]

    def _next_step_s(self) -> float:
        """Device time at which the device or the plug does something; inf when they have done all."""
        if self._plug_s is not None:
            return self._plug_s
        due_s = self._device.next_due_s
        return math.inf if due_s is None else min(due_s, self._reset_s, self._unplug_s)

    def _step(self, step_s: float) -> None:
        if self._plug_s is not None:
            self._plug_s = None
            self._unplug_s = step_s + self._faults.unplug_s
            self._device.reboot(step_s)
            if self._device.next_due_s is not None:
                self._coming.append(PluggedIn(step_s / self._pace))
            return
        for due_s, frame in self._device.frames_until(step_s):
            self._coming += self._line.send(frame, due_s / self._pace)
        if self._device.next_due_s is None:
            self._coming += self._line.flush()
        elif step_s == self._unplug_s:
            self._unplug(step_s)
        elif step_s == self._reset_s:
            self._reset_s = math.inf
            self._device.reboot(step_s)

    def _unplug(self, step_s: float) -> None:
        at_s = step_s / self._pace
        # What is under way comes before the plug is out: nothing is lost but by the faults that say so.
        self._coming += self._line.flush()
        self._coming = deque(replace(item, at_s=min(item.at_s, at_s)) for item in self._coming)
        self._coming.append(Unplugged(at_s))
        self.unplugs += 1
        self._plug_s = step_s + self._faults.replug_s
        if self._reset_s <= self._plug_s:  # a device without power does not restart
            self._reset_s = math.inf


def hear(connection: Connection) -> Iterator[Happening]:
    """All that happens until the recording is over, as fast as possible; drops are `Heard` with an empty `wire`."""
    while (due_s := connection.next_due_s) is not None:
        yield from connection.until(due_s)


def faulty_device(blocks: Iterable[Block], rate_hz: float, faults: Faults, seed: int) -> SimulatedDevice:
    """A device that measures `blocks` of samples, with what `faults` say of its inside; `seed` is its boot_id."""
    more = iter(blocks)
    t, xyz = next(more)
    return SimulatedDevice(
        t, xyz, rate_hz,
        boot_id=seed, more=more, clock_s=faults.clock_s, scale=faults.scale, overrun=faults.overrun,
    )  # fmt: skip


def parse_faults(words: Iterable[str]) -> Faults:
    """Faults from words such as "drop=0.01". BadInput for an unknown kind, one given twice, a value out of range."""
    values: dict[str, float] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in _KINDS:
            raise BadInput(f"fault {word!r} is unknown; use one of {', '.join(f'{name}=NUMBER' for name in KINDS)}")
        kind = _KINDS[name]
        if kind.field in values:
            raise BadInput(f"fault {name} is given twice; give it once")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not kind.low <= value <= kind.high:
            raise BadInput(f"fault {word!r}: {name} is the {kind.meaning}, such as {name}={kind.example}")
        values[kind.field] = value
    faults = Faults(**values)
    if "replug_s" in values and not 0 < faults.unplug_s < math.inf:
        raise BadInput("fault replug is for a port that vanishes after a while; give unplug=60, too")
    return faults
