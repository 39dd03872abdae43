import numpy as np
import pytest
from wearing import RATE, SECOND, data, frames, hello, of, play, records, signal, stat

from mmvq_bridge.frames import Decoder
from mmvq_bridge.stream.decode import FrameTimer
from mmvq_bridge.stream.timed import Missing, Notice, Samples, Wearer


def timed(pieces, step_ns=SECOND // 2, arrival=True):
    timer, decoder = FrameTimer(arrival), Decoder()
    told = [
        item
        for k, piece in enumerate(pieces)
        for frame in decoder.feed(piece)
        for item in timer.feed(frame, k * step_ns if arrival else 0)
    ]
    return told + timer.finish(), timer


def times(told):
    return np.concatenate([item.t for item in told if isinstance(item, Samples)])


def missing(told):
    return [(item.count, item.why) for item in told if isinstance(item, Missing)]


def still(n):
    return np.tile([0.0, 0.0, 1.0], (n, 1))


def test_samples_lie_a_period_apart_from_zero_whatever_the_device_clock_says():
    told, _ = timed([hello(), *frames(still(40), start_us=123_456_789)])
    assert np.allclose(times(told), np.arange(40) / RATE)
    assert missing(told) == []


def test_counts_become_g():
    told, _ = timed([hello(counts=8192), data(0, 0, still(1))])
    assert np.allclose(told[1].xyz, [[0, 0, 0.5]])


def test_the_device_clock_may_wrap():
    told, _ = timed([hello(), *frames(still(60), start_us=2**32 - 1_000_000)])
    assert np.allclose(times(told), np.arange(60) / RATE)


def test_several_wraps_unheard_are_counted_by_the_arrival_clock():
    wraps_us = 3 * 2**32 + 5_000_000
    timer = FrameTimer(arrival=True)
    told = []
    for piece, host_ns in ((hello(), 0), (data(0, 0, still(10)), 0), (data(9, wraps_us, still(10)), wraps_us * 1000)):
        (frame,) = Decoder().feed(piece)
        told += timer.feed(frame, host_ns)
    assert times(told)[10] == pytest.approx(wraps_us / 1e6)


def test_a_device_clock_off_by_three_percent_is_followed_and_loses_nothing():
    told, _ = timed([hello(), *(data(k, round(k * 500_000 * 1.03), still(10)) for k in range(20))])
    assert missing(told) == []
    assert np.allclose(np.diff(times(told))[10:], 0.05 * 1.03, atol=1e-5)


def test_lost_frames_are_lost_samples_by_time():
    pieces = frames(still(100))
    told, _ = timed([hello(), *pieces[:3], *pieces[5:]])
    assert missing(told) == [(20, "sequence")]
    gap = next(item for item in told if isinstance(item, Missing))
    assert (gap.t, gap.seconds) == (pytest.approx(2.5), pytest.approx(1.0))


def test_a_frame_not_newer_than_the_last_is_dropped_and_counted():
    pieces = frames(still(50))
    told, timer = timed([hello(), pieces[0], pieces[2], pieces[1], pieces[2], pieces[3]])
    assert timer.late_frames == 2
    assert (np.diff(times(told)) > 0).all()


def test_an_overrun_is_told_with_what_time_shows_to_be_missing():
    told, _ = timed([hello(), data(0, 0, still(10)), data(1, 750_000, still(10), flags=1)])
    assert missing(told) == [(5, "overrun")]


def test_what_the_device_says_it_dropped_counts_once():
    told, _ = timed([hello(), data(0, 0, still(10)), data(1, 750_000, still(10), flags=1), stat(12)])
    assert missing(told) == [(5, "overrun"), (7, "overrun")]


def test_a_count_from_before_we_listened_is_not_ours():
    pieces = frames(still(20), start_us=600_000_000)
    told, _ = timed([hello(), pieces[0], stat(100), pieces[1], stat(103)])
    assert missing(told) == [(3, "overrun")]


def test_saturation_is_said_once():
    told, timer = timed([hello(), *(data(k, k * 500_000, still(10), flags=2) for k in range(3))])
    assert [item.text for item in told if isinstance(item, Notice)] == [
        "at 0.0 s the sensor reached the end of its range; peaks are cut off"
    ]
    assert timer.saturated_frames == 3


def test_samples_over_32_g_are_invalid():
    xyz = still(10)
    xyz[4] = [0.001, 0, 0]
    told, _ = timed([hello(counts=1), data(0, 0, xyz), data(1, 500_000, still(10) / 4096 * 2)])
    assert missing(told)[0] == (9, "invalid")  # counts of 4096 at one count a g
    assert all(np.abs(item.xyz).max() <= 32 for item in told if isinstance(item, Samples))


def test_a_reset_goes_on_by_the_arrival_clock():
    before, after = frames(still(40)), frames(still(20), start_us=100)
    told, _ = timed([hello(boot=1), *before, hello(boot=2), *after])
    wearers = [(item.state, item.uid) for item in told if isinstance(item, Wearer)]
    assert wearers == [("connected", "0000000000000abc"), ("reset", "0000000000000abc")]
    # The frames arrive half a second apart, HELLO takes one place: the last sample at 1.95 s, the next ends at 2.95 s.
    assert times(told)[40] == pytest.approx(2.5)
    assert missing(told) == [(10, "reconnect")]


def test_without_arrival_times_a_reset_leaves_one_period():
    told, _ = timed([hello(boot=1), *frames(still(40)), hello(boot=2), *frames(still(20))], arrival=False)
    assert np.allclose(times(told), np.arange(60) / RATE)


def test_frames_before_hello_are_left_out_and_a_hello_that_cannot_be_is_ignored():
    told, timer = timed([data(0, 0, still(10)), hello(rate=0.0), hello(counts=0), *frames(still(20), 500_000)])
    assert timer.early_frames == 3
    assert [type(item) for item in told] == [Notice, Notice]


def test_a_rate_that_changes_starts_a_new_segment(model):
    xyz = signal(("walking", 24))
    fast = frames(signal(("walking", 12), rate=50.0), start_us=24_000_000, first_seq=48, rate=50.0)
    events = play(model, records([hello(), *frames(xyz), hello(rate=50.0), *fast], step_ns=SECOND // 5))
    assert [event["rate_hz"] for event in of(events, "device")] == [20.0, 50.0]
    assert {event["label"] for event in of(events, "window")} == {"walking"}
    assert all(event["end"] <= 24.05 or event["start"] >= 24 for event in of(events, "window"))


def test_a_loss_that_stat_tells_before_time_shows_it_counts_once():
    told, _ = timed([hello(), data(0, 0, still(10)), stat(5), data(1, 750_000, still(10), flags=1), stat(5)])
    assert missing(told) == [(5, "overrun")]


def test_a_loss_that_time_shows_right_after_a_stat_is_not_told_again_by_the_next():
    told, _ = timed([
        hello(), data(0, 0, still(10)), stat(0), data(1, 750_000, still(10), flags=1), data(2, 1_250_000, still(10)),
        stat(5), data(3, 1_750_000, still(10)),
    ])
    assert missing(told) == [(5, "overrun")]


def test_a_loss_on_the_line_does_not_hide_what_the_next_stat_tells():
    told, _ = timed([
        hello(), data(0, 0, still(10)), stat(0), data(2, 1_000_000, still(10)), data(3, 1_500_000, still(10)), stat(4),
        data(4, 2_000_000, still(10)),
    ])
    assert missing(told) == [(10, "sequence"), (4, "overrun")]


def test_a_rate_that_changes_is_no_loss():
    slow, fast = frames(still(20)), frames(still(50), start_us=1_000_000, first_seq=2, rate=50.0)
    told, _ = timed([hello(), *slow, hello(rate=50.0), *fast])
    assert missing(told) == []
    assert np.allclose(times(told), [*np.arange(20) / RATE, *(1 + np.arange(50) / 50)])


@pytest.mark.parametrize("arrival", [True, False])
def test_a_frame_with_a_wrong_time_that_its_crc_did_not_catch_is_left_out_and_nothing_else(arrival):
    pieces = frames(still(100))
    pieces[4] = data(4, 1_000_000_000, still(10))
    told, timer = timed([hello(), *pieces], arrival=arrival)
    assert timer.wrong_frames == 1 and missing(told) == [(10, "sequence")]
    assert len(times(told)) == 90 and times(told)[-1] == pytest.approx(99 / RATE)


def test_a_pause_of_which_no_clock_but_the_devices_knows_is_believed_with_the_next_frame():
    later = frames(still(40), start_us=60_000_000, first_seq=4)
    told, timer = timed([hello(), *frames(still(40)), *later], arrival=False)
    assert timer.wrong_frames == 0 and missing(told) == [(1160, "sequence")] and len(times(told)) == 80


def test_a_restart_whose_hello_was_lost_goes_on_after_a_few_frames():
    told, timer = timed([hello(boot=1), *frames(still(400)), *frames(still(200))])
    assert timer.late_frames == 5 and len(times(told)) == 400 + 200 - 40
    assert times(told)[-1] == pytest.approx(600 / RATE, abs=0.3)
    assert sum(count for count, _ in missing(told)) + len(times(told)) == pytest.approx(600, abs=5)


def test_an_old_frame_that_comes_after_the_new_hello_costs_little():
    old, new = frames(still(600)), frames(still(600), start_us=100)
    told, _ = timed([hello(boot=1), *old[:-1], hello(boot=2), old[-1], *new])
    assert len(times(told)) >= 600 + 600 - 60 and times(told)[-1] == pytest.approx(1200 / RATE, abs=1)
