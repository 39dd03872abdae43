"""A line that may go away and come back, as records: opened, bytes, closed, and again."""

import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

from mmvq_bridge.command import Failed
from mmvq_bridge.stream.records import END, LOST, Kind, Opening, Record, Tick, opened, wall_now
from mmvq_bridge.stream.stop import Stop

FIRST_WAIT_S: Final = 0.2  # before a lost line is tried again; doubled up to
LONGEST_WAIT_S: Final = 1.0  # so that events come again two seconds after the line is back

Say = Callable[[str], None]
Found = TypeVar("Found")


class PortLost(Failed):
    """The port went away and did not come back."""


class Line(Protocol):
    """What is open and can be read."""

    def read(self, stop: Stop) -> Iterator[Record | Tick]:
        """Bytes as they come, and ticks while none do, until a wish to stop. OSError when it goes away."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def keep_reading(
    name: str, line: Line, again: Callable[[], Line | None], within_s: float, stop: Stop, say: Say
) -> Iterator[Record | Tick]:
    """Records of `line`, and, when it goes away, of what `again` gives (None: it is not back), until a wish to stop.

    Raises PortLost, after the last record, if it is not back within `within_s` seconds.
    """
    while True:
        try:
            yield opened(time.monotonic_ns(), Opening(name, wall_now()))
            yield from line.read(stop)
        except OSError as error:
            yield Record(time.monotonic_ns(), Kind.CLOSED, LOST)
            reason = str(error)
        else:
            yield Record(time.monotonic_ns(), Kind.CLOSED, END)
            return
        finally:
            line.close()
        say(f"{name}: lost ({reason})" + (f"; waiting up to {within_s:g} s for it" if within_s else ""))
        back = again()
        if back is None:
            if stop.asked:
                return
            waited = f" and not back within {within_s:g} s" if within_s else ""
            raise PortLost(f"{name}: it went away{waited}; bring it back and start again")
        say(f"{name}: back again")
        line = back


def retried(attempt: Callable[[float], Found | None], within_s: float, stop: Stop) -> Found | None:
    """What `attempt` gives, tried with growing waits for up to `within_s` seconds; it is told how many are left, and
    raises OSError where there is nothing yet. None if there was nothing, or on a wish to stop."""
    deadline = time.monotonic() + within_s
    wait_s = FIRST_WAIT_S
    while not stop.asked and (left := deadline - time.monotonic()) > 0:
        stop.sleep(min(wait_s, left))
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        try:
            return attempt(max(0.0, deadline - time.monotonic()))
        except OSError:
            continue
    return None
