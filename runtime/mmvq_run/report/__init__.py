"""A day of events as a page: when what was done, why the runtime thinks so, and where data is missing.

`read` checks a file's lines, which `told` takes apart; `stream` keeps stretches and sums of them (`reasons` those of an
activity), and `totals` adds up; `page` writes HTML, with `timeline` and its `pictures`, `entries` and `tables`.
"""

from pathlib import Path

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic
from mmvq_run.report.page import page
from mmvq_run.report.read import EventFile, Key
from mmvq_run.report.stream import Day, Stream
from mmvq_run.report.told import LONGEST_TEXT, Session, printable

__all__ = ["read_day", "write_report"]


def write_report(events: Path, out: Path) -> None:
    """Write the page of a file of events to `out`, whole or not at all. BadInput for a bad line or no session."""
    file = EventFile(events)
    written = page(read_day(file), file)
    with atomic(out) as part:
        part.write_text(written, encoding="utf-8")


def read_day(file: EventFile) -> Day:
    """What a page shows of a file. BadInput for a bad line, or without a session."""
    day = Day()
    current: dict[Key, Stream] = {}
    for where, key, told in file:
        if isinstance(told, Session):
            if key in current:
                current[key].close()
            current[key] = day.begin(_name(key, len(day.streams)), told)
        elif key in current:
            current[key].take(told, where)
        else:
            raise BadInput(f"{where} comes before its stream's session line; join what mmvq-run wrote, oldest first")
    if not current:
        raise BadInput(f"{file.path}: no session line, so no events of mmvq-run; make it with --format jsonl")
    for stream in current.values():
        stream.close()
    return day


def _name(key: Key, number: int) -> str:
    parts = zip(("device", "recording"), key, strict=True)
    named = [f"{what} {printable(name, LONGEST_TEXT)}" for what, name in parts if name is not None]
    return ", ".join(named) or f"stream {number + 1}"
