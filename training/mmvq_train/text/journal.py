"""The journal of an authoring run: every answer as it came, so that a run cut short goes on where it stood.

    {"schema": 1, "endpoint": .., "model": .., "style": .., "count": .., "prompts_sha256": ..,
     "prompts": {"system.txt": .., ..}}
    {"label": .., "attempt": 1, "date": .., "endpoint": .., "model": .., "answered_by": .., "messages": [..],
     "answer": .., "finish_reason": .., "verdict": "accepted" or the error told}
    ..

One object a line. The first is written whole or not at all; the others are appended, each on the disk before the next
question is asked. A killed run can so leave no more than a torn last line, which the next opening cuts off.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic

SCHEMA: Final = 1
ACCEPTED: Final = "accepted"
# With another of these the old answers would be of another bank. The endpoint may move: it is the same model there.
SAME: Final = ("schema", "model", "style", "count", "prompts_sha256")

Scrub = Callable[[str], str]


class Accepted(NamedTuple):
    """An answer that was accepted, and the model that gave it."""

    answer: str
    answered_by: str


class Journal:
    """An open journal. `accepted`: the last accepted answer of each label, as it stood when the journal was opened."""

    def __init__(self, file: BinaryIO, accepted: Mapping[str, Accepted], scrub: Scrub) -> None:
        self.accepted = accepted
        self._file = file
        self._scrub = scrub

    def append(self, entry: Mapping[str, object]) -> None:
        """One line more, on the disk when this returns."""
        self._file.write(_line(entry, self._scrub))
        self._file.flush()
        os.fsync(self._file.fileno())


def journal_path(bank: Path) -> Path:
    """Where the journal of a bank lies."""
    return bank.with_name(f"{bank.stem}.answers.jsonl")


@contextmanager
def open_journal(path: Path, settings: Mapping[str, object], scrub: Scrub) -> Iterator[Journal]:
    """Begin a journal, or take one up again that has the same settings; every text in it goes through `scrub`.

    BadInput names the setting that differs, or the line that is damaged.
    """
    first = _line({"schema": SCHEMA, **settings}, scrub)
    if not path.exists():
        with atomic(path) as part:
            part.write_bytes(first)
    with path.open("a+b") as file:
        file.seek(0)
        entries, end = _read(path, file.read())
        _same_settings(path, entries[0], json.loads(first))
        file.truncate(end)
        accepted = {
            entry["label"]: Accepted(entry["answer"], entry["answered_by"])
            for entry in entries[1:]
            if entry["verdict"] == ACCEPTED
        }
        yield Journal(file, accepted, scrub)


def _read(path: Path, data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The entries, the settings first, and where the last whole one ends."""
    *lines, rest = data.split(b"\n")
    entries: list[dict[str, Any]] = []
    end = 0
    for number, line in enumerate(lines or [b""], 1):
        entry = _entry(line, settings=number == 1)
        if entry is None:
            if 1 < number == len(lines) and not rest:
                break  # torn as well: a machine that loses power may keep a line's length and lose what stood in it
            raise BadInput(f"{path}: line {number} is damaged; mend it, or move the file away to begin anew")
        entries.append(entry)
        end += len(line) + 1
    return entries, end


def _entry(line: bytes, settings: bool) -> dict[str, Any] | None:
    """None if it is no line of a journal."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    texts = ("label", "verdict", *(("answer", "answered_by") if entry.get("verdict") == ACCEPTED else ()))
    whole = all(key in entry for key in SAME) if settings else all(isinstance(entry.get(key), str) for key in texts)
    return entry if whole else None


def _same_settings(path: Path, then: Mapping[str, object], now: Mapping[str, object]) -> None:
    for key in SAME:
        if then[key] != now[key]:
            what = "other prompts" if key == "prompts_sha256" else f"{key} {then[key]!r}, not {now[key]!r}"
            raise BadInput(f"{path}: begun with {what}; move it away, or give another --out")


def _line(entry: Mapping[str, object], scrub: Scrub) -> bytes:
    return json.dumps(_scrubbed(entry, scrub)).encode("ascii") + b"\n"


def _scrubbed(value: object, scrub: Scrub) -> object:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {key: _scrubbed(item, scrub) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item, scrub) for item in value]
    return value
