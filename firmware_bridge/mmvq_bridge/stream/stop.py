"""Stopping politely: Ctrl-C and SIGTERM ask, and whoever reads or sleeps looks here, so that windows are flushed."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

NAP_S: Final = 0.1  # how long a request may go unnoticed


class Stop:
    """asked: whether the user, or the system, wants the end."""

    def __init__(self) -> None:
        self.asked = False

    def sleep(self, seconds: float) -> None:
        """Sleep, but not over a request to stop."""
        deadline = time.monotonic() + seconds
        while not self.asked and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(NAP_S, left))

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM set `asked`; the second one interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, at: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
