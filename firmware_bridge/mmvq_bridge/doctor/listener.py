"""One pass over the records of a port, to what was heard. Pure: times come with the records.

    records ── between zeros ──► frames ──► stretches of DATA, HELLO, STAT, PONG, ACK     decided by one whole frame
         └──── between line ends ──► lines of numbers                                     decided by three in a row
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.doctor.heard import Heard, Lines, Opening, Stretch
from mmvq_bridge.frames import LONGEST_FRAME, Ack, Command, Data, Frame, Hello, Ping, Pong, Stat, decode
from mmvq_bridge.stream.decode import AHEAD_S, SEQUENCE_WRAP, WRAP
from mmvq_bridge.stream.lines import LONGEST_LINE, parse_line
from mmvq_bridge.stream.records import LOST, Kind, Record, Tick
from mmvq_bridge.stream.wire import LINES_TO_BELIEVE

MOST_LATE: Final = 8  # frames: no line reorders over more, so what lies further back is a new start
QUOTED: Final = 400  # first bytes kept for a person to look at
# What debug prints look like between frames: damaged samples have no such run of letters, and a line's end after it.
TEXT: Final = re.compile(rb"[\x20-\x7e\t]{12,}[\r\n]")


@dataclass
class _Growing:
    """A stretch that is being heard: (arrival, t_us, seq, size, flags, damage) a frame."""

    start: float
    opening: int
    boot: tuple[int, int] | None = None
    greeted: bool = False  # HELLO came since the last DATA
    rows: list[tuple[float, int, int, int, int, int]] = field(default_factory=list)
    samples: list[npt.NDArray[np.int16]] = field(default_factory=list)
    newest: tuple[float, int, int] | None = None  # arrival, t_us and seq

    def whole(self) -> Stretch:
        arrival = np.array([row[0] for row in self.rows], np.float64)
        t_us, seq, size, flags, damage = np.array([row[1:] for row in self.rows], np.int64).reshape(-1, 5).T
        samples = np.concatenate([np.zeros((0, 3), np.int16), *self.samples])
        return Stretch(self.start, self.opening, self.boot, arrival, t_us, seq, size, flags, damage, samples)


class Listener:
    """Records in, `heard` out. size, frames, lines: bytes, DATA frames and lines so far; speaks: as in `Heard`."""

    def __init__(self) -> None:
        self.size = self.frames = 0
        self.speaks = "nothing"
        self._zero_ns: int | None = None
        self._now = self._last = 0.0
        self._quote = b""
        self._openings: list[Opening] = []
        self._piece = b""  # since the last zero
        self._line = b""  # since the last line's end
        self._in_middle = True  # of a frame, as far as we know: nothing whole came since the port opened
        self._stretches: list[_Growing] = []
        self._hellos: list[tuple[float, Hello]] = []
        self._stats: list[tuple[float, Stat]] = []
        self._pongs: list[tuple[float, Pong]] = []
        self._acks: list[tuple[float, Ack]] = []
        self._damaged: list[tuple[float, bytes]] = []
        self._texts: list[tuple[float, bytes]] = []
        self._numbers: list[tuple[float, tuple[float, ...]]] = []
        self._bad_lines: list[bytes] = []

    @property
    def lost(self) -> bool:
        """Whether the port is away."""
        return bool(self._openings) and self._openings[-1].lost

    @property
    def lines(self) -> int:
        """Lines of numbers so far."""
        return len(self._numbers)

    def take(self, item: Record | Tick) -> None:
        """The next that happened."""
        if self._zero_ns is None:
            self._zero_ns = item.host_ns
        self._now = (item.host_ns - self._zero_ns) / 1e9
        if isinstance(item, Tick):
            return
        if item.kind == Kind.OPENED:
            self._openings.append(Opening(self._now, self._now, False))
            self._piece, self._line, self._in_middle = b"", b"", True
            self._stretches.append(_Growing(self._now, len(self._openings)))
        elif item.kind == Kind.CLOSED:
            self._openings[-1] = Opening(self._openings[-1].start, self._now, item.payload == LOST)
        else:
            self._take_bytes(item.payload)

    def heard(self, asked: Sequence[tuple[int, Frame]] = ()) -> Heard:
        """What came so far; `asked` is what the host said, with its host times in nanoseconds."""
        zero_ns = self._zero_ns or 0
        openings = list(self._openings)
        if openings and not openings[-1].lost:
            openings[-1] = Opening(openings[-1].start, self._now, False)
        questions = [((ns - zero_ns) / 1e9, frame) for ns, frame in asked if isinstance(frame, Ping | Command)]
        return Heard(
            self._now, self.speaks, self.size, self._last, self._quote, tuple(openings),
            tuple(growing.whole() for growing in self._stretches),
            tuple(self._hellos), tuple(self._stats), tuple(self._pongs), tuple(self._acks),
            tuple(self._damaged), tuple(self._texts), tuple(questions),
            self._whole_lines() if self.speaks == "lines" else None,
        )  # fmt: skip

    def _take_bytes(self, data: bytes) -> None:
        self.size, self._last = self.size + len(data), self._now
        self._quote += data[: QUOTED - len(self._quote)]
        if self.speaks == "nothing":
            self.speaks = "bytes"
        if self.speaks != "lines":
            self._cut_frames(data)
        if self.speaks != "frames":
            self._cut_lines(data)

    def _cut_frames(self, data: bytes) -> None:
        *ended, rest = data.split(b"\0")
        for part in ended:
            self._take_piece((self._piece + part)[: LONGEST_FRAME + 1])
            self._piece = b""
        self._piece = (self._piece + rest)[: LONGEST_FRAME + 1]  # no frame is longer, and what is remains too long

    def _take_piece(self, piece: bytes) -> None:
        if not piece:
            self._in_middle = False
            return
        try:
            frame = decode(piece)
        except ValueError:
            if TEXT.search(piece):
                self._texts.append((self._now, piece))
            elif not self._in_middle:
                self._damaged.append((self._now, piece))
            self._in_middle = False
            return
        self.speaks, self._in_middle = "frames", False
        match frame:
            case Data():
                self._take_data(frame)
            case Hello():
                self._greet(frame)
            case Stat():
                self._stats.append((self._now, frame))
            case Pong():
                self._pongs.append((self._now, frame))
            case Ack():
                self._acks.append((self._now, frame))
            case Ping() | Command():  # only hosts say these: our own words come back
                pass

    def _greet(self, hello: Hello) -> None:
        self._hellos.append((self._now, hello))
        boot = hello.boot_id, hello.device_uid
        if self._stretches[-1].boot not in (None, boot):
            self._stretches.append(_Growing(self._now, len(self._openings)))
        self._stretches[-1].boot = boot
        self._stretches[-1].greeted = True

    def _take_data(self, frame: Data) -> None:
        self.frames += 1
        stretch = self._stretches[-1]
        if stretch.newest is None:
            t_us, seq = frame.t_us, frame.seq
            stretch.newest = self._now, t_us, seq
        else:
            before, newest_us, newest_seq = stretch.newest
            t_us = newest_us + _nearest(frame.t_us - newest_us, WRAP)
            seq = newest_seq + _nearest(frame.seq - newest_seq, SEQUENCE_WRAP)
            late = -MOST_LATE <= seq - newest_seq <= 0
            leaps = not 0 <= t_us - newest_us <= (self._now - before + AHEAD_S) * 1e6
            # A clock that leaps in mid-sequence is a fault of the clock; with the sequence broken it is a restart.
            if leaps and not late and seq != newest_seq + 1 and frame.t_us < newest_us % WRAP:
                self._restart(frame)
                return
            if seq > newest_seq:
                stretch.newest = self._now, t_us, seq
        damage = len(self._damaged) + len(self._texts)
        stretch.rows.append((self._now, t_us, seq, len(frame.samples), frame.flags, damage))
        stretch.samples.append(frame.samples)
        stretch.greeted = False

    def _restart(self, frame: Data) -> None:
        before = self._stretches[-1]
        anew = _Growing(self._now, len(self._openings))
        if before.greeted:  # that HELLO was the new boot's
            anew.boot = before.boot
        self._stretches.append(anew)
        self.frames -= 1  # it is counted again
        self._take_data(frame)

    def _cut_lines(self, data: bytes) -> None:
        *ended, rest = (self._line + data).split(b"\n")
        self._line = rest[-2 * LONGEST_LINE :]
        for text in ended:
            if not text.strip():
                continue
            numbers = parse_line(text)
            columns = len(self._numbers[-1][1]) if self._numbers else 0
            if numbers is None or (self.speaks == "lines" and len(numbers) != columns):
                if self.speaks == "lines":
                    self._bad_lines.append(text[:LONGEST_LINE])
                else:
                    self._numbers = []
                continue
            if len(numbers) != columns:
                self._numbers = []  # a first line cut short may look like the other kind
            self._numbers.append((self._now, numbers))
            if len(self._numbers) >= LINES_TO_BELIEVE and self.speaks == "bytes":
                self.speaks = "lines"

    def _whole_lines(self) -> Lines:
        numbers = np.array([row for _, row in self._numbers])
        arrival = np.array([at for at, _ in self._numbers])
        t_ms = numbers[:, 0] if numbers.shape[1] == 4 else None
        return Lines(arrival, t_ms, numbers[:, -3:], tuple(self._bad_lines))


def _nearest(difference: int, wrap: int) -> int:
    """A difference of two counters that wrap, between -wrap / 2 and wrap / 2."""
    return (difference + wrap // 2) % wrap - wrap // 2
