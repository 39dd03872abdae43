"""What the doctor asks a device while it listens, and when: PING once a second, COMMAND start once more.

The port's reader says COMMAND start when it has heard a first frame; a board that restarts just then does not hear it.
"""

from typing import Final

from mmvq_bridge.frames import OP_START, Command, Frame, Ping, encode

FIRST_PING_S: Final = 0.5  # so that two seconds of listening are enough for an answer
PING_EVERY_S: Final = 1.0
START_AT_S: Final = 3.0  # by then a board that restarts when its port is opened has booted


class Questions:
    """Called with the host's time in nanoseconds it gives the bytes to send then; `asked` keeps what was sent when."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Frame]] = []
        self._begin_ns: int | None = None
        self._next_ping_s, self._start_s = FIRST_PING_S, START_AT_S

    def __call__(self, host_ns: int) -> bytes:
        """What to say at `host_ns`; mostly nothing."""
        if self._begin_ns is None:
            self._begin_ns = host_ns
        at_s = (host_ns - self._begin_ns) / 1e9
        due: list[Frame] = []
        if at_s >= self._next_ping_s:
            due.append(Ping(len(self.asked) + 1))
            self._next_ping_s = at_s + PING_EVERY_S
        if at_s >= self._start_s:
            due.append(Command(OP_START, 0))
            self._start_s = float("inf")
        self.asked += [(host_ns, frame) for frame in due]
        return b"".join(map(encode, due))
