"""On which line of a JSON text each value stands, so that a message can name it. `json` tells that of errors only."""

import json
import re
from typing import Final

Place = tuple[str | int, ...]  # the keys and indices that lead to a value, () for the whole

TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def line_numbers(text: str) -> dict[Place, int]:
    """The line, from 1, on which each value of `text` begins. The text must be valid JSON."""
    found: dict[Place, int] = {}
    place: list[str | int] = []  # of the value that comes next
    containers: list[str] = []
    line, counted, key_next = 1, 0, False
    for token in TOKEN.finditer(text):
        line += text.count("\n", counted, token.start())
        counted = token.start()
        sign = token.group()
        if sign in ("}", "]"):
            containers.pop()
            place.pop()
            key_next = False
        elif sign == ",":
            key_next = containers[-1] == "{"
            if not key_next:
                place[-1] = int(place[-1]) + 1
        elif key_next:
            place[-1] = json.loads(sign)
            key_next = False
        elif sign != ":":
            found[tuple(place)] = line
            if sign in ("{", "["):
                containers.append(sign)
                place.append("" if sign == "{" else 0)
                key_next = sign == "{"
    return found


def spelt(place: Place) -> str:
    """('activities', 'soup', 'keywords', 1) -> 'activities.soup.keywords[1]'."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")
