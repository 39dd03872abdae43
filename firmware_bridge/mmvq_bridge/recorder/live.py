"""What a port sends and a person types, while it happens, as rows of a journal. Pure: host times come in.

The moment of a key is told by the host's clock, samples by session time. Between them stands the line that `clock`
fits through what arrived earliest, as only delays, and no hurry, come between a sample and its arrival:

    session time of a key = where the clock's line has it, but no earlier than the last samples and what passed since
                            they came, and no more than LATE_S later than that

So a frame that is late, or several that came at once, do not move a label; and a board that counts its time wrongly
(the line is no use then) moves it by LATE_S at most. A key before the first sample waits until that has come; one
before the first byte is as much earlier than the first sample.

What a device sends after it said HELLO anew, as after a reset or a lost port, is another recording; its label goes on.
"""

from typing import Final

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.recorder.journal import DEVICE, RATE, Fact, Row, Word
from mmvq_bridge.recorder.labels import NONE, UNDO, Labels, checked_label
from mmvq_bridge.stream.clock import ClockModel
from mmvq_bridge.stream.records import Kind, Record, Tick
from mmvq_bridge.stream.timed import Item, Missing, Notice, Samples, Wearer
from mmvq_bridge.stream.wire import WireDecoder

LATE_S: Final = 0.5  # Bluetooth and USB keep frames back for less
SILENT_NS: Final = 3_000_000_000  # as mmvq-run has it: DATA comes several times a second
SAME_RATE: Final = 0.05  # share by which rates in a file may differ: clocks are off by 3 %, rates of lines guessed


class Recorder:
    """Records and words in, rows out.

    number: of the recording that is growing; samples, lost: how many there were, and were not; rate_hz: what the device
    says, 0 before that; t: session time of the last sample; labels: along the signal so far, in seconds; trouble: why
    nothing more is taken; notices: lines for the person, to be taken out by the caller.
    """

    def __init__(self, units: str, number: int = 0, rate_hz: float = 0.0, known: tuple[str, ...] = ()) -> None:
        """number: of the first recording; rate_hz, known: rate and labels of the file that it goes into, if any."""
        self.number, self.samples, self.lost, self.rate_hz, self.t = number, 0, 0, 0.0, 0.0
        self.labels = Labels()
        self.trouble: Exception | None = None
        self.notices: list[str] = []
        self._wire = WireDecoder(units, arrival=True)
        self._file_hz, self._known = rate_hz, set(known)
        self._clock = ClockModel()
        self._rebase = False  # the next samples are by another clock
        self._here, self._start = 0, 0.0  # samples of this recording, and session time of the first
        self._first_ns = self._arrived_ns = 0  # host time of the first bytes, and of the last samples
        self._heard_ns: int | None = None  # host time of the last sign of life, None while the port is closed
        self._opened = self._silent = False
        self._typed: list[tuple[int, str]] = []  # words without a session time yet

    @property
    def bad_frames(self) -> int:
        """Frames, or lines, that were none."""
        return self._wire.bad_frames

    @property
    def measured_hz(self) -> float:
        """Samples a second of this recording, by the device's clock; what is lost is missing in it."""
        return (self._here - 1) / (self.t - self._start) if self.t > self._start else self.rate_hz

    @property
    def signal_s(self) -> float:
        """Seconds of signal so far, without what is missing."""
        return self.samples / self.rate_hz if self.rate_hz else 0.0

    def feed(self, item: Record | Tick) -> list[Row]:
        """Take what the port gave."""
        rows: list[Row] = []
        if isinstance(item, Record):
            if item.kind == Kind.BYTES:
                rows = self._bytes(item) if self.trouble is None else []
            elif item.kind == Kind.OPENED:
                self._open(item.host_ns)
            else:
                self._heard_ns = None
        self._mind_silence(item.host_ns)
        return rows + self._words()

    def press(self, host_ns: int, word: str) -> str:
        """Take a word of `labels` that was typed at `host_ns`; gives what to tell the person. BadInput: no label."""
        word = word if word == UNDO else checked_label(word)
        before = self.labels.current
        told = self.labels.take(self.signal_s, word)
        self._typed.append((host_ns, word))
        if word == UNDO:
            return f"{told} taken back: no label now" if told else "nothing to take back"
        if word == NONE:
            return f"end of {told}" if told else "no label"
        if word == before:
            return f"{word}, as before"
        is_new = word not in self._known
        self._known.add(word)
        return f"{word} (new)" if is_new else word

    def finish(self) -> list[Row]:
        """Nothing more comes."""
        rows = self._tell(self._wire.finish(), self._arrived_ns) if self.trouble is None else []
        return rows + self._words()

    def elapsed(self, host_ns: int) -> float:
        """Seconds since the first sample; 0 before it."""
        return self.t + (host_ns - self._arrived_ns) / 1e9 if self.samples else 0.0

    def _open(self, host_ns: int) -> None:
        if self._opened:
            self._wire.reopen()
        self._opened, self._silent, self._heard_ns = True, False, host_ns

    def _bytes(self, record: Record) -> list[Row]:
        try:
            items = self._wire.feed(record.payload, record.host_ns)
        except BadInput as error:  # lines whose time or unit cannot be known
            self.trouble = error
            return []
        before = self.samples
        self._first_ns = self._first_ns or record.host_ns
        rows = self._tell(items, record.host_ns)
        if self.samples > before or self.samples == 0:
            self._heard_ns, self._silent = record.host_ns, False
        return rows

    def _tell(self, items: list[Item], host_ns: int) -> list[Row]:
        rows: list[Row] = []
        before = self.samples
        for item in items:
            if isinstance(item, Samples):
                rows.append(Row(self.number, item))
                self._start = self._start if self._here else float(item.t[0])
                self.samples += len(item.t)
                self._here += len(item.t)
                self.t = float(item.t[-1])
            elif isinstance(item, Wearer):
                rows += self._greet(item)
                if self.trouble is not None:
                    break
            elif isinstance(item, Missing):
                self.lost += item.count
            elif isinstance(item, Notice):
                self.notices.append(item.text)
        if self.samples > before:
            if self._rebase:
                self._clock, self._rebase = ClockModel(), False
            self._clock.push(self.t, host_ns / 1e9)
            self._arrived_ns = host_ns
        return rows

    def _greet(self, wearer: Wearer) -> list[Row]:
        """A device says what it is: another recording begins, if this one has samples."""
        for hz, whose in ((self._file_hz, "the file"), (self.rate_hz, "what came before")):
            if hz and abs(wearer.rate_hz / hz - 1) > SAME_RATE:
                told = f"the device has {wearer.rate_hz:g} Hz, {whose} {hz:g} Hz: give another --out"
                self.trouble = Failed(told) if self.samples else BadInput(told)
                return []
        if self._here:
            self.number, self._here, self._rebase = self.number + 1, 0, True
            why = "has started anew" if wearer.state == "reset" else "is back"
            self.notices.append(f"the device {why}: recording {self.number} from here on")
        facts = [Fact(DEVICE, wearer.uid)] if wearer.uid else []
        if not self.rate_hz:
            self.rate_hz = wearer.rate_hz
            facts.append(Fact(RATE, f"{wearer.rate_hz:g}"))
        return [Row(self.number, fact) for fact in facts]

    def _words(self) -> list[Row]:
        if not self.samples:
            return []
        typed, self._typed = self._typed, []
        return [Row(self.number, Word(self._time_of(host_ns), word)) for host_ns, word in typed]

    def _time_of(self, host_ns: int) -> float:
        if host_ns <= self._first_ns:
            return (host_ns - self._first_ns) / 1e9
        soonest = self.elapsed(host_ns)
        return min(max(self._clock.device(host_ns / 1e9), soonest), soonest + LATE_S)

    def _mind_silence(self, host_ns: int) -> None:
        if self._silent or self._heard_ns is None or host_ns - self._heard_ns < SILENT_NS:
            return
        self._silent = True
        self.notices.append(f"nothing came for {SILENT_NS / 1e9:g} s; is the device on, and is it the right port?")
