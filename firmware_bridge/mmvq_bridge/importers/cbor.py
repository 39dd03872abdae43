"""CBOR (RFC 8949), as far as data needs it: what JSON can say, and bytes. Tags are passed over.

    item    u8 (major << 5 | info) | the argument: info itself below 24, else 1, 2, 4 or 8 bytes that follow | content
    major   0 whole number   1 negative   2 bytes   3 text   4 list   5 map   6 tag   7 float, true, false, null

A length of info 31 is open: items follow until a byte 0xFF. Nothing is believed that the bytes do not bear out.
"""

import struct
from typing import Any, Final

DEEPEST: Final = 32  # lists in lists: a file needs 4
OPEN: Final = 31
FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}
SIMPLE: Final = {20: False, 21: True, 22: None, 23: None}

_BREAK: Final = object()


def loads(data: bytes) -> Any:
    """The item that the bytes begin with. ValueError if they are none, or end inside it."""
    value = _Reader(data).item(0)
    if value is _BREAK:
        raise ValueError("it begins with an end")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def item(self, depth: int) -> Any:
        """The next item, or _BREAK."""
        if depth > DEEPEST:
            raise ValueError(f"over {DEEPEST} items in one another at byte {self._at}")
        major, info = divmod(self._take(1)[0], 32)
        if major == 7:
            return self._simple(info)
        length = self._argument(info)
        if major < 2 and length is not None:
            return length if major == 0 else -1 - length
        if major in (2, 3):
            parts = [self._take(length)] if length is not None else self._items(None, depth)
            if not all(isinstance(part, bytes | str) for part in parts):
                raise ValueError(f"no text at byte {self._at}")
            joined = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
            return joined if major == 2 else joined.decode()
        if major == 4:
            return self._items(length, depth)
        if major == 5:
            flat = self._items(None if length is None else 2 * length, depth)
            if len(flat) % 2 or not all(isinstance(key, str) for key in flat[::2]):
                raise ValueError(f"no map with texts for keys before byte {self._at}")
            return dict(zip(flat[::2], flat[1::2], strict=True))
        if major == 6 and length is not None:
            return self.item(depth + 1)
        raise ValueError(f"no item at byte {self._at}")

    def _items(self, count: int | None, depth: int) -> list[Any]:
        """So many items, or all up to the break."""
        found: list[Any] = []
        while count is None or len(found) < count:
            item = self.item(depth + 1)
            if item is _BREAK:
                if count is None:
                    break
                raise ValueError(f"an end too early at byte {self._at}")
            found.append(item)
        return found

    def _simple(self, info: int) -> Any:
        if info in FLOATS:
            return struct.unpack(FLOATS[info], self._take(struct.calcsize(FLOATS[info])))[0]
        if info == OPEN:
            return _BREAK
        if info not in SIMPLE:
            raise ValueError(f"no item at byte {self._at}")
        return SIMPLE[info]

    def _argument(self, info: int) -> int | None:
        """What follows an item's first byte: a number or a length; None for an open one."""
        if info < 24:
            return info
        if info == OPEN:
            return None
        if info > 27:
            raise ValueError(f"no item at byte {self._at}")
        return int.from_bytes(self._take(1 << (info - 24)), "big")

    def _take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise ValueError(f"cut short at byte {len(self._data)}")
        self._at += count
        return piece
