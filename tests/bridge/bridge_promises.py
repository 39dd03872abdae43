"""What the bridge's parsers promise of any bytes, and true bytes to begin with.

A check takes bytes and fails where a promise is broken: something else than the documented error comes out, state
grows, or what was bad changes what follows. tests/*/test_fuzz.py runs all of them for a moment on hurt seeds,
benchmarks/fuzz.py for as long as one likes.
"""

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from mmvq_bridge import cobs
from mmvq_bridge.command import BadInput
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import KINDS, parse_faults
from mmvq_bridge.frames import (
    LONGEST_FRAME,
    OP_SET_RATE,
    OP_START,
    OP_STOP,
    Ack,
    Command,
    Data,
    Decoder,
    Hello,
    Ping,
    Pong,
    Stat,
    decode,
    encode,
)
from mmvq_bridge.recordings import LIMIT_G, RATES_HZ, Recording, RecordingFile, parse_recordings, write_recordings

GOLDEN: Final = json.loads(Path(__file__).with_name("golden.json").read_text())["vectors"]
RATE: Final = 20.0


@dataclass(frozen=True)
class Target:
    """A parser under test. check: fails if a promise is broken; seeds: bytes of the kind that it is made for."""

    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def check_cobs(data: bytes) -> None:
    """ValueError, or data whose encoding is the shortest one of them."""
    try:
        plain = cobs.decode(data)
    except ValueError:
        return
    short = cobs.encode(plain)
    assert cobs.decode(short) == plain
    assert 0 not in short
    assert len(short) <= len(data)


def check_decoder(data: bytes) -> None:
    """No error, at most a frame's bytes kept, the same however cut up, and whole again after the next zero."""
    whole, cut = Decoder(), Decoder()
    frames = whole.feed(data)
    step = 1 + sum(data[:4]) % 97
    told = []
    for at in range(0, len(data), step):
        told += cut.feed(data[at : at + step])
        assert len(cut._piece) <= LONGEST_FRAME
    assert told == frames
    assert cut.bad_frames == whole.bad_frames <= data.count(b"\0") + 1
    assert all(decode(encode(frame)[:-1]) == frame for frame in frames)
    assert whole.feed(b"\0" + encode(Ping(7)))[-1] == Ping(7)


def check_device(data: bytes) -> None:
    """Whatever a host sends, a device answers in frames, at most two to each of the host's, and goes on."""
    xyz = np.zeros((40, 3), np.float32)
    device = SimulatedDevice(np.arange(len(xyz)) / RATE, xyz, RATE)
    answers = device.receive(data, 0.5)
    assert {type(decode(answer[:-1])) for answer in answers} <= {Pong, Ack, Hello}
    assert len(answers) <= 2 * len(Decoder().feed(data))
    assert device.receive(b"\0" + encode(Ping(7)), 0.5)[-1] == encode(Pong(7, 500_000))
    assert device.receive(encode(Command(OP_START, 0)), 0.5)[0] == encode(Ack(OP_START, 0))
    assert device.frames_until(10.0)
    assert device.samples_sent + device.samples_missed == len(xyz)


def check_faults(data: bytes) -> None:
    """BadInput, or faults of which each is a number."""
    try:
        faults = parse_faults(data.decode("utf-8", "replace").split())
    except BadInput:
        return
    assert all(value == value for value in astuple(faults))
    assert 0 <= faults.drop <= 1


def check_recordings(data: bytes) -> None:
    """BadInput, or recordings as their class says."""
    try:
        file = parse_recordings(data, "a file", ("g", "auto", "counts:64")[len(data) % 3])
    except BadInput:
        return
    assert file.recordings
    assert RATES_HZ[0] <= file.rate_hz <= RATES_HZ[1]
    for recording in file.recordings:
        span = recording.t - recording.t[0]
        assert np.isfinite(span).all()
        assert (np.diff(span) >= 0).all()
        assert np.abs(recording.xyz).max() <= LIMIT_G
        assert recording.xyz.shape == (len(span), 3)
        assert recording.label.min() >= -1
        assert recording.label.max() < len(file.labels)


def wires() -> list[bytes]:
    """Frames of every type, one by one and in a row."""
    single = [bytes.fromhex(vector["frame"]) for vector in GOLDEN]
    talk = [
        Hello(1, 1, 0xABC, 20_000, 4096, 1),
        *(Data(0, i, i * 500_000, np.full((10, 3), 100 * i, np.int16)) for i in range(4)),
        Stat(4, 0, 3900, 3100),
    ]
    return [*single, b"".join(map(encode, talk))]


def asked() -> list[bytes]:
    """What a host says to a device."""
    said = [Ping(1), Command(OP_START, 0), Command(OP_STOP, 0), Command(OP_SET_RATE, 50_000), Command(9, 1)]
    return [*map(encode, said), b"".join(map(encode, said))]


def small_file() -> RecordingFile:
    """Two recordings of two people, with labels and a gap."""
    rng = np.random.default_rng(0)
    t = np.arange(12) / RATE
    t[8:] += 1
    xyz = rng.normal(0, 0.3, (12, 3)).astype(np.float32) + np.array([0, 0, 1], np.float32)
    label = np.repeat(np.array([0, -1, 1], np.int32), 4)
    two = Recording(0, "1600", t, xyz, label), Recording(1, "Zoë, 2", t, xyz, label)
    return RecordingFile("", two, ("sitting", "walking"), RATE, True, {"mmvq.name": "small"})


def written(suffix: str) -> bytes:
    """The small file's bytes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"small{suffix}"
        write_recordings(path, small_file())
        return path.read_bytes()


TARGETS: Final = {
    "cobs": Target(check_cobs, lambda: [wire[:-1] for wire in wires()]),
    "frames": Target(check_decoder, wires),
    "device": Target(check_device, asked),
    "faults": Target(
        check_faults, lambda: [b"drop=0.01 drift=-50 clock=4290", b"unplug=60 replug=5 scale=4 jitter=1e3", *(
            f"{kind}=inf".encode() for kind in KINDS
        )]
    ),
    "recordings_csv": Target(check_recordings, lambda: [written(".csv"), b"\xef\xbb\xbf" + written(".csv")]),
    "recordings_parquet": Target(check_recordings, lambda: [written(".parquet")]),
}  # fmt: skip
