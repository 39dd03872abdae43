"""Records in, events out. No clock inside: the same records give the same events, live, replayed, at any speed.

Silence, too, is a matter of records: three seconds without bytes by their host times. A live source may tell the time
in between (`advance`), and a capture, whose next record shows it, gives the same event at the same place.
"""

from collections.abc import Callable
from typing import Final

from mmvq_bridge.stream.records import LOST, Kind, Opening, Record, parse_opening
from mmvq_bridge.stream.timed import Item, Missing, Notice, Samples, Temperature, Wearer
from mmvq_bridge.stream.wire import WireDecoder
from mmvq_run import events
from mmvq_run.events import Event
from mmvq_run.metadata import Metadata
from mmvq_run.pipeline import Asking, Options, Pipeline
from mmvq_run.signal.resample import Floats

SILENT_NS: Final = 3_000_000_000  # DATA comes several times a second, HELLO every 5 s at the least


See = Callable[[Floats, Floats], None]


class Session:
    """One stream of records.

    notices: lines for the person who looks on, to be taken out by the caller; samples: how many there were; see: what
    else wants the samples, as they are pushed: seconds (n,), g (n, 3).
    """

    def __init__(self, metadata: Metadata, options: Options, see: See | None = None) -> None:
        self.notices: list[str] = []
        self.samples = 0
        self._name = metadata.name
        self._options = options
        self._see = see
        self._pipeline = Pipeline(metadata, options)
        self._opening: Opening | None = None
        self._wire = WireDecoder(options.units, arrival=True)
        self._wearer: Wearer | None = None
        self._heard_ns: int | None = None  # host time of the last bytes, None while the port is closed
        self._silent = False
        self._t = 0.0  # where the last sample ends

    def feed(self, record: Record) -> Asking:
        """Take the next record. BadInput for CSV lines whose time or unit cannot be known."""
        out = self.advance(record.host_ns)
        if record.kind == Kind.OPENED:
            out += self._open(record)
        elif record.kind == Kind.CLOSED:
            out += yield from self._close(record)
        else:
            self._heard_ns = record.host_ns
            if self._silent:
                self._silent = False
                out.append(events.device(self._t, "connected", self._wearer))
            out += yield from self._tell(self._wire.feed(record.payload, record.host_ns))
        return out

    def advance(self, host_ns: int) -> list[Event]:
        """It is `host_ns` now, and nothing came since the last record."""
        known = self._opening is not None and self._opening.arrival
        if not known or self._silent or self._heard_ns is None or host_ns - self._heard_ns < SILENT_NS:
            return []
        self._silent = True
        self.notices.append(f"no bytes for {SILENT_NS / 1e9:g} s; is the device on, and is it the right port?")
        return [events.device(self._t, "silent", self._wearer)]

    def finish(self) -> Asking:
        """The stream is over: its last windows and the `end` event."""
        out = yield from self._tell(self._wire.finish())
        out += yield from self._pipeline.close()
        pipeline = self._pipeline
        return [*out, events.end(self._t, pipeline.windows, pipeline.lost, self._wire.bad_frames)]

    def _open(self, record: Record) -> list[Event]:
        self._heard_ns, self._silent = record.host_ns, False
        opening = parse_opening(record.payload)
        if self._opening is not None:
            self._wire.reopen()
            return []
        self._opening = opening
        self._wire = WireDecoder(self._options.units, opening.arrival)
        return [events.session(opening, self._name)]

    def _close(self, record: Record) -> Asking:
        self._heard_ns = None
        if record.payload != LOST:
            return []
        out = yield from self._pipeline.close()
        return [*out, events.device(self._t, "lost", self._wearer)]

    def _tell(self, items: list[Item]) -> Asking:
        out: list[Event] = []
        for item in items:
            if isinstance(item, Notice):
                self.notices.append(item.text)
            elif isinstance(item, Temperature):
                self._pipeline.feel(item.celsius)
            elif isinstance(item, Missing):
                self._pipeline.hold(events.gap(item))
            elif isinstance(item, Samples):
                out += yield from self._take(item)
            else:
                self._wearer = item
                out += yield from self._pipeline.begin_segment(item)
                out.append(events.device(self._t, item.state, item))
        return out

    def _take(self, samples: Samples) -> Asking:
        self.samples += len(samples.t)
        self._t = float(samples.t[-1]) + (1 / self._wearer.rate_hz if self._wearer else 0.0)
        if self._see is not None:
            self._see(samples.t, samples.xyz)
        return (yield from self._pipeline.push(samples.t, samples.xyz))
