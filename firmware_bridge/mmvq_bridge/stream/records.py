"""The record stream: everything that the runtime prints is a function of it, so a capture of it can be replayed.

    capture    magic "MMVQCAP1", then records
    record     u8 kind (1 opened, 2 bytes, 3 closed) | u64 host_ns | u32 length | length bytes        little-endian
    opened     JSON {"source": where the bytes came from, "wall": ISO-8601 in UTC or null}, and "arrival": false where
               the bytes came without arrival times (a raw dump): host_ns then says nothing
    closed     "end" (of the input, or the user's wish) or "lost" (the port went away; opened may follow)

host_ns is the host's monotonic clock. Reading trusts nothing: kinds, lengths and order are checked first.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final, Protocol

from mmvq_bridge.command import BadInput

MAGIC: Final = b"MMVQCAP1"
LONGEST_PAYLOAD: Final = 1 << 20  # bytes; a read from a port gives 64 KB at most, so more is damage
LONGEST_NAME: Final = 4096  # characters of a source: the longest path that Linux takes
END: Final = b"end"
LOST: Final = b"lost"

_HEAD: Final = struct.Struct("<BQI")
_WALL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


class Kind(IntEnum):
    """What a record tells."""

    OPENED = 1
    BYTES = 2
    CLOSED = 3


@dataclass(frozen=True)
class Record:
    """Something that happened at host time `host_ns` (nanoseconds)."""

    host_ns: int
    kind: Kind
    payload: bytes


@dataclass(frozen=True)
class Tick:
    """Nothing happened up to host time `host_ns`. A live source gives it, a capture does not hold it."""

    host_ns: int


@dataclass(frozen=True)
class Opening:
    """What an `opened` record says. wall is None where nobody knows when the bytes were taken."""

    source: str
    wall: str | None
    arrival: bool = True


class Readable(Protocol):
    """Anything with `read(n)`: at most n bytes, none at the end."""

    def read(self, size: int, /) -> bytes:
        """Read bytes."""
        ...


def wall_now() -> str:
    """The wall clock, for an `opened` record."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(name: str) -> str:
    """A source's name without what a terminal would obey or UTF-8 cannot hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_NAME])


def opened(host_ns: int, opening: Opening) -> Record:
    """The record of a source that opened."""
    fields: dict[str, object] = {"source": printable(opening.source), "wall": opening.wall}
    if not opening.arrival:
        fields["arrival"] = False
    return Record(host_ns, Kind.OPENED, json.dumps(fields).encode())


def parse_opening(payload: bytes) -> Opening:
    """The fields of an `opened` record; ValueError if they are not as they should be."""
    try:
        fields = json.loads(payload)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    source, wall, arrival = fields.get("source"), fields.get("wall"), fields.get("arrival", True)
    if not isinstance(source, str) or len(source) > LONGEST_NAME or not source.isprintable():
        raise ValueError("no usable source")
    if wall is not None and not (isinstance(wall, str) and _WALL.fullmatch(wall)):
        raise ValueError("no usable wall time")
    if not isinstance(arrival, bool):
        raise ValueError("arrival is neither true nor false")
    return Opening(source, wall, arrival)


def encode(record: Record) -> bytes:
    """A record as a capture holds it."""
    return _HEAD.pack(record.kind, record.host_ns, len(record.payload)) + record.payload


def read_capture(stream: Readable, path: str, say: Callable[[str], None]) -> Iterator[Record]:
    """The records of a capture. `stream` stands behind the magic; `path` serves messages.

    A capture that ends inside a record is replayed up to there, and `say` gets a notice. Raises BadInput where the
    bytes cannot be a capture.
    """
    number, last_ns, is_open, at_all = 0, 0, False, False
    while head := _read_exactly(stream, _HEAD.size):
        number += 1
        where = f"{path}: record {number}"
        if len(head) < _HEAD.size:
            say(f"{where} is cut short; replayed up to there")
            return
        kind, host_ns, length = _HEAD.unpack(head)
        if kind not in iter(Kind) or length > LONGEST_PAYLOAD:
            raise BadInput(f"{where} is none (kind {kind}, {length} bytes); the capture is damaged, copy it again")
        payload = _read_exactly(stream, length)
        if len(payload) < length:
            say(f"{where} is cut short; replayed up to there")
            return
        if host_ns < last_ns:
            raise BadInput(f"{where}: time runs backwards; the capture is damaged, copy it again")
        if (kind == Kind.OPENED) == is_open:
            raise BadInput(f"{where}: {Kind(kind).name.lower()} out of turn; the capture is damaged, copy it again")
        if kind == Kind.OPENED:
            try:
                parse_opening(payload)
            except ValueError as error:
                raise BadInput(f"{where}: {error}; the capture is damaged, copy it again") from None
        last_ns, is_open, at_all = host_ns, kind != Kind.CLOSED, True
        yield Record(host_ns, Kind(kind), payload)
    if not at_all:
        raise BadInput(f"{path}: a capture without records; record again")


def _read_exactly(stream: Readable, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data
