from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mmvq_bridge.device import SimulatedDevice, wear
from mmvq_bridge.frames import (
    FLAG_OVERRUN,
    FLAG_SATURATED,
    Ack,
    Command,
    Data,
    Decoder,
    Frame,
    Hello,
    Ping,
    Pong,
    Stat,
    encode,
)
from mmvq_bridge.recordings import Recording

FOREVER = 1e9


def device_at(t: np.ndarray, rate_hz: float = 20.0, **arguments: Any) -> SimulatedDevice:
    """A device whose sample i measures (i, -i, 0) thousandths of a g."""
    i = np.arange(len(t))
    return SimulatedDevice(t, np.stack([i, -i, 0 * i], axis=1) / 1000, rate_hz, **arguments)


def steady(n: int, rate_hz: float = 20.0, **arguments: Any) -> SimulatedDevice:
    return device_at(np.arange(n) / rate_hz, rate_hz, **arguments)


def all_frames(device: SimulatedDevice, until_s: float = FOREVER) -> list[tuple[float, Frame]]:
    decoder = Decoder()
    sent = [(due, frame) for due, wire in device.frames_until(until_s) for frame in decoder.feed(wire)]
    assert decoder.bad_frames == 0
    return sent


def data_frames(device: SimulatedDevice, until_s: float = FOREVER) -> list[Data]:
    return [frame for _, frame in all_frames(device, until_s) if isinstance(frame, Data)]


def answers(device: SimulatedDevice, asked: Frame, t_s: float) -> list[Frame]:
    return [frame for wire in device.receive(encode(asked), t_s) for frame in Decoder().feed(wire)]


def test_it_says_hello_at_boot_and_every_5_s_and_stat_every_5_s() -> None:
    sent = all_frames(steady(20 * 12 + 1, boot_id=9))
    hello = Hello(1, 9, int.from_bytes(b"mmvq-sim", "big"), 20_000, 4096, 0)
    assert sent[0] == (0.0, hello)
    assert [due for due, frame in sent if frame == hello] == [0.0, 5.0, 10.0]
    assert [due for due, frame in sent if isinstance(frame, Stat)] == [5.0, 10.0]


def test_stat_counts_the_data_frames_sent() -> None:
    sent = [frame for _, frame in all_frames(steady(201))]
    at = next(i for i, frame in enumerate(sent) if isinstance(frame, Stat))
    assert sent[at].frames_sent == sum(isinstance(frame, Data) for frame in sent[:at]) == 10


def test_it_sends_every_sample_once_in_order_in_counts() -> None:
    frames = data_frames(steady(95))
    assert [len(frame.samples) for frame in frames] == [10] * 9 + [5]
    assert [frame.seq for frame in frames] == list(range(10))
    x = np.concatenate([frame.samples for frame in frames])[:, 0]
    np.testing.assert_array_equal(x, np.rint(np.arange(95) / 1000 * 4096))


def test_a_frame_is_due_when_its_last_sample_is_in_and_tells_the_time_of_its_first() -> None:
    sent = [(due, frame.t_us) for due, frame in all_frames(steady(20)) if isinstance(frame, Data)]
    assert sent == [(pytest.approx(0.45), 0), (pytest.approx(0.95), 500_000)]


def test_asking_in_small_steps_gives_the_same_frames_as_asking_once() -> None:
    stepped, once = steady(300), steady(300)
    pieces = [item for step in np.arange(0, 20, 0.07) for item in stepped.frames_until(step)]
    assert pieces == once.frames_until(FOREVER)
    assert stepped.next_due_s is None


def test_a_gap_is_in_the_time_and_not_inside_a_frame() -> None:
    t = np.arange(40) / 20
    t[17:] += 3.0
    frames = data_frames(device_at(t))
    assert [len(frame.samples) for frame in frames] == [10, 7, 10, 10, 3]
    assert [frame.t_us for frame in frames] == [0, 500_000, 3_850_000, 4_350_000, 4_850_000]
    # The contract's formula for what a reader takes for lost: 3 s at 20 Hz.
    assert round((frames[2].t_us - frames[1].t_us) * 1e-6 * 20) - 7 == 60


def test_jitter_leaves_every_sample_within_half_a_period_of_its_true_time() -> None:
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.choice([0.01, 0.05, 0.05, 0.05, 0.2], 500))
    frames = data_frames(device_at(t))
    heard = np.concatenate([frame.t_us * 1e-6 + np.arange(len(frame.samples)) / 20 for frame in frames])
    assert len(heard) == 500
    assert np.abs(heard - (t - t[0])).max() < 0.0251


def test_the_clock_wraps_after_32_bits_and_the_sequence_after_16() -> None:
    frames = data_frames(steady(70_000, rate_hz=1.0, samples_per_frame=1))
    assert [frames[i].t_us for i in (4294, 4295)] == [4_294_000_000, 4_295_000_000 - 2**32]
    assert [frames[i].seq for i in (65_535, 65_536)] == [65_535, 0]


def test_a_sample_beyond_the_range_is_clipped_and_flagged() -> None:
    xyz = np.array([[0, 0, 1], [0, 0, 7.9], [0, 0, 8.5], [-9, 0, 1]])
    frames = data_frames(SimulatedDevice(np.arange(4) / 20, xyz, 20.0, samples_per_frame=2))
    assert [frame.flags for frame in frames] == [0, FLAG_SATURATED]
    np.testing.assert_array_equal(frames[1].samples, [[0, 0, 32767], [-32768, 0, 4096]])


def test_ping_is_answered_with_the_clock() -> None:
    assert answers(steady(20), Ping(0xDEADBEEF), 4295.0) == [Pong(0xDEADBEEF, 4_295_000_000 - 2**32)]


def test_stop_ends_the_data_and_start_brings_it_back_at_its_true_time() -> None:
    device = steady(20 * 20)
    before = data_frames(device, 2.0)
    assert answers(device, Command(2, 0), 2.0) == [Ack(2, 0)]
    stopped = [frame for _, frame in all_frames(device, 7.21)]
    assert [type(frame) for frame in stopped] == [Hello, Stat]
    done, hello = answers(device, Command(1, 0), 7.21)
    assert done == Ack(1, 0)
    assert isinstance(hello, Hello)
    after = data_frames(device)
    assert after[0].t_us == 7_250_000
    assert after[0].seq == before[-1].seq + 1
    assert sum(len(frame.samples) for frame in after) == 400 - 145


def test_start_while_streaming_says_hello_and_loses_nothing() -> None:
    device = steady(40)
    first = data_frames(device, 0.7)
    assert [type(frame) for frame in answers(device, Command(1, 0), 0.7)] == [Ack, Hello]
    assert sum(len(frame.samples) for frame in first + data_frames(device)) == 40


def test_a_stopped_device_ends_with_its_recording_all_the_same() -> None:
    device = steady(40)
    device.receive(encode(Command(2, 0)), 0.0)
    assert data_frames(device) == []
    assert device.next_due_s is None


@pytest.mark.parametrize(("op", "status"), [(3, 2), (0, 1), (4, 1), (255, 1)])
def test_a_rate_cannot_be_set_and_an_unknown_command_is_said_to_be_unknown(op: int, status: int) -> None:
    assert answers(steady(20), Command(op, 50_000), 0.0) == [Ack(op, status)]


def test_broken_frames_and_frames_no_host_sends_get_no_answer() -> None:
    device = steady(20)
    assert device.receive(b"\x05noise\0" + encode(Pong(1, 2)) + encode(Ack(1, 0)), 0.0) == []
    half = encode(Ping(5))
    assert device.receive(half[:4], 0.0) == []
    assert len(device.receive(half[4:], 0.0)) == 1


def test_a_device_fed_in_blocks_sends_what_it_sends_of_the_whole_and_fetches_no_more_than_it_needs() -> None:
    t = np.arange(1000) / 20
    t[333:] += 2.0
    xyz = np.random.default_rng(0).normal(size=(1000, 3))
    fetched = []

    def blocks():
        for at in range(7, 1000, 7):
            fetched.append(at)
            yield t[at : at + 7], xyz[at : at + 7]

    whole = SimulatedDevice(t, xyz, 20.0)
    pieces = SimulatedDevice(t[:7], xyz[:7], 20.0, more=blocks())
    assert pieces.frames_until(10.0) == whole.frames_until(10.0)
    assert max(fetched) < 220
    assert pieces.frames_until(FOREVER) == whole.frames_until(FOREVER)
    assert pieces.samples_sent == 1000


def test_a_device_fed_in_blocks_starts_again_at_its_true_time() -> None:
    t = np.arange(1000) / 20
    blocks = ((t[at : at + 7], np.zeros((7, 3))) for at in range(0, 994, 7))
    device = SimulatedDevice(*next(blocks), 20.0, more=blocks)
    device.frames_until(2.0)
    device.receive(encode(Command(2, 0)), 2.0)
    device.receive(encode(Command(1, 0)), 30.01)
    assert data_frames(device)[0].t_us == 30_050_000
    assert (device.samples_sent, device.samples_missed) == (40 + 994 - 601, 561)


def test_a_clock_that_does_not_begin_at_zero_wraps_earlier() -> None:
    device = steady(60, clock_s=4294.0)
    assert [frame.t_us for frame in data_frames(device)][:3] == [4_294_000_000, 4_294_500_000, 4_295_000_000 - 2**32]
    assert answers(steady(20, clock_s=7.0), Ping(1), 0.5) == [Pong(1, 7_500_000)]


def test_a_reboot_loses_what_was_not_sent_and_begins_anew() -> None:
    device = steady(300, boot_id=2**32 - 1, clock_s=100.0)
    before = data_frames(device, 7.7)
    device.receive(encode(Command(2, 0)), 7.7)
    device.reboot(7.72)
    after = all_frames(device)
    assert after[0] == (7.72, Hello(1, 0, int.from_bytes(b"mmvq-sim", "big"), 20_000, 4096, 0))
    first = next(frame for _, frame in after if isinstance(frame, Data))
    # The samples of 7.5 to 7.7 s were taken and not sent; the next one is at 7.75 s.
    assert (first.seq, first.t_us, round(int(first.samples[0, 0]) / 4.096)) == (0, 100_030_000, 155)
    assert [(due, frame.frames_sent) for due, frame in after if isinstance(frame, Stat)] == [(pytest.approx(12.72), 10)]
    assert sum(len(frame.samples) for frame in before) == 150
    assert (device.samples_sent, device.samples_missed) == (150 + 145, 5)


def test_a_fifo_that_runs_over_is_flagged_counted_and_seen_in_the_time() -> None:
    device = steady(20 * 60, overrun=0.2)
    sent = [frame for _, frame in all_frames(device, 55.0)]
    assert isinstance(sent[-1], Stat) and sent[-1].samples_dropped == device.samples_overrun > 0
    sent += [frame for _, frame in all_frames(device)]
    assert device.samples_sent + device.samples_overrun == 1200
    frames = [frame for frame in sent if isinstance(frame, Data)]
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    for before, after in pairwise(frames):
        missing = round((after.t_us - before.t_us) * 1e-6 * 20) - len(before.samples)
        assert (missing > 0) == bool(after.flags & FLAG_OVERRUN)
    again = steady(20 * 60, overrun=0.2)
    assert [frame for _, frame in all_frames(again)] == sent


def test_a_wrong_scale_is_in_the_samples_and_not_in_hello() -> None:
    xyz = np.array([[0, 0.25, 1.0], [0, 0, 3.0]])
    device = SimulatedDevice(np.arange(2) / 20, xyz, 20.0, samples_per_frame=1, scale=4.0)
    sent = [frame for _, frame in all_frames(device)]
    assert isinstance(sent[0], Hello) and sent[0].counts_per_g == 4096
    frames = [frame for frame in sent if isinstance(frame, Data)]
    assert [frame.flags for frame in frames] == [0, FLAG_SATURATED]
    assert [frame.samples.tolist() for frame in frames] == [[[0, 4096, 16384]], [[0, 0, 32767]]]


def test_recordings_are_worn_one_after_another_with_a_pause_that_cuts() -> None:
    def recording(number: int, start: float, n: int) -> Recording:
        return Recording(
            number, "a", start + np.arange(n) / 20, np.full((n, 3), number, np.float32), np.full(n, -1, np.int32)
        )

    t, xyz = wear([recording(1, 5.0, 3), recording(2, 0.0, 2)], 20.0)
    np.testing.assert_allclose(t, [0, 0.05, 0.1, 1.1, 1.15])
    assert xyz[:, 0].tolist() == [1, 1, 1, 2, 2]
    slow, _ = wear([recording(1, 0.0, 1), recording(2, 0.0, 1)], 2.0)
    assert slow[1] > 3 / 2.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"t": np.zeros(0), "xyz": np.zeros((0, 3))},
        {"t": np.zeros(2), "xyz": np.zeros((3, 3))},
        {"rate_hz": 0.0},
        {"rate_hz": 1e7},
        {"samples_per_frame": 81},
        {"counts_per_g": 70_000},
        {"boot_id": -1},
    ],
)
def test_what_the_protocol_cannot_say_is_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SimulatedDevice(**{"t": np.zeros(1), "xyz": np.zeros((1, 3)), "rate_hz": 20.0} | arguments)
