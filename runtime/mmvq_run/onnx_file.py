"""The properties of an ONNX file, and its checksum, without loading it: nothing unverified reaches ONNX Runtime.

An ONNX file is one protobuf message (ModelProto). Field 14 (metadata_props) holds messages with field 1 (key) and 2
(value); field 7 the graph, whose field 1 are nodes, and field 25 functions, whose field 7 are nodes; field 4 of a node
is its kind. Nothing else is looked into. Sources: onnx.proto of ONNX, and the Protocol Buffers encoding
(https://protobuf.dev/programming-guides/encoding/).
"""

import hashlib
from collections.abc import Iterator
from typing import Final

METADATA_PROPS: Final = 14
NODES: Final = {7: 1, 25: 7}  # fields of ModelProto that hold nodes, and in which of their fields
KIND: Final = 4
FIELDS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})  # of ModelProto; any other is no ONNX file
CHECKSUM: Final = "mmvq.sha256"
DIGITS: Final = 64

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_properties(data: bytes) -> dict[str, tuple[bytes, int]]:
    """metadata_props: key -> (value, where the value starts in `data`).

    ValueError if `data` is no whole ONNX file, or a key stands in it twice.
    """
    properties: dict[str, tuple[bytes, int]] = {}
    for number, start, end in _fields(data, 0, len(data)):
        if number not in FIELDS:
            raise ValueError(f"unknown field {number}")
        if number != METADATA_PROPS:
            continue
        entry = {field: (begin, stop) for field, begin, stop in _fields(data, start, end)}
        if 1 not in entry or 2 not in entry:
            continue
        key = data[slice(*entry[1])].decode("utf-8")
        if key in properties:
            raise ValueError(f"property {key} twice")
        properties[key] = (data[slice(*entry[2])], entry[2][0])
    return properties


def kinds(data: bytes) -> set[str]:
    """Kinds of all nodes, but for those inside of nodes. ValueError as `read_properties`."""
    found = set()
    for number, start, end in _fields(data, 0, len(data)):
        for field, begin, stop in _fields(data, start, end) if number in NODES else ():
            if field == NODES[number]:
                found |= {data[a:b].decode() for own, a, b in _fields(data, begin, stop) if own == KIND}
    return found


def checksum(data: bytes, at: int) -> str:
    """SHA-256 of `data` with the 64 digits at `at`, its own, replaced by zeros."""
    return hashlib.sha256(data[:at] + b"0" * DIGITS + data[at + DIGITS :]).hexdigest()


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of the fields of a message; a length-delimited one without its length."""
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            start, (_, stop) = at, _varint(data, at, end)
        elif wire == _BYTES:
            length, start = _varint(data, at, end)
            stop = start + length
        elif wire in (_FIXED32, _FIXED64):
            start, stop = at, at + (4 if wire == _FIXED32 else 8)
        else:
            raise ValueError(f"wire type {wire}")
        if number == 0 or stop > end:
            raise ValueError("cut short")
        yield number, start, stop
        at = stop


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
