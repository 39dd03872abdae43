"""Signals whose label the tiny model must tell, as frames, records, captures and recording files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mmvq_bridge.frames import Data, Hello, Stat, encode
from mmvq_bridge.stream.records import END, LOST, MAGIC, Kind, Opening, Record, opened
from mmvq_bridge.stream.records import encode as encode_record
from mmvq_run.pipeline import Options, answered
from mmvq_run.session import Session

RATE = 20.0
COUNTS = 4096
SECOND = 1_000_000_000
STRENGTH = {"sitting": 0.01, "walking": 0.3, "jogging": 1.2}  # g of deviation, on each axis


def signal(*bouts: tuple[str, float], rate: float = RATE, seed: int = 0) -> np.ndarray:
    """g, float64 (n, 3): bouts of (label, seconds)."""
    rng = np.random.default_rng(seed)
    moved = [rng.normal(0, STRENGTH[what], (round(s * rate), 3)) for what, s in bouts]
    return np.concatenate(moved) + np.array([0, 0, 1])


def hello(boot: int = 1, rate: float = RATE, counts: int = COUNTS, uid: int = 0xABC) -> bytes:
    return encode(Hello(1, boot, uid, round(rate * 1000), counts, 1))


def data(seq: int, t_us: int, xyz: np.ndarray, flags: int = 0) -> bytes:
    return encode(Data(flags, seq % 65536, t_us % 2**32, np.rint(xyz * COUNTS).astype(np.int16)))


def stat(dropped: int) -> bytes:
    return encode(Stat(1, dropped, 3900, 3000))


def frames(xyz: np.ndarray, start_us: int = 0, first_seq: int = 0, n: int = 10, rate: float = RATE) -> list[bytes]:
    """DATA frames of n samples each."""
    return [
        data(first_seq + k, start_us + round(at / rate * 1e6), xyz[at : at + n])
        for k, at in enumerate(range(0, len(xyz), n))
    ]


def records(pieces: list[bytes], start_ns: int = 5 * SECOND, step_ns: int = SECOND // 2) -> list[Record]:
    """Pieces of bytes that arrive one after the other, after HELLO and until the end."""
    told = [opened(start_ns, Opening("test", "2026-11-22T10:00:00Z"))]
    told += [Record(start_ns + (k + 1) * step_ns, Kind.BYTES, piece) for k, piece in enumerate(pieces)]
    return [*told, Record(told[-1].host_ns + 1, Kind.CLOSED, END)]


def lost(host_ns: int) -> Record:
    return Record(host_ns, Kind.CLOSED, LOST)


def capture(told: list[Record]) -> bytes:
    return MAGIC + b"".join(map(encode_record, told))


def play(model: Any, told: list[Record], **options: Any) -> list[dict[str, Any]]:
    """The events of records."""
    session = Session(model.metadata, Options(**options))
    asked = [*(session.feed(record) for record in told), session.finish()]
    return [event for asking in asked for event in answered(asking, model.predict)]


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def parsed(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def write_csv(path: Path, *recordings: tuple[int, np.ndarray, list[str]], scale: float = 1.0) -> Path:
    rows = ["recording,subject,label,t_ms,x,y,z"]
    for number, xyz, labels in recordings:
        for i, ((x, y, z), label) in enumerate(zip(xyz * scale, labels, strict=True)):
            rows.append(f"{number},p,{label},{i * 50},{x:.5f},{y:.5f},{z:.5f}")
    path.write_text("\n".join(rows) + "\n")
    return path
