"""The live view on a terminal: what is worn, what it is taken for, and why. Needs rich, the extra `live`.

It is drawn in place, at most four times a second and only when something changed, by a thread of its own: a terminal
that is slow, or stopped with Ctrl-S, keeps nobody from reading the port. What it looks like: `live_render`.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live

from mmvq_run.events import Event
from mmvq_run.sinks.live_render import Codes, Lines, render, summary
from mmvq_run.sinks.live_state import Streams
from mmvq_run.sketch import Floats

__all__ = ["Codes", "LiveView", "suits"]

PERIOD_S: Final = 0.25  # between drawings: a drawing costs a millisecond or so, an edge device has little to give


def suits(console: Console) -> bool:
    """Whether it is a terminal whose cursor can be moved and that takes the characters of a sketch."""
    return console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")


class LiveView:
    """A sink that shows, between `__enter__` and `__exit__`, the latest of everything, and leaves a summary of each
    stream that ended."""

    def __init__(self, codes: Codes, console: Console | None = None) -> None:
        """console: one that `suits`; standard output if there is none given."""
        self._codes = codes
        self._console = console or Console()
        self._streams = Streams()
        self._changed = False
        self._lock = threading.Lock()  # of the two above
        self._over = threading.Event()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Begin to draw. Lines on stderr appear above the view, if that is where they go."""
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._open.enter_context(self._live)
        self._open.callback(self._live.update, Lines([]))  # rich draws once more at its end: nothing, then
        self._drawing = self._open.enter_context(ThreadPoolExecutor(1)).submit(self._keep_drawing)
        self._open.callback(self._over.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The view goes and the cursor is back, whatever ended it."""
        self._open.close()

    def write(self, event: Event) -> None:
        """Show an event. What made drawing impossible, such as a terminal that is gone, is raised here."""
        if self._drawing.done():
            self._drawing.result()
        with self._lock:
            stream = self._streams.take(event)
            self._changed = True
        if event["type"] == "end":
            self._console.print(summary(stream))

    def see(self, t: Floats, xyz: Floats, device: str | None = None) -> None:
        """Show samples as they come: session time in seconds (n,), g (n, 3). device: as events name it."""
        with self._lock:
            self._streams.see(t, xyz, device)
            self._changed = True

    def _keep_drawing(self) -> None:
        while not self._over.wait(PERIOD_S):
            with self._lock:
                drawn = render(self._streams, self._codes, *self._console.size) if self._changed else None
                self._changed = False
            if drawn is not None:
                self._live.update(drawn, refresh=True)
