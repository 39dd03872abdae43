"""Hurt and arbitrary bytes for a moment, the same ones each time; benchmarks/fuzz.py goes on for as long as one likes.

Below are the inputs that it has found.
"""

import json
import re
import socket
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import file_promises
import numpy as np
import pytest
import stream_promises
import tiny_model
from file_promises import sealed
from hypothesis import assume, given
from hypothesis import strategies as st
from stream_promises import BREAK, BYTES, FRAME, REOPENED, TOKEN, WAIT, Clock, fresh, story
from wearing import SECOND, data, frames, hello, of, play, records, signal

sys.path.insert(0, str(Path(__file__).parent.parent / "bridge"))

from hurt import QUICK, hurt, whatever

from mmvq_bridge.command import BadInput
from mmvq_bridge.frames import FLAG_OVERRUN, Data, Decoder, Frame, Hello, Stat
from mmvq_bridge.recordings import Recording, RecordingFile
from mmvq_bridge.stream.decode import FrameTimer
from mmvq_bridge.stream.lines import LineTimer, parse_line
from mmvq_bridge.stream.records import Kind, Opening, Record, opened
from mmvq_bridge.stream.stop import Stop
from mmvq_bridge.stream.timed import Samples
from mmvq_bridge.stream.wire import WireDecoder, columns_of_lines
from mmvq_run.judge import parse_rules
from mmvq_run.metadata import parse_metadata
from mmvq_run.model import Model
from mmvq_run.pipeline import Options, answered
from mmvq_run.recording_stream import recording_events
from mmvq_run.session import Session
from mmvq_run.signal import Resampler
from mmvq_run.sources.listener import listen

OF_STORIES = ("lines", "timer", "wire", "session")
TARGETS = stream_promises.TARGETS | file_promises.TARGETS
STEPS = [step for told in stream_promises.stories() for step in told[1:].split(BREAK)]

u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
i16 = st.integers(-(2**15), 2**15 - 1)


@st.composite
def bouts(draw: st.DrawFn) -> Data:
    """A DATA frame of any fields."""
    n, level = draw(st.integers(1, 80)), draw(st.tuples(i16, i16, i16))
    return Data(draw(u8), draw(u16), draw(u32), np.tile(np.array(level, np.int16), (n, 1)))


# Rates and scales that can be, most of the time: else no sample comes of anything.
greetings = st.builds(Hello, u8, st.integers(0, 2), st.integers(0, 1), st.integers(1000, 100_000) | u32, u16, u8)
talk = st.one_of(greetings, bouts(), bouts(), bouts(), st.builds(Stat, u32, u32, u16, i16))
waits = st.sampled_from([0, 1, 10**6, SECOND // 2, 4 * SECOND, 80 * 60 * SECOND, 2**62])


@st.composite
def stories(draw: st.DrawFn) -> bytes:
    """Steps of the seeds in any order, some of them hurt, and steps of any bytes."""
    any_step = st.tuples(st.sampled_from([BYTES, FRAME, REOPENED, WAIT]), u16, st.binary(max_size=60))
    one = st.one_of(st.sampled_from(STEPS), hurt(STEPS), any_step.map(lambda step: story([step])[1:]))
    return bytes([draw(st.integers(0, 7))]) + BREAK.join(draw(st.lists(one, max_size=40)))


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in OF_STORIES])
def test_a_parser_keeps_its_promises_on_any_bytes(name: str) -> None:
    target = TARGETS[name]
    QUICK(given(whatever(target.seeds()))(target.check))()


@pytest.mark.parametrize("name", OF_STORIES)
def test_a_device_may_say_anything_in_any_order(name: str) -> None:
    QUICK(given(stories())(TARGETS[name].check))()


@QUICK
@given(st.lists(st.tuples(talk, waits), max_size=30), st.booleans())
def test_time_never_goes_back_whatever_frames_say(said: list[tuple[Frame, int]], arrival: bool) -> None:
    timer, clock, host_ns = FrameTimer(arrival), Clock(), 0
    for frame, wait_ns in said:
        host_ns = min(2**64 - 1, host_ns + wait_ns)
        clock.check(timer.feed(frame, host_ns))
    clock.check(timer.finish())


def heard(wire: WireDecoder, told: bytes) -> list[tuple[float, ...]]:
    """Times and values of the samples that come of some bytes."""
    some = [item for item in wire.feed(told, 0) if isinstance(item, Samples)]
    return [(float(t), *xyz) for item in some for t, xyz in zip(item.t, item.xyz, strict=True)]


@QUICK
@given(st.binary(max_size=600))
def test_noise_before_a_stream_changes_nothing_of_it(noise: bytes) -> None:
    assume(not Decoder().feed(noise + b"\0") and not columns_of_lines(noise))
    assert heard(WireDecoder("g", arrival=True), noise + fresh()) == heard(WireDecoder("g", arrival=True), fresh())


@QUICK
@given(st.binary(max_size=600))
def test_noise_inside_a_stream_costs_no_sample_that_it_does_not_touch(noise: bytes) -> None:
    assume(not Decoder().feed(noise + b"\0"))
    sent = frames(signal(("walking", 4)))
    clean, noisy = WireDecoder("g", arrival=True), WireDecoder("g", arrival=True)
    first, last = hello() + b"".join(sent[:4]), b"".join(sent[4:])
    assert heard(noisy, first) + heard(noisy, noise + b"\0" + last) == heard(clean, first) + heard(clean, last)


def test_a_listener_outlives_whatever_comes_and_hears_the_next_wearable() -> None:
    stop, said, put = Stop(), [], []
    feed = listen("0", TOKEN, 0.0, stop, said.append)
    port = int(said[0].rsplit(":", 1)[1])
    server = threading.Thread(target=feed, args=(lambda device, item: put.append((device, item)),))
    server.start()
    try:
        welcome = TOKEN.encode() + b"\n"
        strangers = [b"", b"\n", b"\0" * 5000, b"x" * 257, b"GET / HTTP/1.1\r\n\r\n"]
        for first in [*strangers, welcome, welcome + b"\xff" * 9000]:
            with socket.create_connection(("127.0.0.1", port)) as line:
                line.sendall(first)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(welcome + hello(uid=0xABC))
            assert line.recv(100)  # the token was right: the device is asked to start
            line.shutdown(socket.SHUT_WR)
            line.recv(100)  # until the listener closes it, too
    finally:
        stop.asked = True
        server.join()
    known = [item for device, item in put if device == f"{0xABC:016x}"]
    assert [item.kind for item in known[:3]] == [Kind.OPENED, Kind.BYTES, Kind.CLOSED]


def noise() -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    while True:
        yield rng.integers(0, 256, 4096, dtype=np.uint8).tobytes()


def empty_lines() -> Iterator[bytes]:
    while True:
        yield b"\n" * 50


def reads_of_nothing() -> Iterator[bytes]:
    while True:
        yield b""


def lines_without_end() -> Iterator[bytes]:
    yield from (b"%d,0,0,1\n" % (50 * i) for i in range(60))
    while True:
        yield b"1," * 1000


def lines_whose_time_stands_still() -> Iterator[bytes]:
    yield from (b"%d,0,0,1\n" % (50 * i) for i in range(60))
    while True:
        yield b"2950,0,0,1\n" * 20


def frames_whose_time_hardly_moves() -> Iterator[bytes]:
    yield hello()
    still = np.tile([0.0, 0.0, 1.0], (80, 1))
    yield from (data(i, i, still) for i in count())


@pytest.mark.parametrize(
    "endless",
    [
        noise, empty_lines, reads_of_nothing, lines_without_end, lines_whose_time_stands_still,
        frames_whose_time_hardly_moves,
    ],
)  # fmt: skip
def test_what_never_ends_takes_no_memory(model: Model, endless: Callable[[], Iterator[bytes]]) -> None:
    session = Session(model.metadata, Options())
    answered(session.feed(opened(0, Opening("board", None))), model.predict)
    source = enumerate(endless())

    def grown(reads: int) -> int:
        before, _ = tracemalloc.get_traced_memory()
        for number, piece in (next(source) for _ in range(reads)):
            answered(session.feed(Record(number * SECOND // 100, Kind.BYTES, piece)), model.predict)
        session.notices.clear()
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    grown(200)  # up to whatever limits there are
    more = grown(200)
    tracemalloc.stop()
    assert more < 50_000


def test_many_samples_of_one_moment_take_no_more_memory_than_they_are() -> None:
    t = np.concatenate([np.zeros(20_000), np.arange(1, 2000) / 100])
    xyz = np.ones((len(t), 3))
    resampler = Resampler(100.0, 20.0)
    tracemalloc.start()
    pieces = resampler.push(t, xyz)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(piece.xyz) for piece in pieces) > 390
    assert peak < 20_000_000


def test_a_gap_lies_behind_the_samples_before_it_also_where_frames_come_too_soon() -> None:
    timer, still = FrameTimer(arrival=True), np.zeros((40, 3), np.int16)
    clock = Clock()
    for frame in (Hello(1, 1, 1, 20_000, 4096, 1), Data(0, 0, 0, still), Data(FLAG_OVERRUN, 1, 500_000, still)):
        clock.check(timer.feed(frame, 0))


def test_years_between_two_samples_of_a_file_take_no_memory(model: Model) -> None:
    t = np.concatenate([np.arange(300) / 20, 8e12 + np.arange(300) / 20])
    xyz, label = signal(("walking", 30)).astype(np.float32), np.full(600, -1, np.int32)
    file = RecordingFile("a.csv", (Recording(0, "", t, xyz, label),), (), 20.0, True)
    played = recording_events(file.recordings[0], file, model, Options(), Stop(), 1.0)
    told = [event for _, some in played for event in some]
    assert len(of(told, "window")) == 12
    assert [gap["t"] for gap in of(told, "gap")] == [8e12]


def test_a_line_of_an_impossible_time_is_dropped(model: Model) -> None:
    assert parse_line(b"1e300,0,0,1") is None
    lines = [b"%d,0,0,1\n" % (50 * i) for i in range(400)]
    lines[100:100] = [b"1.7e308,0,0,1\n", b"-1.7e308,0,0,1\n"]
    told = play(model, records(lines, step_ns=SECOND // 20))
    assert len(of(told, "window")) == 11
    assert [(gap["t"], gap["why"]) for gap in of(told, "gap")] == [(5.0, "invalid")]
    assert told[-1]["bad_frames"] == 2


@pytest.mark.parametrize(
    ("arrival", "reads", "message"),
    [(False, 50, "without arrival times have no time"), (True, 10_001, "faster than 2000 Hz")],
)
def test_lines_that_can_have_no_time_are_not_kept_until_the_end(arrival: bool, reads: int, message: str) -> None:
    timer = LineTimer("g", arrival)
    timer.feed(b"0,0,1\n" * (reads - 1), 0)
    with pytest.raises(BadInput, match=message):
        timer.feed(b"0,0,1\n", 0)


@pytest.mark.parametrize("xyz", ["1e308,1e308,1e308", "1e200,0,0"])
def test_lines_of_numbers_beyond_all_scales_are_refused_without_a_warning(model: Model, xyz: str) -> None:
    with pytest.raises(BadInput, match="counts"):  # pytest makes errors of warnings
        play(model, records([f"{50 * i},{xyz}\n".encode() for i in range(60)]))


@pytest.mark.parametrize("key", ["min_duration_s", "refractory_s", "enter"])
def test_a_duration_with_hundreds_of_digits_is_no_duration(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        parse_rules(json.loads(f'{{"{key}": 1{"0" * 400}}}'), ["walking"])


@pytest.mark.parametrize("places", [1, -1], ids=["where it is made", "everywhere"])
@pytest.mark.parametrize("name", [b"accel", b"probabilities"])
def test_a_sealed_model_with_a_name_that_is_no_text_is_refused(tmp_path: Path, name: bytes, places: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(sealed(tiny_model.build().replace(name, b"\xff" + name[1:], places)))
    with pytest.raises(BadInput, match=re.escape(str(path))):
        Model(path)


@pytest.mark.parametrize("key", ["schema", "units", "axes"])
def test_a_long_word_in_metadata_makes_no_long_message(key: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_metadata(json.dumps(tiny_model.metadata(**{key: "x" * 100_000})).encode())
    assert len(str(error.value)) < 200
