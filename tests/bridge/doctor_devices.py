"""Simulated devices for the doctor, some with firmware that is wrong: an hour of one is heard in a second."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.device import Block
from mmvq_bridge.doctor.examine import examine
from mmvq_bridge.doctor.heard import Heard
from mmvq_bridge.doctor.listener import Listener
from mmvq_bridge.doctor.questions import Questions
from mmvq_bridge.doctor.speech import Line
from mmvq_bridge.faults import Connection, FaultyLine, Unplugged, faulty_device, parse_faults
from mmvq_bridge.faults import Heard as HeardFrame
from mmvq_bridge.findings import Finding, Severity
from mmvq_bridge.frames import OP_START, Command, Data, Frame, Hello, Stat, decode, encode
from mmvq_bridge.stream.records import END, LOST, Kind, Opening, Record, Tick, opened
from mmvq_bridge.synthetic import motion

RATE: Final = 50.0
LOOK_S: Final = 0.1  # between two moments at which the host may ask
FLAT: Final = (0.02, -0.03, 1.01)  # what a device that lies flat measures, with a sensor's small offsets

HELLO: Final = Hello(1, 1, 0xABC, 50_000, 4096, 1)
FAULT, WARNING, UNKNOWN, FINE = Severity

Floats = npt.NDArray[np.float64]
Firmware = Callable[[Frame], bytes]


def still(seconds: float, rate_hz: float = RATE, posture: Sequence[float] = FLAT, noise_g: float = 0.004) -> Block:
    """A device at rest."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return t, np.array(posture) + np.random.default_rng(3).normal(0, noise_g, (len(t), 3))


def moving(seconds: float, rate_hz: float = RATE, seed: int = 1) -> Block:
    """A device that rests first and is moved then."""
    blocks = list(motion(seconds, rate_hz, seed))
    return np.concatenate([t for t, _ in blocks]), np.concatenate([xyz for _, xyz in blocks])


def heard_of(block: Block, words: str = "", rate_hz: float = RATE, seed: int = 1, firmware: Firmware = encode) -> Heard:
    """What is heard of a device that measures `block`, with faults such as "drop=0.01 reset=10".

    firmware: how it puts frames on the wire; nothing for one that it does not send.
    """
    faults = parse_faults(words.split())
    device = faulty_device([block], rate_hz, faults, seed)
    questions, listener = Questions(), Listener()
    for record in _records(Connection(device, FaultyLine(faults, seed)), questions, firmware):
        listener.take(record)
    return listener.heard(questions.asked)


def heard_bytes(pieces: Iterable[tuple[float, bytes]], until_s: float = 15.0) -> Heard:
    """What is heard of bytes that arrive at such times, in s, by a host that listens for so long."""
    listener = Listener()
    listener.take(opened(0, Opening("test", None)))
    for at_s, data in pieces:
        listener.take(Record(round(at_s * 1e9), Kind.BYTES, data))
    listener.take(Tick(round(until_s * 1e9)))
    return listener.heard()


def data(seq: int, t_us: int, size: int = 10, flags: int = 0) -> Data:
    noise = np.random.default_rng(seq).normal(0, 16, (size, 3))
    return Data(flags, seq % 2**16, t_us % 2**32, np.rint(4096 * np.array(FLAT) + noise).astype(np.int16))


def stream(seconds: float, change: Callable[[int], Data | None] = lambda k: data(k, 200_000 * k)) -> Heard:
    """A device of 50 Hz that says HELLO and STAT every 5 s, and `change(k)` for its frame k, every .2 s."""
    pieces = []
    for k in range(round(seconds * 5)):
        at = (k + 1) / 5
        if k % 25 == 0:
            pieces.append((at, encode(HELLO) + encode(Stat(k, 0, 3900, 3100))))
        if (frame := change(k)) is not None:
            pieces.append((at, encode(frame)))
    return heard_bytes(pieces, seconds)


def printed(block: Block, with_t_ms: bool, digits: int = 4) -> list[tuple[float, bytes]]:
    """A block as a hobby board prints it, with the times of arrival."""
    t, xyz = block
    rows = np.column_stack([np.rint(1000 * t), xyz]) if with_t_ms else xyz
    return [
        (float(at), ",".join(f"{number:.{digits}f}" for number in row).encode() + b"\r\n")
        for at, row in zip(t, rows, strict=True)
    ]


def found(heard: Heard, line: Line | None = None, up: str | None = None) -> dict[str, Finding]:
    """Findings by their kind, each of which comes once."""
    findings = examine(heard, line or Line(), up)
    by_kind = {finding.kind: finding for finding in findings}
    assert len(by_kind) == len(findings), findings
    assert all(finding.do for finding in findings if finding.severity is not Severity.FINE)
    return by_kind


def wrong(findings: dict[str, Finding]) -> set[str]:
    """Kinds of faults and warnings."""
    return {kind for kind, finding in findings.items() if finding.severity in (Severity.FAULT, Severity.WARNING)}


def _records(connection: Connection, questions: Questions, firmware: Firmware) -> Iterator[Record]:
    """What a host hears, asking as it does in truth."""
    yield opened(0, Opening("test", None))
    plugged, now = True, 0.0
    asked = encode(Command(OP_START, 0))  # as the port's reader does
    while connection.next_due_s is not None:
        for item in [*connection.receive(asked, now), *connection.until(now)]:
            ns = round(item.at_s * 1e9)
            if isinstance(item, HeardFrame):
                wire = item.wire if firmware is encode else firmware(decode(item.wire[:-1]))
                if wire:
                    yield Record(ns, Kind.BYTES, wire)
            elif isinstance(item, Unplugged):
                plugged = False
                yield Record(ns, Kind.CLOSED, LOST)
            else:
                plugged = True
                yield opened(ns, Opening("test", None))
        now += LOOK_S
        asked = questions(round(now * 1e9)) if plugged else b""
    if plugged:
        yield Record(round(now * 1e9), Kind.CLOSED, END)
