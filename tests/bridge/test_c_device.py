"""A wearable made with the C library does what the simulated one does, and what the simulated one cannot."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from c_library import Harness, Told, build_harness, init, pushes, receive, why_not
from hurt import QUICK

from mmvq_bridge.device import BATTERY_MV, TEMPERATURE_CENTI_C, UID, SimulatedDevice
from mmvq_bridge.frames import (
    FLAG_OVERRUN,
    FLAG_SATURATED,
    OP_SET_RATE,
    OP_START,
    OP_STOP,
    Ack,
    Command,
    Data,
    Decoder,
    Frame,
    Hello,
    Ping,
    Pong,
    Stat,
    decode,
    encode,
)
from mmvq_bridge.stream.timed import Missing, Samples
from mmvq_bridge.stream.wire import WireDecoder

FOREVER = 1e9
FEW = settings(QUICK, max_examples=25)  # each is a run of the program
SECOND = 1_000_000


@pytest.fixture(scope="module", params=["plain", "sanitized"])
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Harness:
    sanitized = request.param == "sanitized"
    if lacking := why_not(sanitized):
        pytest.skip(lacking)
    return build_harness(tmp_path_factory.mktemp("harness"), sanitized)


def data_frames(told: Told) -> list[Data]:
    return [frame for frame in told.frames if isinstance(frame, Data)]


def wobble(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(-9000, 9000, (n, 3), dtype=np.int16)


def simulated(t_us: np.ndarray, counts: np.ndarray, rate_hz: float = 20.0, **arguments: Any) -> SimulatedDevice:
    """A simulated device that measures these very counts (4096 is a power of two: division loses nothing)."""
    return SimulatedDevice(t_us / SECOND, counts / 4096, rate_hz, **arguments)


def test_it_sends_byte_for_byte_what_the_simulated_device_sends(harness: Harness) -> None:
    """Half a minute over the wrap of the clock, with a host that asks, stops and starts."""
    t_us, counts = np.arange(600) * 50_000, wobble(600)
    zero = 2**32 - 13 * SECOND
    said: list[tuple[int, Frame]] = [
        (0, Command(OP_START, 0)), (2_010_000, Ping(1)), (7_030_000, Command(OP_STOP, 0)), (7_031_000, Ping(2)),
        (16_220_000, Command(OP_START, 0)), (16_710_000, Command(OP_START, 0)), (20_001_000, Command(OP_STOP, 0)),
        (20_002_000, Command(OP_START, 0)), (21_000_001, Command(OP_SET_RATE, 50_000)), (22_000_001, Command(77, 0)),
        (23_000_001, Command(OP_STOP, 0)), (23_000_002, Command(OP_STOP, 0)),
    ]  # fmt: skip
    device = simulated(t_us, counts, boot_id=9, wrist=2, clock_s=zero / SECOND)
    expected = b""
    calls = list(zip(t_us.tolist(), pushes(t_us + zero, counts), strict=True))
    for at, frame in said:
        expected += b"".join(wire for _, wire in device.frames_until(at / SECOND))
        expected += b"".join(device.receive(encode(frame), at / SECOND))
        calls.append((at, f"poll {(at + zero) % 2**32}\n{receive(at + zero, encode(frame))}"))
    expected += b"".join(wire for _, wire in device.frames_until(FOREVER))
    script = [
        init(uid=UID, boot_id=9, wrist=2, now=zero),
        f"battery {BATTERY_MV}",
        f"temperature {TEMPERATURE_CENTI_C}",
    ]
    calls.sort(key=lambda call: call[0])
    told = harness.device(script + [line for _, line in calls])
    assert told.frames == Decoder().feed(expected)
    assert told.wire == expected
    assert told.bad_frames == told.samples_dropped == 0


@FEW
@given(
    st.lists(st.sampled_from([10_000, 50_000, 50_000, 50_000, 200_000, 3_000_000]), min_size=1, max_size=100),
    st.integers(1, 80),
)
def test_jitter_and_gaps_end_a_frame_where_they_end_the_simulated_one(
    harness: Harness, steps: list[int], samples_per_frame: int
) -> None:
    t_us = np.cumsum([0, *steps])
    device = simulated(t_us, wobble(len(t_us)), samples_per_frame=samples_per_frame)
    expected = [decode(wire[:-1]) for _, wire in device.frames_until(FOREVER)]
    told = harness.device(
        [init(samples_per_frame=samples_per_frame), *pushes(t_us, wobble(len(t_us))), "flush", "flush"]
    )
    assert data_frames(told) == [frame for frame in expected if isinstance(frame, Data)]


@pytest.mark.parametrize(("second_us", "frames"), [(25_000, 1), (24_999, 2), (75_000, 1), (75_001, 2), (-25_000, 2)])
def test_half_a_period_is_still_in_its_place(harness: Harness, second_us: int, frames: int) -> None:
    told = harness.device([init(), *pushes(np.array([0, second_us]), wobble(2)), "flush"])
    assert len(data_frames(told)) == frames


@pytest.mark.parametrize("rate_mhz", [1000, 12_500, 23_700, 59_999, 104_000, 7_000_000, 10_000_000])
def test_a_rate_that_no_whole_period_fits_keeps_its_frames_full(harness: Harness, rate_mhz: int) -> None:
    rng = np.random.default_rng(rate_mhz)
    jitter = rng.uniform(-0.4, 0.4, 400)
    jitter[::80] = 0  # the first sample of a frame, from which the others are reckoned
    t_us = np.round((np.arange(400) + jitter) * 1e9 / rate_mhz).astype(int) + 1000
    told = harness.device([init(rate_mhz, samples_per_frame=80), *pushes(t_us, wobble(400))])
    assert [(len(frame.samples), frame.t_us) for frame in data_frames(told)] == [(80, t) for t in t_us[::80]]


def test_samples_that_the_fifo_lost_are_flagged_and_counted_as_in_the_simulated_device(harness: Harness) -> None:
    t_us, counts = np.arange(1200) * 50_000, wobble(1200)
    device = simulated(t_us, counts, overrun=0.2)
    expected = [frame for _, wire in device.frames_until(FOREVER) if isinstance(frame := decode(wire[:-1]), Data)]
    kept = {frame.t_us // 50_000 // 10 for frame in expected}
    script = [init()]
    for block in range(120):
        span = slice(10 * block, 10 * block + 10)
        script += pushes(t_us[span], counts[span]) if block in kept else ["overrun 10"]
    told = harness.device(script)
    assert data_frames(told) == expected
    assert told.samples_dropped == device.samples_overrun > 0


def test_a_fifo_that_lost_it_cannot_tell_how_many_is_flagged_all_the_same(harness: Harness) -> None:
    t_us = np.arange(6) * 50_000
    told = harness.device([init(), *pushes(t_us[:3], wobble(3)), "overrun 0", *pushes(t_us[3:], wobble(3)), "flush"])
    assert [(len(frame.samples), frame.flags) for frame in data_frames(told)] == [(3, 0), (3, FLAG_OVERRUN)]
    assert told.samples_dropped == 0


def test_a_stop_forgets_the_samples_that_waited_and_not_the_overrun(harness: Harness) -> None:
    again = [
        receive(1, encode(Command(OP_STOP, 0))),
        "overrun 7",
        "push 2 3 3 3",
        receive(3, encode(Command(OP_START, 0))),
    ]
    saturated, plain = "push 0 32767 0 0", pushes(np.arange(10) * 50_000 + SECOND, wobble(10))
    told = harness.device([init(), saturated, *again, *plain, "overrun 4", *again, *plain])
    assert [(frame.flags, len(frame.samples)) for frame in data_frames(told)] == [(0, 10), (FLAG_OVERRUN, 10)]
    assert told.samples_dropped == 4


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(
    ("limits", "low", "high"),
    [((0, 0), -32768, 32767), ((-2048, 2047), -2048, 2047), ((0, 4095), 0, 4095), ((-4096, 0), -4096, 0)],
)
def test_a_sample_at_the_end_of_the_range_flags_its_frame_and_no_other(
    harness: Harness, limits: tuple[int, int], low: int, high: int, axis: int
) -> None:
    counts = np.full((8, 3), (low + high) // 2)
    counts[:4, axis] = low, low + 1, high - 1, high
    script = [init(lowest=limits[0], highest=limits[1], samples_per_frame=1), *pushes(np.arange(8) * 50_000, counts)]
    flags = [frame.flags for frame in data_frames(harness.device(script))]
    assert flags == [FLAG_SATURATED, 0, 0, FLAG_SATURATED, 0, 0, 0, 0]


def test_hello_goes_before_the_first_data_even_if_nobody_polls(harness: Harness) -> None:
    told = harness.device([init(samples_per_frame=1), "push 0 1 2 3", "poll 10"])
    assert [type(frame) for frame in told.frames] == [Hello, Data]


def test_hello_waits_for_a_line_that_takes_it(harness: Harness) -> None:
    told = harness.device([init(), "accept 0", "poll 0", "poll 100000", "accept -1", "poll 200000", "poll 300000"])
    assert told.wire == encode(Hello(1, 2, 1, 20_000, 4096, 0))


def test_beats_come_every_5_s_over_the_wrap_and_those_that_nobody_polled_for_are_left_out(harness: Harness) -> None:
    zero = 2**32 - 12 * SECOND
    # Every second; a minute's sleep, forty minutes' sleep; a time that is a little behind.
    seconds = [*range(23), 82, 83, 2483, 2482, 2484, 2485]
    told = harness.device(
        [init(now=zero)]
        + [f"poll {(zero + s * SECOND) % 2**32}\n{receive(s, encode(Ping(s)))}" for s in seconds]
    )  # fmt: skip
    beats: dict[int, list[type[Frame]]] = {}
    since: list[type[Frame]] = []
    for frame in told.frames:
        if isinstance(frame, Pong):
            beats |= {frame.t_us: since} if since else {}
            since = []
        else:
            since.append(type(frame))
    assert beats == {0: [Hello]} | {s: [Hello, Stat] for s in (5, 10, 15, 20, 82, 2483, 2485)}


def test_stat_tells_what_was_set_and_0_before(harness: Harness) -> None:
    beat = [f"poll {5 * SECOND}"]
    told = harness.device([init(), *beat, "battery 3712", "temperature -1250", f"poll {10 * SECOND}"])
    stats = [frame for frame in told.frames if isinstance(frame, Stat)]
    assert stats == [Stat(0, 0, 0, 0), Stat(0, 0, 3712, -1250)]


def test_a_rate_that_is_set_ends_the_frame_and_is_told_before_samples_of_it(harness: Harness) -> None:
    """Asked for 48 Hz, the sensor takes 50."""
    t_us = np.concatenate([np.arange(3) * 50_000, 120_000 + np.arange(20) * 20_000])
    counts, asked = wobble(23), encode(Command(OP_SET_RATE, 48_000))
    script = [
        init(new_rate=50_000),
        *pushes(t_us[:3], counts[:3]),
        receive(110_000, asked),
        *pushes(t_us[3:], counts[3:]),
    ]
    hello, old, ack, again, *new = harness.device(script).frames
    assert hello == Hello(1, 2, 1, 20_000, 4096, 0)
    assert old == Data(0, 0, 0, counts[:3])
    assert (ack, again) == (Ack(OP_SET_RATE, 0), Hello(1, 2, 1, 50_000, 4096, 0))
    assert new == [Data(0, 1, 120_000, counts[3:13]), Data(0, 2, 320_000, counts[13:])]


@pytest.mark.parametrize(
    ("new_rate", "asked"), [(0, 50_000), (-1, 50_000), (50_000, 999), (50_000, 10_000_001), (7, 50_000)]
)
def test_a_rate_that_cannot_be_is_refused_and_changes_nothing(harness: Harness, new_rate: int, asked: int) -> None:
    t_us = np.arange(10) * 50_000
    script = [init(new_rate=new_rate), *pushes(t_us[:3], wobble(10)[:3])]
    script += [receive(110_000, encode(Command(OP_SET_RATE, asked))), *pushes(t_us[3:], wobble(10)[3:])]
    assert harness.device(script).frames[1:] == [Ack(OP_SET_RATE, 2), Data(0, 0, 0, wobble(10))]


# What a line takes of a write: mostly all, else nothing, a part, all but the closing zero of HELLO or DATA, an error.
TAKES = st.sampled_from([-1] * 6 + [0, 1, 5, 24, 25, 30, 72, 73, -2])


@FEW
@given(st.lists(TAKES, min_size=200, max_size=200))
def test_a_line_that_refuses_costs_the_frames_it_refuses_and_says_so(harness: Harness, takes: list[int]) -> None:
    t_us, counts = np.arange(200) * 50_000, wobble(200)
    script = [init()]
    for took, pushed in zip(takes, pushes(t_us, counts), strict=True):
        script += [f"accept {took}", pushed]
    script += ["accept -1", f"poll {10 * SECOND}"]
    told = harness.device(script)

    decoder = Decoder()
    frames = decoder.feed(told.wire)
    heard = [frame for frame in frames if isinstance(frame, Data)]
    assert [frame.seq for frame in heard] == list(range(told.frames_sent))
    place = 0
    for frame in heard:
        first = frame.t_us // 50_000
        assert (frame.samples == counts[first : first + 10]).all()
        assert bool(frame.flags & FLAG_OVERRUN) == (first > place)
        place = first + len(frame.samples)
    assert sum(len(frame.samples) for frame in heard) + told.samples_dropped == 200
    assert frames[-1] == Stat(told.frames_sent, told.samples_dropped, 0, 0)
    assert decoder.bad_frames <= sum(took > 0 for took in takes)


def test_a_reader_finds_every_sample_that_the_line_refused(harness: Harness) -> None:
    takes = {2: 0, 7: 40, 11: 0, 13: 1, 18: -2}  # in these seconds; otherwise all
    script = [init()]
    for second in range(20):
        t_us = np.arange(20 * second, 20 * second + 20) * 50_000
        script += [f"accept {takes.get(second, -1)}", *pushes(t_us, wobble(20))]
    told = harness.device([*script, f"poll {20 * SECOND}"])
    decoder = WireDecoder("auto", arrival=False)
    items = decoder.feed(told.wire, 0) + decoder.finish()
    missing = [item for item in items if isinstance(item, Missing)]
    assert {item.why for item in missing} == {"overrun"}
    assert sum(item.count for item in missing) == told.samples_dropped == 100
    assert sum(len(item.t) for item in items if isinstance(item, Samples)) == 300


@pytest.mark.parametrize(
    "wrong",
    [{"rate_mhz": 0}, {"rate_mhz": 999}, {"rate_mhz": 10_000_001}, {"counts_per_g": 0}, {"samples_per_frame": 81}],
)
def test_a_board_that_cannot_be_is_refused_at_once(harness: Harness, wrong: dict[str, int]) -> None:
    assert harness.refuses(init(**wrong))
    assert not harness.refuses(init())
