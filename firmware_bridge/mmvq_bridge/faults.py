"""What a bad line does to a simulated device, repeatably: frames get lost, bits flip, the plug comes out."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput

KINDS: Final = {
    "drop": "share of frames that never arrive, 0 to 1",
    "corrupt": "share of frames with one flipped bit, 0 to 1",
    "unplug": "second of device time at which the port vanishes",
}


@dataclass(frozen=True)
class Faults:
    """drop, corrupt: shares of frames; unplug_s: device time in seconds."""

    drop: float = 0.0
    corrupt: float = 0.0
    unplug_s: float = math.inf


class FaultyLine:
    """Carries a device's frames and hurts some. The same seed and frames give the same bytes.

    dropped, corrupted: how many frames met that fate.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self.dropped = self.corrupted = 0
        self._rng = np.random.default_rng(seed)

    def carry(self, frame: bytes) -> bytes:
        """What arrives of one frame: nothing, the frame with one bit flipped (perhaps in its closing 00), or all."""
        # Three draws for every frame, so that one kind of fault does not move the places of another.
        drop, corrupt, where = self._rng.random(3)
        if drop < self.faults.drop:
            self.dropped += 1
            return b""
        if corrupt >= self.faults.corrupt:
            return frame
        self.corrupted += 1
        hurt = bytearray(frame)
        byte, bit = divmod(int(where * 8 * len(frame)), 8)
        hurt[byte] ^= 1 << bit
        return bytes(hurt)


def parse_faults(words: Iterable[str]) -> Faults:
    """Faults from words such as "drop=0.01". BadInput for an unknown kind, one given twice, a value out of range."""
    values: dict[str, float] = {}
    for word in words:
        kind, _, text = word.partition("=")
        if kind not in KINDS:
            raise BadInput(f"fault {word!r} is unknown; use one of {', '.join(f'{name}=NUMBER' for name in KINDS)}")
        if kind in values:
            raise BadInput(f"fault {kind} is given twice; give it once")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        highest = math.inf if kind == "unplug" else 1.0
        if not 0 <= value <= highest:
            raise BadInput(f"fault {word!r}: {kind} is the {KINDS[kind]}, such as {kind}=0.01")
        values[kind] = value
    return Faults(values.get("drop", 0.0), values.get("corrupt", 0.0), values.get("unplug", math.inf))
