"""Events on their way to a store that may fail: a full disk, a broker that comes and goes.

    write(event) ─► waiting, 16 MB at most ─► a thread of its own ─► store.deliver(events)
                         ▲                             │
                         └──── OSError: put back, tried again a little later

The stream never waits for trouble: while a store is in it, events wait here, and when there are too many the oldest
are dropped and counted. A store that is well but slower than a replay at full speed is waited for, as long as it takes
something, and nothing is dropped. An event leaves only once the store has it for good, so each arrives at least once;
its id tells a repetition.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from mmvq_run.events import Event
from mmvq_run.sinks.ids import Numbered, Numbering

LARGEST_WAIT: Final = 16 << 20  # bytes: one wearer's windows of three hours (1.4 KB a second), a quarter of the process
BATCH: Final = 100  # events at a time: a disk that syncs in 50 ms keeps up with 2000 a second, and little is repeated
IDLE_S: Final = 0.5  # without events, a store may look after itself this often
FIRST_PAUSE_S: Final = 0.2  # before what failed is tried again; doubled up to
LONGEST_PAUSE_S: Final = 5.0
STALLED_S: Final = 10.0  # a store that took nothing for so long is in trouble, too: a network drive that hangs
CLOSE_S: Final = 5.0  # how long the end of a run waits for a store that takes nothing
LAST_S: Final = 1.0  # and for an attempt that was under way by then

Say = Callable[[str], None]


class Store(Protocol):
    """Where events end. name: for messages, without passwords."""

    name: str

    def deliver(self, events: Sequence[Numbered]) -> int:
        """Keep the first of these events for good, and say how many. OSError: none, try again later."""
        ...

    def idle(self) -> None:
        """Nothing is to be delivered just now. OSError: nothing could be."""
        ...

    def close(self) -> None:
        """The end."""
        ...


class Kept:
    """A sink in front of a store. `say` is called from its thread."""

    def __init__(self, store: Store, say: Say) -> None:
        self._store = store
        self._say = say
        self._numbering = Numbering()
        self._changed = threading.Condition()  # guards what follows
        self._waiting: deque[Numbered] = deque()
        self._bytes = 0  # of what waits
        self._open = 0  # events not delivered: those that wait, and those that the thread has in hand
        self._lost = 0
        self._trouble = False
        self._deadline: float | None = None  # once the run is over
        self._closing = threading.Event()
        self._reasons: set[str] = set()  # what was said of this trouble
        self._pause_s = FIRST_PAUSE_S  # the thread's own: how long to wait before the next attempt
        self._thread = threading.Thread(target=self._work, name=store.name, daemon=True)
        self._thread.start()

    def write(self, event: Event) -> None:
        """Take an event; waits only for a store that is well and has too much to do."""
        numbered = self._numbering.number(event)
        with self._changed:
            if not self._changed.wait_for(lambda: self._trouble or self._bytes < LARGEST_WAIT, STALLED_S):
                self._trouble = True
                self._say_why(f"takes nothing for {STALLED_S:g} s")
            self._waiting.append(numbered)
            self._bytes += len(numbered.line)
            self._open += 1
            self._drop_oldest()
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver what waits, until the store has taken nothing for CLOSE_S; what is left is said."""
        with self._changed:
            self._deadline = time.monotonic() + CLOSE_S
            self._closing.set()
            self._changed.notify_all()
        while self._thread.is_alive() and (left := self._deadline + LAST_S - time.monotonic()) > 0:
            self._thread.join(left)
        with self._changed:
            missing = self._open + self._lost
        if missing:
            self._say(f"{self._store.name}: {_events(missing)} not delivered")

    def _work(self) -> None:
        try:
            while (batch := self._next()) is not None:
                try:
                    done = self._attempt(batch)
                except Exception as error:  # whatever a driver raises, the stream goes on
                    self._failed(batch, error)
                else:
                    self._went_well(batch, done)
            with suppress(Exception):  # all that was delivered is kept for good already
                self._store.close()
        finally:
            with self._changed:
                self._trouble = True  # so that nobody waits for a thread that is gone
                self._changed.notify_all()

    def _attempt(self, batch: list[Numbered]) -> int:
        if batch:
            return self._store.deliver(batch)
        self._store.idle()
        return 0

    def _next(self) -> list[Numbered] | None:
        """Some events, none to be idle, or None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._deadline, IDLE_S)
            if self._deadline and (not self._waiting or time.monotonic() > self._deadline):
                return None
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._bytes -= _size(batch)
            return batch

    def _went_well(self, batch: list[Numbered], done: int) -> None:
        with self._changed:
            self._put_back(batch[done:])
            self._open -= done
            if done and self._deadline:
                self._deadline = time.monotonic() + CLOSE_S
            was_trouble, lost = self._trouble, self._lost
            self._trouble, self._lost = False, 0
            self._changed.notify_all()
        self._pause_s = FIRST_PAUSE_S
        self._reasons.clear()
        if was_trouble:
            self._say(f"{self._store.name}: well again, {_events(lost) if lost else 'no event was'} lost")

    def _failed(self, batch: list[Numbered], error: Exception) -> None:
        with self._changed:
            self._put_back(batch)
            self._trouble = True
            self._drop_oldest()
            self._changed.notify_all()
        self._say_why(" ".join(str(getattr(error, "strerror", None) or error).split()))
        if self._closing.wait(self._pause_s):
            time.sleep(FIRST_PAUSE_S)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _say_why(self, reason: str) -> None:
        """Once for each reason, until the store is well again."""
        if reason not in self._reasons:
            self._reasons.add(reason)
            kept = f"events wait, {LARGEST_WAIT >> 20} MB of them at most, and it is tried again"
            self._say(f"{self._store.name}: {reason}; {kept}")

    def _put_back(self, events: list[Numbered]) -> None:
        self._waiting.extendleft(reversed(events))
        self._bytes += _size(events)

    def _drop_oldest(self) -> None:
        while self._trouble and self._bytes > LARGEST_WAIT:
            self._bytes -= len(self._waiting.popleft().line)
            self._open -= 1
            self._lost += 1


def _size(events: list[Numbered]) -> int:
    return sum(len(event.line) for event in events)


def _events(count: int) -> str:
    return "1 event was" if count == 1 else f"{count} events were"
