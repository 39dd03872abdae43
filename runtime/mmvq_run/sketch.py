"""Shapes, signals and numbers as characters for a terminal. Pure.

    sparks      ▁▂▄▆█▆▄▂    a curve, one block a value
    braille     ⡠⠔⠊⠉⠑⠢⣀     a signal, two columns of four dots a character
    bar         ██████▌     a share of the whole
    signed_bar    ▐█│       a number on its side of zero
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

LEVELS: Final = "▁▂▃▄▅▆▇█"
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
DOTS_UP: Final = 4  # of a Braille character
DOTS_ACROSS: Final = 2
BLANK: Final = 0x2800  # Braille without a dot; a dot adds its bit
BITS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)

Floats = npt.NDArray[np.float64]


def sparks(values: Sequence[float]) -> str:
    """A curve as a row of blocks, its lowest value the lowest block."""
    low, high = min(values), max(values)
    scale = (len(LEVELS) - 1) / (high - low) if high > low else 0
    return "".join(LEVELS[round((value - low) * scale)] for value in values)


def thinned(values: Sequence[float], most: int) -> list[float]:
    """A curve in at most so many values (one at the least): the mean of each stretch."""
    count = min(most, len(values))
    edges = [i * len(values) // count for i in range(count + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def braille(low: Floats, high: Floats, rows: int) -> list[str]:
    """A signal as `rows` lines of text, the top one first.

    low, high: what it went through in each column of dots (n,), in dots from 0 at the bottom; NaN where there is none.
    Neighbours are joined, so that a steep signal is a line and no cloud of dots.
    """
    count = -(-len(low) // DOTS_ACROSS) * DOTS_ACROSS
    edges = np.full((2, count), np.nan)
    edges[:, : len(low)] = low, high
    edges[0, 1:] = np.fmin(edges[0, 1:], np.where(np.isnan(edges[0, 1:]), np.nan, edges[1, :-1]))
    edges[1, 1:] = np.fmax(edges[1, 1:], np.where(np.isnan(edges[1, 1:]), np.nan, edges[0, :-1]))
    bottom, top = np.rint(edges)
    heights = np.arange(rows * DOTS_UP)[::-1, None]
    dots = (heights >= bottom) & (heights <= top)
    cells = dots.reshape(rows, DOTS_UP, count // DOTS_ACROSS, DOTS_ACROSS)
    letters = np.einsum("rucd,ud->rc", cells, BITS) + BLANK
    return ["".join(map(chr, row)) for row in letters.tolist()]


def bar(share: float, cells: int) -> str:
    """A share, from 0 to 1, of `cells` characters; eighths of a character count."""
    whole, part = divmod(round(min(max(share, 0.0), 1.0) * cells * 8), 8)
    return ("█" * whole + (EIGHTHS[part] if part else "")).ljust(cells)


def signed_bar(value: float, most: float, cells: int) -> str:
    """A number as a bar of up to `cells` characters to the right of a line, or to its left if it is below zero.

    most: the number whose bar is full. Halves of a character count: to the left there are no finer ones.
    """
    share = min(abs(value) / most, 1.0) if most > 0 else 0.0
    whole, half = divmod(round(share * cells * 2), 2)
    left = "▐" * half + "█" * whole if value < 0 else ""
    right = "█" * whole + "▌" * half if value >= 0 else ""
    return f"{left:>{cells}}│{right:<{cells}}"
