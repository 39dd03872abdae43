"""Events for sinks, a process that tells them until it is killed, and waiting for what another thread does."""

import subprocess
import sys
import time

from mmvq_run.sinks.ids import Numbering

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
