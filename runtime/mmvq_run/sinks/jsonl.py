"""One JSON object a line, at once: a reader behind a pipe must not wait for a buffer to fill."""

from typing import BinaryIO

from mmvq_run.events import Event, as_json


class JsonLines:
    """Writes UTF-8 whatever the locale says."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, event: Event) -> None:
        """Write and flush a line."""
        self._out.write(as_json(event).encode() + b"\n")
        self._out.flush()
