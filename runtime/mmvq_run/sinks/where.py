"""What `--sink WHERE` may say, and the sink that it means.

    events.jsonl, file:events.jsonl?mb=10&files=5      JSON lines: files in all, each of at most mb megabytes
    sqlite:events.db                                   a table
    mqtt://[user:password@]host[:1883]/topic, mqtts:// messages
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from mmvq_bridge.command import BadInput
from mmvq_run.sinks.kept import Kept, Say, Store
from mmvq_run.sinks.mqtt import FORM, Broker, parse_address
from mmvq_run.sinks.rotating import RotatingFile
from mmvq_run.sinks.sqlite import SqliteTable

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: C:\events.jsonl has none
FORMS: Final = f"FILE.jsonl, file:FILE.jsonl?mb=10&files=5, sqlite:FILE.db, {FORM}, mqtts://..."
MB: Final = "10"  # by default: two hours of one wearer's windows at one a second
FILES: Final = "5"
LARGEST_MB: Final = 1e6  # a terabyte; what is larger was mistyped
MOST_FILES: Final = 1000  # each is renamed at each rotation


@contextmanager
def open_sink(where: str, say: Say) -> Iterator[Kept]:
    """A sink for a run, closed at its end. `say` takes lines about trouble and its end, from another thread.

    BadInput, before any event, if `where` means nothing, or a place where nothing can be kept. A full disk or an absent
    broker is no error: it is said, and waited for.
    """
    sink = Kept(_store(where, say), say)
    try:
        yield sink
    finally:
        sink.close()


def _store(where: str, say: Say) -> Store:
    found = SCHEME.match(where)
    scheme, rest = (found[1].lower(), where[found.end() :]) if found else ("file", where)
    if scheme in ("mqtt", "mqtts"):
        return Broker(parse_address(where))
    if scheme not in ("file", "sqlite"):
        raise BadInput(f"--sink: unknown scheme {scheme}; there are {FORMS}; a file with a colon is file:NAME")
    path, _, query = rest.partition("?")
    if not path or path.startswith("//"):
        raise BadInput(f"--sink {scheme}: needs the name of a file, and no //; there are {FORMS}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = options.keys() - ({"mb", "files"} if scheme == "file" else set())
    if unknown:
        raise BadInput(f"--sink {scheme}: has no option {', '.join(sorted(unknown))}; there are {FORMS}")
    if scheme == "sqlite":
        return SqliteTable(Path(path))
    try:
        mb, files = float(options.get("mb", MB)), int(options.get("files", FILES))
    except ValueError:
        mb, files = 0.0, 0
    if not (0 < mb <= LARGEST_MB and 2 <= files <= MOST_FILES):
        raise BadInput(f"--sink {path}: mb is a number above 0, and files a whole one from 2 to {MOST_FILES}")
    return RotatingFile(Path(path), round(mb * 1e6), files, say)
