"""What was heard of a device, as plain arrays: what all findings are made from. listener.py makes it of records.

A stretch is DATA of one boot through one opening of the port. It ends where the port does, where HELLO tells another
boot, and where sequence and clock both begin anew although no HELLO came. Inside it seq and t_us are unrolled over
their wraps. What arrives late stays in the order of arrival.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmvq_bridge.frames import Ack, Command, Hello, Ping, Pong, Stat

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stretch:
    """DATA in the order of arrival, k frames: arrival in s since listening began; t_us and seq go on over a wrap.

    damage: how many damaged pieces and texts had come before each; start: when it began; opening: number of the port's
    opening; boot: (boot_id, uid) of HELLO, None if none came; samples: int16, all in a row (sum of sizes, 3).
    """

    start: float
    opening: int
    boot: tuple[int, int] | None
    arrival: Floats
    t_us: Ints
    seq: Ints
    size: Ints
    flags: Ints
    damage: Ints
    samples: npt.NDArray[np.int16]

    @property
    def in_turn(self) -> tuple[Ints, Ints]:
        """Places of the earlier and the later one of frames that follow one another, no number between them missing."""
        on = np.flatnonzero(self.on_time)
        turn = np.diff(self.seq[on]) == 1
        return on[:-1][turn], on[1:][turn]

    @property
    def on_time(self) -> npt.NDArray[np.bool_]:
        """Which frames are newer than all that came before them, (k,)."""
        newest = np.maximum.accumulate(self.seq)
        return np.concatenate([[True], newest[1:] > newest[:-1]])[: len(self.seq)]


@dataclass(frozen=True, eq=False)
class Lines:
    """CSV lines, k of them: arrival in s; t_ms (k,), None for lines x,y,z; xyz (k, 3), maybe not finite.

    bad: lines after the first good one that are none.
    """

    arrival: Floats
    t_ms: Floats | None
    xyz: Floats
    bad: tuple[bytes, ...]


@dataclass(frozen=True)
class Opening:
    """The port was open from `start` to `end`, in s since listening began; lost: it went away by itself."""

    start: float
    end: float
    lost: bool


@dataclass(frozen=True, eq=False)
class Heard:
    """All times are in s since listening began; `asked` is what the host said.

    speaks: "frames", "lines", "bytes" (neither), "nothing". size: bytes; last: when the last came; quote: the first.
    damaged: (time, piece) of what stood between two zeros and is no frame; texts: of those, what is printed text.
    """

    seconds: float
    speaks: str
    size: int
    last: float
    quote: bytes
    openings: tuple[Opening, ...]
    stretches: tuple[Stretch, ...]
    hellos: tuple[tuple[float, Hello], ...]
    stats: tuple[tuple[float, Stat], ...]
    pongs: tuple[tuple[float, Pong], ...]
    acks: tuple[tuple[float, Ack], ...]
    damaged: tuple[tuple[float, bytes], ...]
    texts: tuple[tuple[float, bytes], ...]
    asked: tuple[tuple[float, Ping | Command], ...]
    lines: Lines | None

    @property
    def hello(self) -> Hello | None:
        """The last one."""
        return self.hellos[-1][1] if self.hellos else None

    @property
    def frames(self) -> int:
        """DATA frames heard."""
        return sum(len(stretch.seq) for stretch in self.stretches)

    @property
    def longest(self) -> Stretch | None:
        """The stretch with most frames, from which times are judged."""
        return max(self.stretches, key=lambda stretch: len(stretch.seq), default=None) if self.frames else None
