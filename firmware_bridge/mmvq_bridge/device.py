"""A simulated wearable: a recording in, protocol 1 out, without any I/O or clock of its own.

                    COMMAND stop
    boot ── streaming ─────────► stopped        HELLO at boot and every 5 s, STAT every 5 s, in both states
                ▲   ◄───────────────┘           DATA while streaming; samples of the time between are not taken
                │    COMMAND start (and HELLO)
    PING ► PONG, COMMAND ► ACK in both states; the end of the recording is the end of the device

Whoever holds the device says what time it is, in seconds since its first boot, by the device's own oscillator. DATA
tells the recording's own time: a frame ends where the next sample is over half a period from where a reader would put
it (t_us + i / rate), so a gap, or jitter, in the recording is in t_us and never inside a frame. `reboot` starts the
device anew in mid-recording: sequence, counts and clock begin again, the recording goes on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.frames import (
    ACK_DONE,
    ACK_REFUSED,
    ACK_UNKNOWN,
    FLAG_OVERRUN,
    FLAG_SATURATED,
    MOST_SAMPLES,
    OP_SET_RATE,
    OP_START,
    OP_STOP,
    PROTOCOL,
    WRIST_UNKNOWN,
    Ack,
    Command,
    Data,
    Decoder,
    Hello,
    Ping,
    Pong,
    Stat,
    encode,
)
from mmvq_bridge.recordings import Recording

COUNTS_PER_G: Final = 4096  # int16 then reaches ±8 g, the range of most wrist recordings
SAMPLES_PER_FRAME: Final = 10  # 100 ms at 100 Hz: little delay, and a line at 115200 baud is nearly idle
BEAT_S: Final = 5.0  # between two HELLO, and two STAT (the protocol's)
PAUSE_S: Final = 1.0  # between two recordings: longer than what a reader patches over, so that it cuts there
UID: Final = int.from_bytes(b"mmvq-sim", "big")
BATTERY_MV: Final = 3900  # a simulated battery stays well charged,
TEMPERATURE_CENTI_C: Final = 3100  # and a simulated wrist warm
MOST_HZ: Final = 4_000_000  # what HELLO can say, in milli-hertz
OVERRUN_STREAM: Final = 3  # of random numbers: other ones than the line's, which may have the same seed

Floats = npt.NDArray[np.float64]
Block = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]  # t (n,) in seconds and xyz (n, 3) in g


def wear(recordings: Sequence[Recording], rate_hz: float) -> tuple[Floats, npt.NDArray[np.float32]]:
    """Recordings one after another as a single wearing: t (n,) in seconds from 0, xyz (n, 3) in g."""
    # Four periods: a reader patches three (or .25 s, if that is longer).
    pause = max(PAUSE_S, 4 / rate_hz)
    times: list[Floats] = []
    start = 0.0
    for recording in recordings:
        times.append(recording.t - recording.t[0] + start)
        start = float(times[-1][-1]) + pause
    return np.concatenate(times), np.concatenate([r.xyz for r in recordings])


class SimulatedDevice:
    """A device that measures `xyz`, (n, 3) in g, at the times `t`, (n,) in seconds, never decreasing.

    The first sample is taken at boot, whatever its t. more: blocks that follow, fetched when they are due, so that a
    day takes no more memory than a minute. What may be wrong in the device: clock_s is what its clock reads at every
    boot; scale multiplies samples, and HELLO does not know; overrun is the share of frames whose samples are lost to a
    full FIFO, drawn from boot_id. ValueError if there is no sample or an argument does not fit the protocol.

    samples_sent, samples_overrun, samples_missed: how many left in DATA, were lost to the FIFO, or passed while the
    device was stopped, off or restarting; together all whose time has come.
    """

    def __init__(
        self,
        t: npt.NDArray[np.floating],
        xyz: npt.NDArray[np.floating],
        rate_hz: float,
        *,
        counts_per_g: int = COUNTS_PER_G,
        uid: int = UID,
        boot_id: int = 0,
        wrist: int = WRIST_UNKNOWN,
        samples_per_frame: int = SAMPLES_PER_FRAME,
        more: Iterable[Block] = (),
        clock_s: float = 0.0,
        scale: float = 1.0,
        overrun: float = 0.0,
    ) -> None:
        if len(t) == 0 or xyz.shape != (len(t), 3):
            raise ValueError(f"one time for each sample, and at least one sample; got t {t.shape} and xyz {xyz.shape}")
        if not 1 <= samples_per_frame <= MOST_SAMPLES:
            raise ValueError(f"a frame holds 1 to {MOST_SAMPLES} samples, not {samples_per_frame}")
        if not 0.001 <= rate_hz <= MOST_HZ:
            raise ValueError(f"a rate lies between 0.001 and {MOST_HZ} Hz, not at {rate_hz}")
        self._hello = Hello(PROTOCOL, boot_id, uid, round(rate_hz * 1000), counts_per_g, wrist)
        encode(self._hello)  # refuses now what would not fit later
        self.samples_sent = self.samples_overrun = self.samples_missed = 0
        self._zero_s = float(t[0])
        self._t = np.asarray(t, np.float64) - self._zero_s
        self._xyz = xyz
        self._more: Iterator[Block] = iter(more)
        self._clock_s, self._scale, self._overrun = clock_s, scale, overrun
        self._rng = np.random.default_rng([boot_id, OVERRUN_STREAM])
        self._period_s = 1000 / self._hello.rate_mhz  # as a reader hears it
        self._samples_per_frame = samples_per_frame
        self._decoder = Decoder()
        self._streaming = True
        self._boot_s = self._next_beat = 0.0
        self._frames_sent = self._dropped = 0  # since boot
        self._overran = False
        self._start = self._end = 0
        self._cut_frame(0)

    @property
    def duration_s(self) -> float:
        """Device time of the last sample, of those fetched so far."""
        return float(self._t[-1])

    @property
    def next_due_s(self) -> float | None:
        """Device time at which there is something to send or to pass over; None when the recording is over."""
        if self._start == len(self._t):
            return None
        return min(self._data_due_s, self._next_beat)

    def frames_until(self, t_s: float) -> list[tuple[float, bytes]]:
        """What falls due up to device time `t_s` and was not given yet: (due time, bytes on the wire), in order."""
        sent: list[tuple[float, bytes]] = []
        while (due := self.next_due_s) is not None and due <= t_s:
            if due == self._next_beat:
                sent.append((due, encode(self._hello)))
                if due > self._boot_s:
                    stat = Stat(self._frames_sent % 2**32, self._dropped % 2**32, BATTERY_MV, TEMPERATURE_CENTI_C)
                    sent.append((due, encode(stat)))
                self._next_beat += BEAT_S
                continue
            n = self._end - self._start
            if not self._streaming:
                self.samples_missed += n
            elif self._rng.random() < self._overrun:
                self.samples_overrun += n
                self._dropped += n
                self._overran = True
            else:
                sent.append((due, encode(self._data())))
                self.samples_sent += n
                self._frames_sent += 1
                self._overran = False
            self._cut_frame(self._end)
        return sent

    def reboot(self, t_s: float) -> None:
        """Lose what was not sent and start anew at `t_s`, with the next boot_id: HELLO, then samples from there on."""
        self._hello = replace(self._hello, boot_id=(self._hello.boot_id + 1) % 2**32)
        self._boot_s = self._next_beat = t_s
        self._decoder = Decoder()
        self._streaming = True
        self._frames_sent = self._dropped = 0
        self._overran = False
        self._pass_over(t_s)

    def receive(self, data: bytes, t_s: float) -> list[bytes]:
        """Answers to what the host sent, at device time `t_s`. Broken frames, and those no host sends, get none."""
        answers: list[bytes] = []
        for frame in self._decoder.feed(data):
            match frame:
                case Ping(nonce):
                    answers.append(encode(Pong(nonce, self._clock_us(t_s))))
                case Command(op, _):
                    answers += self._obey(op, t_s)
        return answers

    def _obey(self, op: int, t_s: float) -> list[bytes]:
        if op == OP_START:
            if not self._streaming:
                self._pass_over(t_s)
            self._streaming = True
            return [encode(Ack(op, ACK_DONE)), encode(self._hello)]
        if op == OP_STOP:
            self._streaming = False
            return [encode(Ack(op, ACK_DONE))]
        # A recording has the rate that it has.
        return [encode(Ack(op, ACK_REFUSED if op == OP_SET_RATE else ACK_UNKNOWN))]

    def _pass_over(self, t_s: float) -> None:
        """Leave out the samples before `t_s`."""
        while self._start < len(self._t) and self._t[self._start] < t_s:
            first = int(np.searchsorted(self._t, t_s))
            self.samples_missed += first - self._start
            self._cut_frame(first)

    def _cut_frame(self, start: int) -> None:
        """Make samples [start, end) the next frame; samples before it are forgotten when a block is fetched."""
        while len(self._t) - start < self._samples_per_frame and (block := next(self._more, None)) is not None:
            self._t = np.concatenate([self._t[start:], block[0] - self._zero_s])
            self._xyz = np.concatenate([self._xyz[start:], block[1]])
            start = 0
        t = self._t[start : start + self._samples_per_frame]
        self._start, self._end = start, start + len(t)
        if len(t):
            late = np.abs(t - t[0] - np.arange(len(t)) * self._period_s) > self._period_s / 2
            if late.any():
                self._end = start + int(np.argmax(late))
            self._data_due_s = float(self._t[self._end - 1])  # a frame leaves when its last sample is in

    def _data(self) -> Data:
        xyz = self._xyz[self._start : self._end].astype(np.float64)
        counts = np.rint(xyz * self._scale * self._hello.counts_per_g)
        samples = np.clip(counts, -32768, 32767).astype(np.int16)
        overran = FLAG_OVERRUN if self._overran else 0
        saturated = 0 if np.array_equal(samples, counts) else FLAG_SATURATED
        t_us = self._clock_us(float(self._t[self._start]))
        return Data(overran | saturated, self._frames_sent % 2**16, t_us, samples)

    def _clock_us(self, t_s: float) -> int:
        return round((t_s - self._boot_s + self._clock_s) * 1e6) % 2**32
