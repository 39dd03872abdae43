"""A file of events (DESIGN 3.6), line by line, each checked before anything is made of it. Nothing is kept.

A line's stream is named by its keys `device` and `recording`, where it has them. A line with an `id` that came before
is a repetition and told once. Lines of types that this version does not know are counted and left out: more types may
come. The last line may be torn, as a killed run leaves it; any other bad line is an error that names it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_run.events import VERSION
from mmvq_run.report.told import AGAIN, MAKERS, Fields, Told

LONGEST_LINE: Final = 1 << 20  # bytes; a window with all its pieces takes some 20 kB

Key = tuple[str | None, str | None]  # device and recording, as far as a line names them


class EventFile:
    """Iterate over it for the file's events, once, each with the key of its stream.

    torn: the number of a last line that was cut short, if one was; others: how many lines of types that are not known
    here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: int | None = None
        self.others: Counter[str] = Counter()
        self._ids: set[int] = set()  # hashes: a day of ids takes far more

    def __iter__(self) -> Iterator[tuple[str, Key, Told]]:
        """Where an event stands (file and line, for messages), its stream, the event. BadInput for a bad line."""
        try:
            with self.path.open("rb") as lines:
                number = 0
                while line := lines.readline(LONGEST_LINE):
                    number += 1
                    where = f"{self.path}: line {number}"
                    if fields := self._fields(line, number, where):
                        yield from self._told(fields)
        except OSError as error:
            raise BadInput(f"{self.path}: {error.strerror or error}; give a file of events of mmvq-run") from None

    def _fields(self, line: bytes, number: int, where: str) -> Fields | None:
        whole = line.endswith(b"\n")
        if not whole and len(line) == LONGEST_LINE:
            raise BadInput(f"{where} is over {LONGEST_LINE} bytes long, which no event is; {AGAIN}")
        if not line.strip():
            return None
        try:
            event = json.loads(line.decode("utf-8-sig"))
            if not isinstance(event, dict):
                raise ValueError("no JSON object")
        except (ValueError, RecursionError):
            if not whole:
                self.torn = number
                return None
            raise BadInput(f"{where} is no JSON object; {AGAIN}") from None
        return Fields(event, where)

    def _told(self, fields: Fields) -> Iterator[tuple[str, Key, Told]]:
        if fields.event.get("v") != VERSION:
            raise BadInput(f"{fields.where} is no event of version {VERSION}; {AGAIN}, or update mmvq")
        kind = fields.text("type")
        if kind not in MAKERS:
            self.others[kind] += 1
            return
        if "id" in fields.event:
            known = len(self._ids)
            self._ids.add(hash(fields.name("id")))
            if len(self._ids) == known:
                return
        key = tuple(fields.name(part) if part in fields.event else None for part in ("device", "recording"))
        yield fields.where, (key[0], key[1]), MAKERS[kind](fields)
