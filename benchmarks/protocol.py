"""The wire protocol in both languages: do they agree, what passes for a frame that is none, size and speed.

    python benchmarks/protocol.py        # minutes; needs gcc and arm-none-eabi-gcc; writes results/protocol.json

The C library runs as its tests build it, plain and with sanitizers, which end it at the first fault.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from common import write_result
from scipy.stats import poisson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "bridge"))

from c_library import Harness, arm_bytes, build_harness, random_frames

from mmvq_bridge.command import say
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.frames import OP_SET_RATE, OP_START, OP_STOP, Command, Decoder, Frame, Ping, encode
from mmvq_bridge.stream.timed import Samples
from mmvq_bridge.stream.wire import WireDecoder

SEED: Final = 0
MESSAGES: Final = 100_000
FUZZED_BYTES: Final = 10_000_000
HURT: Final = 0.3  # share of frames; of their bytes, in each,
CHANGED, LOST = 0.03, 0.01
NOISE: Final = 0.1  # share of places between two frames where noise lies
CHANCE: Final = 2**-16  # that a CRC of 16 bits fits by accident
HOUR_S, RATE_HZ = 3600, 100


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        plain, sanitized = (build_harness(Path(name), what) for what in (False, True))
        found: dict[str, Any] = {
            "arm": {cpu: arm_bytes(cpu, Path(name)) for cpu in ("cortex-m0plus", "cortex-m4")},
            "messages": {"plain": messages(plain), "sanitized": messages(sanitized)},
            "fuzz": {"of a device, in Python": python_fuzz(), "of a host, in C": c_fuzz(sanitized)},
            "speed": speed(),
        }
    write_result("protocol", SEED, found)


def messages(harness: Harness) -> dict[str, int]:
    """Random messages from C to Python and back: how many are another one on the way."""
    sent = random_frames(np.random.default_rng(SEED), MESSAGES)
    wire = harness.encode(sent)
    heard = Decoder().feed(wire)
    other = sum(a != b for a, b in zip(sent, heard, strict=True))
    return {"messages": len(sent), "bytes": len(wire), "different": other + (harness.encode(heard) != wire)}


def python_fuzz() -> dict[str, float]:
    """What a device says, hurt, into the Python decoder."""
    frames = random_frames(np.random.default_rng(SEED), 2000)
    return told(pieces(frames))


def c_fuzz(harness: Harness) -> dict[str, float]:
    """What a host says, hurt, into the C decoder, which has to hear what the Python one does."""
    said = [Ping(2**31 + 7), Command(OP_START, 0), Command(OP_STOP, 0), Command(OP_SET_RATE, 50_000), Ping(0)]
    stream = list(pieces(said))
    wire = b"".join(piece.wire for piece in stream)
    heard, bad = harness.decode(wire)
    decoder = Decoder()
    python = [frame for frame in decoder.feed(wire) if isinstance(frame, Ping | Command)]
    others = sum(a != b for a, b in zip(heard, python, strict=True))
    return told(stream) | {"heard_otherwise_in_c": others, "bad_frames_in_c": bad}


@dataclass(frozen=True)
class Piece:
    """Bytes of the line; the frame that they were, if any, and whether they still are."""

    wire: bytes
    frame: Frame | None
    whole: bool


def pieces(frames: Sequence[Frame]) -> Iterator[Piece]:
    """Ten million bytes: frames as they are, or hurt, and noise."""
    rng, wires, length = np.random.default_rng(SEED + 1), [encode(frame) for frame in frames], 0
    while length < FUZZED_BYTES:
        at = int(rng.integers(len(frames)))
        piece = Piece(wires[at], frames[at], True)
        if rng.random() < HURT:
            data = np.frombuffer(wires[at], np.uint8).copy()
            hit = rng.random(len(data)) < CHANGED
            hit[rng.integers(len(data))] = True
            data[hit] = rng.integers(0, 256, hit.sum(), dtype=np.uint8)
            piece = Piece(data[rng.random(len(data)) >= LOST].tobytes(), frames[at], False)
        elif rng.random() < NOISE:
            piece = Piece(rng.integers(0, 12, rng.integers(1, 60), dtype=np.uint8).tobytes(), None, False)
        length += len(piece.wire)
        yield piece


def told(stream: Iterable[Piece]) -> dict[str, float]:
    """How the Python decoder takes it. lost: whole frames that were not heard although a 00 stood before them; joined:
    those behind a piece that lost its 00, which hang together with it; wrong: frames that nobody said."""
    decoder, size, whole, hurt, joined, lost, wrong = Decoder(), 0, 0, 0, 0, 0, 0
    is_clear, before = True, None
    for piece in stream:
        heard = decoder.feed(piece.wire)
        size += len(piece.wire)
        if piece.whole and is_clear:
            whole += 1
            lost += heard != [piece.frame]
        else:
            hurt += 1 + piece.wire[:-1].count(0)
            joined += piece.whole
            wrong += sum(frame not in (piece.frame, before) for frame in heard)
        is_clear, before = piece.wire.endswith(b"\0") or (is_clear and not piece.wire), piece.frame
    return {
        "bytes": size, "whole_frames": whole, "lost": lost, "joined": joined, "hurt_pieces": hurt, "wrong": wrong,
        "wrong_by_chance": hurt * CHANCE, "wrong_by_chance_99.9": float(poisson.ppf(0.999, hurt * CHANCE)),
    }


def speed() -> dict[str, float]:
    """An hour of one wearable at 100 Hz, a frame at a time as it would come."""
    rng = np.random.default_rng(SEED)
    n = HOUR_S * RATE_HZ
    device = SimulatedDevice(np.arange(n) / RATE_HZ, rng.normal(0, 1, (n, 3)), RATE_HZ)
    sent = device.frames_until(np.inf)
    decoder, wire = Decoder(), WireDecoder("auto", arrival=True)
    frames_s = _seconds(lambda: [decoder.feed(data) for _, data in sent])
    heard: list[Samples] = []

    def timed() -> None:
        for due_s, data in sent:
            heard.extend(item for item in wire.feed(data, round(due_s * 1e9)) if isinstance(item, Samples))

    timed_s = _seconds(timed)
    assert sum(len(item.t) for item in heard) == n
    say(f"frames {HOUR_S / frames_s:.0f} times real time, timed samples {HOUR_S / timed_s:.0f}")
    return {
        "hours": HOUR_S / 3600, "rate_hz": RATE_HZ, "frames": len(sent),
        "frames_times_real_time": HOUR_S / frames_s, "frames_share_of_core": frames_s / HOUR_S,
        "timed_times_real_time": HOUR_S / timed_s, "timed_share_of_core": timed_s / HOUR_S,
        "samples_a_second": n / timed_s,
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
