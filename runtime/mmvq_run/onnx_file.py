"""The properties of an ONNX file, and its checksum, without loading it: nothing unverified reaches ONNX Runtime.

An ONNX file is one protobuf message (ModelProto). Only its top level is walked: field 14 (metadata_props) holds
messages with field 1 (key) and field 2 (value). Sources: onnx.proto of ONNX, and the Protocol Buffers encoding
(https://protobuf.dev/programming-guides/encoding/).
"""

import hashlib
from collections.abc import Iterator
from typing import Final

METADATA_PROPS: Final = 14
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
