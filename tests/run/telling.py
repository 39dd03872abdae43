"""Events for sinks, a process that tells them until it is killed, and waiting for what another thread does."""

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from mmvq_run.sinks.ids import Numbering
from mmvq_run.sinks.where import open_sink

SESSION = {"v": 1, "type": "session", "t": 0.0, "wall": "2026-11-22T10:00:00Z", "model": "tiny", "source": "test"}

# Writes to every sink that it is given until it is killed, and says what it wrote when.
ENDLESS = """
import sys, time
from contextlib import ExitStack
from mmvq_run.sinks.where import open_sink

with ExitStack() as stack:
    sinks = [stack.enter_context(open_sink(where, lambda line: print(line, file=sys.stderr))) for where in sys.argv[1:]]
    for n in range(1_000_000):
        for sink in sinks:
            sink.write({"v": 1, "type": "gap", "t": float(n), "lost": n})
        print(n, time.monotonic(), flush=True)
        time.sleep(0.001)
"""


def gap(n: int, **more):
    return {"v": 1, "type": "gap", "t": float(n), "lost": n, "seconds": 0.05, "why": "sequence", **more}


def run_of(count: int):
    return [SESSION, *map(gap, range(count))]


def ids_of(events):
    numbering = Numbering()
    return [numbering.number(event).id for event in events]


def until(condition, what: str):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def told_until_killed(*wheres: str) -> list[tuple[int, float]]:
    """What a process told these sinks until it was killed, after 1.3 s: (number, seconds before its end) of each."""
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, *wheres], stdout=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline()]
        first = float(lines[0].split()[1])
        while time.monotonic() < first + 1.3:
            lines.append(process.stdout.readline())
        killed = time.monotonic()
    finally:
        process.kill()
        rest, _ = process.communicate()
    told = [line.split() for line in [*lines, *rest.splitlines()]]
    return [(int(number), killed - float(when)) for number, when in told]


def lines_of(*paths: Path):
    """The events of whole lines; a line that is none fails."""
    text = "".join(path.read_text() for path in paths)
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def rows_of(path: Path, columns="id"):
    db = sqlite3.connect(path)
    try:
        return db.execute(f"SELECT {columns} FROM events ORDER BY rowid").fetchall()
    finally:
        db.close()


def kept_ids(where: str):
    """The ids that a file or a database holds, in order."""
    path = Path(where.removeprefix("sqlite:").removeprefix("file:").partition("?")[0])
    if where.startswith("sqlite:"):
        return [name for (name,) in rows_of(path)]
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda old: -int(old.suffix[1:]))
    return [event["id"] for event in lines_of(*older, path)]


def keep(where: str, events):
    said = []
    with open_sink(where, said.append) as sink:
        for event in events:
            sink.write(event)
    return said
