"""Consistent Overhead Byte Stuffing: bytes without a zero in them, so that a zero can end a frame.

    data      11 22 00 33                  a block = a code c, then c - 1 bytes that are not zero
    encoded   03 11 22 02 33               after a block stands a zero, but not after the last one
                                           and not after a block with code FF (254 bytes)

Source: Cheshire and Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7(2), 1999.
Where data end in a block of 254 bytes, some encoders write one more, empty block (01). It says nothing: the encoder
here leaves it out (the shortest form), the decoder takes both.
"""

from typing import Final

LONGEST_BLOCK: Final = 254  # bytes; with the code, which counts itself, FF


def encode(data: bytes) -> bytes:
    """The shortest encoding of `data`, without the closing zero."""
    out = bytearray()
    runs = data.split(b"\0")
    for number, run in enumerate(runs, 1):
        start = 0
        while len(run) - start >= LONGEST_BLOCK:
            out.append(LONGEST_BLOCK + 1)
            out += run[start : start + LONGEST_BLOCK]
            start += LONGEST_BLOCK
        # After the last run stands no zero, so an empty block behind a full one would say nothing.
        if number < len(runs) or start == 0 or start < len(run):
            out.append(len(run) - start + 1)
            out += run[start:]
    return bytes(out)


def decode(data: bytes) -> bytes:
    """The data that `encode` was given. ValueError if `data` (without the closing zero) is no encoding."""
    if not data:
        raise ValueError("an encoding has at least one byte")
    if 0 in data:
        raise ValueError(f"zero at byte {data.index(0)}; an encoding has none")
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        if at + code > len(data):
            raise ValueError(f"the block at byte {at} wants {code} bytes, {len(data) - at} are left")
        out += data[at + 1 : at + code]
        at += code
        if code <= LONGEST_BLOCK and at < len(data):
            out.append(0)
    return bytes(out)
