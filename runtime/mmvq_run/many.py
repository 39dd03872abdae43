"""Many wearables in one process: each has a session of its own, and their windows share calls of the model.

    a thread for each port ──┐
    a thread for a listener ─┴─► inbox ─► sessions, by device ─► windows of all ─► one call ─► events with "device"

The inbox is bounded: where sessions cannot keep up, reading waits, and the kernel and at last the wearable keep what
comes; what they cannot keep shows as a gap. A wearable whose stream cannot be understood ends alone.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.stream.records import Record, Tick
from mmvq_bridge.stream.stop import Stop
from mmvq_run.events import Event
from mmvq_run.model import Floats, Prediction, Predictor
from mmvq_run.pipeline import Asking, Options
from mmvq_run.session import Session
from mmvq_run.sinks import Watcher
from mmvq_run.sinks.capture import CaptureWriter

INBOX: Final = 4096  # reads that wait: two seconds of 200 wearables
AT_ONCE: Final = 512  # reads taken in one go: enough for windows to share calls, few enough to answer soon
SLOW_S: Final = 0.5  # of waiting for room in a second, from which on people are told


@dataclass(frozen=True)
class Ended:
    """Nothing more comes of a wearable; error: why, if it is not as wished."""

    error: Exception | None = None


Put = Callable[[str, Record | Tick | Ended], None]
Feed = Callable[[Put], None]  # puts what wearables send, until there is no more
Say = Callable[[str], None]
Keep = Callable[[str], AbstractContextManager[CaptureWriter]]


class ManyPredictor(Predictor, Protocol):
    """What many streams need of a model."""

    def predict_many(self, windows: Sequence[Floats]) -> list[Prediction]:
        """Each window's prediction."""
        ...


def port_feed(device: str, source: Iterable[Record | Tick]) -> Feed:
    """A source of records as the feed of one wearable."""

    def feed(put: Put) -> None:
        error: Exception | None = None
        try:
            for item in source:
                put(device, item)
        except (BadInput, Failed, OSError) as caught:
            error = caught
        put(device, Ended(error))

    return feed


def stream_many(
    feeds: Sequence[Feed],
    model: ManyPredictor,
    options: Options,
    stop: Stop,
    say: Say,
    keep: Keep | None = None,
    see: Watcher | None = None,
) -> Iterator[Event]:
    """Events of all wearables of all feeds, each with "device", until every feed has ended.

    A wearable that comes again after its end begins a new session. keep: opens a wearable's capture, by its name. see:
    gets the samples, seconds (n,) and g (n, 3), and whose they are. Raises Failed at the end if every wearable ended in
    an error.
    """
    devices: dict[str, _Device] = {}
    ended = failed = 0
    inbox = _Inbox(feeds, say)
    try:
        while items := inbox.take():
            for device in items:
                if device not in devices:
                    devices[device] = _Device(Session(model.metadata, options, see and partial(see, device=device)))
                    if keep is not None:
                        devices[device].keep(keep(device))
            askings = {device: devices[device].take(some) for device, some in items.items()}
            for device, told in answered_together(askings, model.predict_many).items():
                yield from ({**event, "device": device} for event in told)
                for notice in devices[device].notices():
                    say(f"{device}: {notice}")
                if devices[device].gone:
                    one = devices.pop(device)
                    one.captures.close()
                    ended, failed = ended + 1, failed + (one.error is not None)
    finally:
        stop.asked = True  # whoever stops listening stops the feeds
        while inbox.take():
            pass
        for one in devices.values():
            one.captures.close()
    if ended and failed == ended:
        raise Failed("every wearable ended in an error")


def answered_together(
    askings: Mapping[str, Asking], predict_many: Callable[[Sequence[Floats]], list[Prediction]]
) -> dict[str, list[Event]]:
    """The events of each. Windows that are asked for at the same time share a call; the one that the model fails on
    gets the Failed."""
    told: dict[str, list[Event]] = {}
    replies: dict[str, Prediction | Failed | None] = dict.fromkeys(askings)
    while replies:
        windows: dict[str, Floats] = {}
        for key, reply in replies.items():
            try:
                windows[key] = _advance(askings[key], reply)
            except StopIteration as done:
                told[key] = done.value
        found = _predictions(list(windows.values()), predict_many) if windows else []
        replies = dict(zip(windows, found, strict=True))
    return told


def _advance(asking: Asking, reply: Prediction | Failed | None) -> Floats:
    if isinstance(reply, Failed):
        return asking.throw(reply)
    return next(asking) if reply is None else asking.send(reply)


def _predictions(
    windows: Sequence[Floats], predict_many: Callable[[Sequence[Floats]], list[Prediction]]
) -> Sequence[Prediction | Failed]:
    """All in one call; where that fails, one by one, so that one wearable's window does not spoil the others'."""
    try:
        return predict_many(windows)
    except Failed as error:
        if len(windows) == 1:
            return [error]
        return [found for window in windows for found in _predictions([window], predict_many)]


@dataclass
class _Device:
    """over: its `end` was told, and what still comes counts for nothing; gone: nothing more comes."""

    session: Session
    captures: ExitStack = field(default_factory=ExitStack)
    writer: CaptureWriter | None = None
    error: Exception | None = None
    over: bool = False
    gone: bool = False
    said: list[str] = field(default_factory=list)

    def keep(self, capture: AbstractContextManager[CaptureWriter]) -> None:
        """Keep its records in a capture; where that cannot be, it is said, and the others go on."""
        try:
            self.writer = self.captures.enter_context(capture)
        except BadInput as error:
            self.said.append(f"not recorded: {error}")

    def take(self, items: Sequence[Record | Tick | Ended]) -> Asking:
        """All that came of it. An error is its end."""
        out: list[Event] = []
        for item in items:
            self.gone = self.gone or isinstance(item, Ended)
            if self.over:
                continue
            try:
                if isinstance(item, Ended):
                    if item.error is not None:
                        raise item.error
                    self.over = True
                    out += yield from self.session.finish()
                else:
                    out += yield from self._hear(item)
            except (BadInput, Failed, OSError, ValueError) as error:
                self.over, self.error = True, error
                self.said.append(str(error))
                with suppress(BadInput, Failed, ValueError):
                    out += yield from self.session.finish()
        return out

    def _hear(self, item: Record | Tick) -> Asking:
        if isinstance(item, Tick):
            return self.session.advance(item.host_ns)
        if self.writer is not None:
            self.writer.write(item)
        return (yield from self.session.feed(item))

    def notices(self) -> list[str]:
        """Lines for a person, since the last time."""
        lines = self.session.notices + self.said
        self.session.notices, self.said = [], []
        return lines


class _Inbox:
    """Feeds, each in a thread; what they put, taken in the order it came."""

    def __init__(self, feeds: Sequence[Feed], say: Say) -> None:
        self._queue: queue.Queue[tuple[str, Record | Tick | Ended] | None] = queue.Queue(INBOX)
        self._say = say
        self._running = len(feeds)
        self._lock = threading.Lock()
        self._waited, self._since, self._told = 0.0, time.monotonic(), False
        for feed in feeds:
            threading.Thread(target=self._run, args=(feed,), daemon=True).start()

    def take(self) -> dict[str, list[Record | Tick | Ended]]:
        """What came, by wearable: wait for something, then all that is there. Empty once every feed has ended."""
        items: dict[str, list[Record | Tick | Ended]] = {}
        count = 0
        while self._running and count < AT_ONCE:
            try:
                item = self._queue.get(block=not items)
            except queue.Empty:
                break
            if item is None:
                self._running -= 1
                continue
            items.setdefault(item[0], []).append(item[1])
            count += 1
        return items

    def _run(self, feed: Feed) -> None:
        try:
            feed(self._put)
        finally:
            self._queue.put(None)

    def _put(self, device: str, item: Record | Tick | Ended) -> None:
        try:
            self._queue.put_nowait((device, item))
        except queue.Full:
            start = time.monotonic()
            self._queue.put((device, item))
            self._note(start, time.monotonic())

    def _note(self, start: float, now: float) -> None:
        with self._lock:
            if now - self._since > 1:
                self._waited, self._since = 0.0, start
            self._waited += now - start
            if self._waited > SLOW_S and not self._told:
                self._told = True
                self._say("this computer is too slow for so many wearables: reading waits, and they may lose samples")
