"""What the runtime promises of any bytes that a device sends, and true bytes to begin with; see bridge_promises.py.

What comes from a device is a story: steps that follow one another, written down in bytes so that they can be hurt.

    story     u8 options, then steps with BREAK between them
    options   1 arrival times are unknown  2 units g, else auto  4 lines are t_ms,x,y,z, else x,y,z
    step      u8 kind | u16 milliseconds since the step before | bytes
    kind      0 bytes  1 a frame's payload, to be made whole  2 the port is lost and back  3 a wait of so many seconds
"""

import binascii
import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import tiny_model
from wearing import SECOND, frames, hello, lost, records, signal, stat

sys.path.insert(0, str(Path(__file__).parent.parent / "bridge"))

from bridge_promises import Target

from mmvq_bridge import cobs
from mmvq_bridge.command import BadInput
from mmvq_bridge.frames import Command, Decoder, encode
from mmvq_bridge.recordings import LIMIT_G
from mmvq_bridge.stream.decode import FrameTimer
from mmvq_bridge.stream.lines import LONGEST_LINE, LineTimer, parse_line
from mmvq_bridge.stream.records import END, Kind, Opening, Record, opened
from mmvq_bridge.stream.stop import Stop
from mmvq_bridge.stream.timed import Item, Missing, Samples, Wearer
from mmvq_bridge.stream.wire import NOISE_BYTES, WireDecoder
from mmvq_run.events import as_json
from mmvq_run.model import Model
from mmvq_run.pipeline import Options, answered
from mmvq_run.session import Session
from mmvq_run.sources.listener import HELLO_BYTES, LONGEST_TOKEN, READ, _Listener, _Visitor

NO_ARRIVAL, IN_G, FOUR_COLUMNS = 1, 2, 4
BYTES, FRAME, REOPENED, WAIT = range(4)
STEP: Final = struct.Struct("<BH")
BREAK: Final = b"\xaa\xa5\n"  # no length, so that what is hurt in one step leaves the others alone
SIZES: Final = {1: 20, 3: 12, 4: 4, 5: 8, 6: 5, 7: 2}  # bytes of a frame's fields by its type, but for DATA
LATEST_NS: Final = 2**64 - 1  # a capture's host_ns
TOKEN: Final = "c0ffee"
# A gap is told up to five grid periods after a window that ends later: resampling and windows look ahead by as much.
LATE_S: Final = 5 / tiny_model.RATE
START_MS: Final = 5000

Told = tuple[int, int, bytes]  # kind, milliseconds since the one before, bytes


def story(steps: Iterable[Told], options: int = 0) -> bytes:
    """Steps in bytes."""
    return bytes([options]) + BREAK.join(STEP.pack(kind, ms) + data for kind, ms, data in steps)


def read_story(data: bytes) -> tuple[bool, str, list[Record]]:
    """Any bytes as (arrival, units, records), the first of them `opened` and the last `closed`."""
    options, host_ns = (data[:1] or b"\0")[0], START_MS * 1_000_000
    opening = opened(host_ns, Opening("story", None, not options & NO_ARRIVAL))
    told = [opening]
    for step in data[1:].split(BREAK):
        if len(step) < STEP.size:
            continue
        (kind, ms), payload = STEP.unpack_from(step), step[STEP.size :]
        wait_s = int.from_bytes(payload[:5], "little") if kind % 4 == WAIT else 0
        host_ns = min(LATEST_NS, host_ns + ms * 1_000_000 + wait_s * SECOND)
        if kind % 4 == BYTES:
            told.append(Record(host_ns, Kind.BYTES, payload))
        elif kind % 4 == FRAME:
            told.append(Record(host_ns, Kind.BYTES, framed(payload)))
        elif kind % 4 == REOPENED:
            told += [lost(host_ns), Record(host_ns, Kind.OPENED, opening.payload)]
    told.append(Record(host_ns, Kind.CLOSED, END))
    return not options & NO_ARRIVAL, "g" if options & IN_G else "auto", told


def framed(payload: bytes) -> bytes:
    """The frame that a payload nearly is: its length and its CRC are made right, whatever it says."""
    kind = payload[:1]
    if kind == b"\2":
        n = max(1, min(80, (len(payload) - 9) // 6))
        payload = payload[:8].ljust(8, b"\0") + bytes([n]) + payload[9 : 9 + 6 * n].ljust(6 * n, b"\0")
    elif kind and kind[0] in SIZES:
        payload = kind + payload[1 : 1 + SIZES[kind[0]]].ljust(SIZES[kind[0]], b"\0")
    return cobs.encode(payload + binascii.crc_hqx(payload, 0xFFFF).to_bytes(2, "little")) + b"\0"


def written(told: Sequence[Record], options: int = 0) -> bytes:
    """Records as a story, their frames taken apart."""
    steps: list[Told] = []
    before = START_MS * 1_000_000
    for record in told[1:-1]:
        ms, before = (record.host_ns - before) // 1_000_000, record.host_ns
        if record.kind == Kind.OPENED:
            steps.append((REOPENED, ms, b""))
        elif record.kind == Kind.BYTES and Decoder().feed(record.payload):
            for piece in record.payload.split(b"\0")[:-1]:
                steps.append((FRAME, ms, cobs.decode(piece)[:-2]))
                ms = 0
        elif record.kind == Kind.BYTES:
            steps.append((BYTES, ms, record.payload))
    return story(steps, options)


class Clock:
    """Looks at items as they come: samples are as their class says, and time never goes back."""

    def __init__(self) -> None:
        self.t = 0.0
        self.samples = 0

    def check(self, items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Samples):
                assert len(item.t) == len(item.xyz) > 0
                assert (np.diff(item.t, prepend=self.t) >= 0).all()
                assert np.isfinite(item.t).all()
                assert np.abs(item.xyz).max() <= LIMIT_G
                self.t, self.samples = float(item.t[-1]), self.samples + len(item.t)
            elif isinstance(item, Missing):
                assert item.count >= 0
                assert np.isfinite([item.t, item.seconds]).all()
                assert item.t >= self.t
            elif isinstance(item, Wearer):
                assert 1 <= item.rate_hz <= 10_000


def check_lines(data: bytes) -> None:
    """BadInput at most, samples as they should be, and no more than a line kept of what is none."""
    arrival, units, told = read_story(data)
    timer, clock = LineTimer(units, arrival), Clock()
    timer.begin(4 if (data[:1] or b"\0")[0] & FOUR_COLUMNS else 3)
    try:
        for record in told:
            if record.kind == Kind.OPENED:
                timer.reopen()
            elif record.kind == Kind.BYTES:
                assert len(parse_line(record.payload) or (0, 0, 0)) in (3, 4)
                clock.check(timer.feed(record.payload, record.host_ns))
            assert len(timer._rest) <= 2 * LONGEST_LINE
        clock.check(timer.finish())
    except BadInput:
        return


def check_timer(data: bytes) -> None:
    """Whatever frames say, samples are as they should be; nothing is refused, and nothing piles up."""
    arrival, _, told = read_story(data)
    timer, clock, decoder = FrameTimer(arrival), Clock(), Decoder()
    for record in told[1:]:
        if record.kind == Kind.OPENED:
            timer.reopen()
        elif record.kind == Kind.BYTES:
            for frame in decoder.feed(record.payload):
                clock.check(timer.feed(frame, record.host_ns))
    assert len(timer.clock._points) <= 600


def check_wire(data: bytes) -> None:
    """BadInput at most; what is no stream is not kept; frames are understood after anything that is not lines."""
    arrival, units, told = read_story(data)
    wire, clock = WireDecoder(units, arrival), Clock()
    try:
        for record in told[1:]:
            if record.kind == Kind.OPENED:
                wire.reopen()
            elif record.kind == Kind.BYTES:
                clock.check(wire.feed(record.payload, record.host_ns))
            kept = [len(piece) for piece, _ in wire._undecided]
            assert sum(kept[:-1]) <= NOISE_BYTES
        host_ns, before = told[-1].host_ns, clock.samples
        if wire._mode != "lines":
            clock.check(wire.feed(fresh(), host_ns))
            assert clock.samples >= before + 10
        clock.check(wire.finish())
    except BadInput:
        return


def fresh() -> bytes:
    """What a device says that has just booted, behind whatever came before."""
    return b"\0" + hello(boot=0xB007) + b"".join(frames(signal(("walking", 1))))


def check_session(data: bytes) -> None:
    """BadInput at most; events are JSON, finite and in order; a device that boots is heard after anything but lines."""
    _, units, told = read_story(data)
    session = Session(tiny().metadata, Options(units=units, explain="full"))
    events: list[dict[str, Any]] = []
    try:
        for record in [*told[:-1], Record(told[-1].host_ns, Kind.BYTES, fresh())]:
            before = session.samples
            events += answered(session.feed(record), tiny().predict)
        assert session._wire._mode == "lines" or session.samples >= before + 10
        events += answered(session.feed(told[-1]), tiny().predict)
        events += answered(session.finish(), tiny().predict)
    except BadInput:
        return
    check_events(events)


def check_events(events: Sequence[dict[str, Any]]) -> None:
    """First the session, last its end; each can be written and read; windows are in order, and so are windows and
    gaps between two states of the device."""
    assert [event["type"] for event in (events[0], events[-1])] == ["session", "end"]
    for event in events:
        assert json.loads(as_json(event)) == event
        assert event["v"] == 1
        assert event["t"] >= 0
    ends = [event["t"] for event in events if event["type"] == "window"]
    assert all(a < b for a, b in pairwise(ends))
    t = 0.0
    for event in events:
        if event["type"] == "device" and "onset" not in event:
            t = 0.0
        elif event["type"] in ("window", "gap"):
            assert event["t"] >= t - LATE_S, (event, t)
            t = max(t, event["t"])


def check_listener(data: bytes) -> None:
    """Who has no token is turned away, whoever has it is known in the end, and no more is kept than may be needed."""
    said: list[str] = []
    put: list[tuple[str, object]] = []
    listener = _Listener(socket.socket(), TOKEN, 1.0, Stop(), said.append)
    listener._put = lambda device, item: put.append((device, item))
    ours, theirs = socket.socketpair()
    with listener._server, listener._selector, ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        visitor = _Visitor(ours, "peer", time.monotonic())
        listener._visitors.add(visitor)
        listener._selector.register(ours, selectors.EVENT_READ, visitor)
        step = 1 + sum(data[:4]) % 997
        for at in range(0, len(data), step):
            if visitor not in listener._visitors:
                break
            theirs.send(data[at : at + step])
            listener._read(visitor)
            assert len(visitor.buffer) <= max(LONGEST_TOKEN, HELLO_BYTES) + READ
        listener._look_round()
        first, end, rest = data.partition(b"\n")
        welcome = bool(end) and first.strip().lower() == TOKEN.encode()
        assert visitor.token_fits == welcome
        assert bool(said) == (not welcome and (bool(end) or len(data) > LONGEST_TOKEN))
        if visitor.device:
            passed = b"".join(item.payload for _, item in put if getattr(item, "kind", 0) == Kind.BYTES)
            assert rest.endswith(passed) and passed


@cache
def tiny() -> Model:
    """The tiny model, as the runtime loads it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.onnx"
        path.write_bytes(tiny_model.build())
        return Model(path)


def talks() -> list[list[Record]]:
    """What devices have to tell: a walk; a reset, a wrap, a lost port, noise, a slow clock; lines of both kinds."""
    walk = signal(("sitting", 6), ("walking", 8))
    beats = [hello(), *frames(walk, n=40)]
    upset = [
        hello(), *frames(walk[:80], 2**32 - 1_500_000), stat(3), b"\x05noise\0", *frames(walk[80:160], 2_500_000, 9),
        hello(boot=2), *frames(walk[:60]), hello(boot=2, rate=25.0), *frames(walk[60:120], 3_000_000, rate=19.6),
    ]  # fmt: skip
    fast = [hello(rate=50.0), *frames(signal(("jogging", 12), rate=50.0), n=80, rate=50.0)]
    slow = signal(("walking", 12), rate=10.0)
    timed = [f"{1000 + 100 * i},{x:.3f},{y:.3f},{z:.3f}\r\n".encode() for i, (x, y, z) in enumerate(slow)]
    plain = [line.split(b",", 1)[1] for line in timed]
    some = [[b"".join(lines[i : i + 10]) for i in range(0, len(lines), 10)] for lines in (timed, plain)]
    before, after = records(beats[:4], step_ns=2 * SECOND), records(beats, start_ns=40 * SECOND, step_ns=2 * SECOND)
    return [
        records(beats, step_ns=2 * SECOND), records(fast, step_ns=SECOND * 8 // 5), records(upset),
        records([b"ready\n", *some[0]], step_ns=SECOND), records(some[1], step_ns=SECOND),
        [*before[:-1], lost(before[-1].host_ns), *after],
    ]  # fmt: skip


def stories() -> list[bytes]:
    """The talks with each option."""
    return [written(told, options) for told in talks() for options in (0, NO_ARRIVAL, IN_G, FOUR_COLUMNS)]


def visits() -> list[bytes]:
    """What comes over a connection."""
    talk = hello() + b"".join(frames(signal(("walking", 3))))
    return [
        TOKEN.encode() + b"\n" + talk, b"C0FFEE\r\n" + talk[5:], b"badbad\n" + talk, b"x" * 300,
        TOKEN.encode() + b"\n" + b"1,2,3\n" * 1500, encode(Command(1, 0)),
    ]  # fmt: skip


TARGETS: Final = {
    "lines": Target(check_lines, stories),
    "timer": Target(check_timer, stories),
    "wire": Target(check_wire, stories),
    "session": Target(check_session, stories),
    "listener": Target(check_listener, visits),
}
