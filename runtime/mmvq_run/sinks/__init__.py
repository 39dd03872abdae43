"""Where events go: JSON lines, lines for a person or a view of what goes on; and the capture of what they came from."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from mmvq_run.events import Event
from mmvq_run.metadata import Metadata
from mmvq_run.signal.resample import Floats
from mmvq_run.sinks.jsonl import JsonLines
from mmvq_run.sinks.text import TextLines

__all__ = ["JsonLines", "Sink", "TextLines", "Watcher", "choose"]


class Sink(Protocol):
    """Takes events, one at a time."""

    def write(self, event: Event) -> None:
        """Show an event at once."""
        ...


class Watcher(Protocol):
    """Looks at samples as they come."""

    def __call__(self, t: Floats, xyz: Floats, device: str | None = None) -> None:
        """Session time in seconds (n,), g (n, 3), and whose they are where there are several."""
        ...


@contextmanager
def choose(
    format: str, out: BinaryIO, metadata: Metadata, live: bool, say: Callable[[str], None]
) -> Iterator[tuple[Sink, Watcher | None]]:
    """Where events go, and samples if they are wanted.

    auto is JSON lines in a pipe, and on a terminal lines of text; or, of what goes on while one looks (`live`), a view
    of it, where rich is there and the terminal can show it.
    """
    if format == "jsonl" or (format == "auto" and not sys.stdout.isatty()):
        yield JsonLines(out), None
        return
    if format == "auto" and live:
        try:
            from rich.console import Console

            from mmvq_run.sinks.live import Codes, LiveView, suits
        except ImportError:
            say("plain lines; pip install 'mmvq[live]' for a view of what goes on")
        else:
            console = Console()
            if suits(console):
                with LiveView(Codes(metadata.code_views, metadata.code_shapes), console) as view:
                    yield view, view.see
                return
    yield TextLines(out), None
