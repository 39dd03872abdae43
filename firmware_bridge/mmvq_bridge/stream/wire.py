"""Bytes of a stream to timed samples: protocol frames or CSV lines, told apart by the stream itself. Pure.

One whole frame (its CRC fits) decides for frames; three lines of numbers in a row for lines. What is neither is noise:
it is said once and counted.
"""

from typing import Final

from mmvq_bridge.frames import Decoder
from mmvq_bridge.stream.decode import FrameTimer
from mmvq_bridge.stream.lines import LineTimer, parse_line
from mmvq_bridge.stream.timed import Item, Notice

LINES_TO_BELIEVE: Final = 3
NOISE_BYTES: Final = 4096  # eight of the longest frames: whoever speaks the protocol has been understood by then
GOOD_PPM: Final = 100.0  # crystals are off by less, so it need not be told


def columns_of_lines(data: bytes) -> int:
    """3 or 4 if `data` ends in enough whole lines of so many numbers, 0 if not."""
    lines = [line for line in data.split(b"\n")[:-1] if line.strip()]
    columns = {len(parse_line(line) or ()) for line in lines[-LINES_TO_BELIEVE:]}
    return columns.pop() if len(lines) >= LINES_TO_BELIEVE and len(columns) == 1 else 0


class WireDecoder:
    """A stream's bytes in, timed samples and what is to be told out."""

    def __init__(self, units: str, arrival: bool) -> None:
        self._frames = FrameTimer(arrival)
        self._decoder = Decoder()
        self._lines = LineTimer(units, arrival)
        self._mode = ""
        self._undecided: list[tuple[bytes, int]] = []
        self._seen = 0  # bytes without a decision
        self._bad = 0  # of decoders before a reconnect

    @property
    def bad_frames(self) -> int:
        """Frames, or lines, that were none."""
        return self._lines.bad_lines if self._mode == "lines" else self._bad + self._decoder.bad_frames

    def reopen(self) -> None:
        """The port was lost and is there again."""
        self._bad += self._decoder.bad_frames
        self._decoder = Decoder()
        self._undecided = []
        self._frames.reopen()
        self._lines.reopen()

    def feed(self, data: bytes, host_ns: int) -> list[Item]:
        """Take the bytes that arrived at `host_ns`."""
        if self._mode == "lines":
            return self._lines.feed(data, host_ns)
        frames = self._decoder.feed(data)
        if frames:
            self._mode, self._undecided = "frames", []
        if self._mode == "frames":
            return [item for frame in frames for item in self._frames.feed(frame, host_ns)]
        return self._guess(data, host_ns)

    def finish(self) -> list[Item]:
        """The stream is over: what waited for more, and a summary of what was left out."""
        timer = self._frames
        items = self._lines.finish() if self._mode == "lines" else timer.finish()
        for count, what in (
            (timer.early_frames, "frames came before the first HELLO, which tells rate and scale, and were left out"),
            (timer.late_frames, "frames were older than the one before and were left out"),
            (timer.wrong_frames, "frames told a time that no other frame agreed with and were left out"),
            (timer.saturated_frames, "frames reached the end of the sensor's range"),
        ):
            if count:
                items.append(Notice(f"{count} {what}"))
        fast, error = 1e6 * (1 / timer.clock.rate - 1), 2e6 * timer.clock.error
        if abs(fast) - error > GOOD_PPM:
            items.append(Notice(f"the device's clock ran {fast:+.0f} ± {error:.0f} ppm against this computer's"))
        return items

    def _guess(self, data: bytes, host_ns: int) -> list[Item]:
        before, self._seen = self._seen, self._seen + len(data)
        if data:
            self._undecided.append((data, host_ns))
        columns = columns_of_lines(b"".join(piece for piece, _ in self._undecided)) if b"\n" in data else 0
        if columns:
            self._mode = "lines"
            self._lines.begin(columns)
            waiting, self._undecided = self._undecided, []
            return [item for piece, at in waiting for item in self._lines.feed(piece, at)]
        while sum(len(piece) for piece, _ in self._undecided) > NOISE_BYTES and len(self._undecided) > 1:
            del self._undecided[0]
        if before <= NOISE_BYTES < self._seen:
            return [Notice(f"{self._seen} bytes came, and neither protocol frames nor CSV lines; is --baud right?")]
        return []
