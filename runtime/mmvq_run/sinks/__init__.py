"""Where events go: JSON lines, lines for a person; and the capture of the bytes they came from."""

import sys
from typing import BinaryIO, Protocol

from mmvq_run.events import Event
from mmvq_run.sinks.jsonl import JsonLines
from mmvq_run.sinks.text import TextLines

__all__ = ["JsonLines", "Sink", "TextLines", "choose"]


class Sink(Protocol):
    """Takes events, one at a time."""

    def write(self, event: Event) -> None:
        """Show an event at once."""
        ...


def choose(format: str, out: BinaryIO) -> Sink:
    """auto is text on a terminal and JSON lines in a pipe."""
    text = format == "text" or (format == "auto" and sys.stdout.isatty())
    return TextLines(out) if text else JsonLines(out)
