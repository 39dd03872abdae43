import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mmvq_bridge.command import BadInput
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import (
    KINDS,
    Connection,
    Faults,
    FaultyLine,
    Happening,
    Heard,
    PluggedIn,
    Unplugged,
    faulty_device,
    hear,
    parse_faults,
)
from mmvq_bridge.frames import Ack, Command, Data, Decoder, Frame, Hello, Ping, encode

FRAMES = [encode(Ping(number)) for number in range(2000)]


def carried(faults: Faults, seed: int) -> list[bytes]:
    line = FaultyLine(faults, seed)
    return [line.carry(frame) for frame in FRAMES]


def test_a_line_without_faults_carries_everything() -> None:
    assert carried(Faults(), 1) == FRAMES


def test_the_same_seed_hurts_the_same_frames_and_another_seed_others() -> None:
    faults = Faults(drop=0.1, corrupt=0.1)
    assert carried(faults, 1) == carried(faults, 1)
    assert carried(faults, 1) != carried(faults, 2)


def test_dropped_frames_are_gone_and_counted_and_the_others_are_whole() -> None:
    line = FaultyLine(Faults(drop=0.1), 3)
    arrived = [line.carry(frame) for frame in FRAMES]
    assert arrived.count(b"") == line.dropped
    assert 150 < line.dropped < 250
    assert all(got in (b"", frame) for got, frame in zip(arrived, FRAMES, strict=True))


def test_a_corrupted_frame_has_one_other_bit_and_a_decoder_notices() -> None:
    line = FaultyLine(Faults(corrupt=1.0), 4)
    decoder = Decoder()
    for frame in FRAMES:
        hurt = line.carry(frame)
        flipped = int.from_bytes(hurt, "big") ^ int.from_bytes(frame, "big")
        assert len(hurt) == len(frame)
        assert flipped.bit_count() == 1
        assert decoder.feed(hurt + b"\0") == []
    assert line.corrupted == len(FRAMES)
    assert decoder.bad_frames >= len(FRAMES)


def test_corruption_does_not_move_the_places_of_drops() -> None:
    plain, both = carried(Faults(drop=0.1), 5), carried(Faults(drop=0.1, corrupt=0.5), 5)
    assert [frame == b"" for frame in plain] == [frame == b"" for frame in both]


def test_a_wrong_byte_is_another_one_and_as_many_are_counted_as_asked_for() -> None:
    line = FaultyLine(Faults(wrong_bytes=0.01), 6)
    arrived = [line.carry(frame) for frame in FRAMES]
    wrong = sum(a != b for got, frame in zip(arrived, FRAMES, strict=True) for a, b in zip(got, frame, strict=True))
    assert wrong == line.wrong_bytes
    assert 0.008 < wrong / sum(map(len, FRAMES)) < 0.012
    assert arrived == carried(Faults(wrong_bytes=0.01), 6)


def test_wrong_bytes_reordering_and_jitter_do_not_move_the_places_of_drops_and_flipped_bits() -> None:
    faults = Faults(drop=0.1, corrupt=0.1)
    plain = carried(faults, 7)
    both = carried(Faults(drop=0.1, corrupt=0.1, wrong_bytes=0.001, reorder=0.2, jitter_ms=20.0), 7)
    assert [frame == b"" for frame in plain] == [frame == b"" for frame in both]
    same = sum(a == b for a, b in zip(plain, both, strict=True))
    assert 1900 < same < 2000


def sent_each_tenth(faults: Faults, seed: int = 8) -> tuple[list[Heard], FaultyLine]:
    """FRAMES through a line, one each .1 s."""
    line = FaultyLine(faults, seed)
    return [heard for k, frame in enumerate(FRAMES) for heard in line.send(frame, k / 10)] + line.flush(), line


def test_swapped_frames_come_after_their_successor_and_none_is_lost() -> None:
    heard, line = sent_each_tenth(Faults(reorder=0.2))
    order = [FRAMES.index(item.sent) for item in heard]
    assert sorted(order) == list(range(2000))
    assert all(abs(number - place) <= 1 for place, number in enumerate(order))
    assert sum(after < before for before, after in pairwise(order)) == line.swapped
    assert 250 < line.swapped < 400
    assert sent_each_tenth(Faults(reorder=0.2))[0] == heard


def test_a_late_frame_is_late_by_no_more_than_the_jitter_and_overtakes_none() -> None:
    heard, _ = sent_each_tenth(Faults(jitter_ms=300.0))
    assert [item.sent for item in heard] == FRAMES
    late = np.array([item.at_s - k / 10 for k, item in enumerate(heard)])
    assert 0 <= late.min() < 0.05
    assert 0.25 < late.max() <= 0.3
    assert all(before.at_s <= after.at_s for before, after in pairwise(heard))


def still(faults: Faults) -> SimulatedDevice:
    """A minute at 20 Hz."""
    return faulty_device([(np.arange(1200) / 20, np.zeros((1200, 3)))], 20.0, faults, 1)


def happenings(faults: Faults, seconds: float = 60.0, seed: int = 1) -> list[Happening]:
    """What happens to a device of 20 Hz whose sample i measures i thousandths of a g, and then 0 again."""
    i = np.arange(round(seconds * 20))
    xyz = np.repeat((i % 2000)[:, None] / 1000, 3, axis=1)
    device = faulty_device([(i / 20, xyz)], 20.0, faults, seed)
    told = list(hear(Connection(device, FaultyLine(faults, seed))))
    sent = sum(len(frame.samples) for frame in of(told, Data, "sent"))
    # Ground truth: each sample was sent, lost to the FIFO, or not taken.
    assert device.samples_sent == sent
    if not faults.unplug_s < math.inf or faults.replug_s < math.inf:
        assert sent + device.samples_overrun + device.samples_missed == len(i)
    assert told == sorted(told, key=lambda item: item.at_s)
    return told


def of(told: Iterable[Happening], kind: type[Frame], what: str = "wire") -> list[Any]:
    """The frames of one kind in what was heard, or in what was sent."""
    decoder = Decoder()
    stream = (getattr(item, what) for item in told if isinstance(item, Heard))
    return [frame for piece in stream for frame in decoder.feed(piece) if isinstance(frame, kind)]


def test_without_faults_a_host_hears_what_the_device_sends_when_it_sends_it() -> None:
    told = happenings(Faults())
    assert [item.at_s for item in told] == [due for due, _ in still(Faults()).frames_until(math.inf)]
    assert all(isinstance(item, Heard) and item.wire == item.sent for item in told)


@pytest.mark.parametrize("ppm", [50.0, -30_000.0])
def test_drift_moves_the_moments_of_the_same_bytes(ppm: float) -> None:
    plain, drifting = happenings(Faults()), happenings(Faults(drift_ppm=ppm))
    assert of(plain, Data) == of(drifting, Data)
    for before, after in zip(plain, drifting, strict=True):
        assert after.at_s == pytest.approx(before.at_s / (1 + ppm / 1e6))


def test_a_restarted_device_says_hello_and_its_clock_begins_again() -> None:
    told = happenings(Faults(reset_s=20.125, clock_s=4.0))
    assert [frame.boot_id for frame in of(told, Hello)] == [1] * 5 + [2] * 8
    times = [frame.t_us for frame in of(told, Data)]
    at = times.index(4_025_000)  # the first sample after 20.125 s is that of 20.15 s
    assert times[at - 1] == 23_500_000
    assert not any(isinstance(item, Unplugged) for item in told)


def test_an_unplugged_device_is_off_until_it_is_plugged_in_again_and_so_on() -> None:
    told = happenings(Faults(unplug_s=10.0, replug_s=2.5))
    plugs = [(type(item), item.at_s) for item in told if not isinstance(item, Heard)]
    expected = [10.0, 12.5, 22.5, 25.0, 35.0, 37.5, 47.5, 50.0]  # at 60 s the recording is over
    assert plugs == [((Unplugged, PluggedIn)[k % 2], at) for k, at in enumerate(expected)]
    away = list(zip(expected[::2], expected[1::2], strict=True))
    assert not any(start < item.at_s < end for item in told if isinstance(item, Heard) for start, end in away)
    hellos = of(told, Hello)
    assert sorted({frame.boot_id for frame in hellos}) == [1, 2, 3, 4, 5]
    starts = [frame for frame in of(told, Data) if frame.seq == 0]
    assert [frame.t_us for frame in starts] == [0] * 5
    # Each boot finds the recording where it is by then.
    assert [round(int(frame.samples[0, 0]) / 4.096) for frame in starts] == [0, 250, 500, 750, 1000]


def test_unplugged_for_good_is_the_end() -> None:
    told = happenings(Faults(unplug_s=10.0))
    assert told[-1] == Unplugged(10.0)
    assert sum(len(frame.samples) for frame in of(told, Data)) == 200


def test_what_is_late_or_kept_back_comes_before_the_plug_is_out() -> None:
    told = happenings(Faults(unplug_s=10.0, replug_s=5.0, jitter_ms=2000.0, reorder=0.5))
    plain = happenings(Faults(unplug_s=10.0, replug_s=5.0))
    assert len(of(told, Data)) == len(of(plain, Data))
    assert [item.at_s for item in told if isinstance(item, Unplugged)] == [10.0, 25.0, 40.0, 55.0]


def test_a_device_without_power_does_not_restart() -> None:
    told = happenings(Faults(unplug_s=10.0, replug_s=20.0, reset_s=15.0))
    assert [frame.boot_id for frame in of(told, Hello) if frame.boot_id > 1] == [2, 2, 2]  # at 30, 35 and 40 s


def test_all_faults_together_are_the_same_again_from_the_same_seed() -> None:
    words = "drop=.1 corrupt=.1 bytes=.001 reorder=.1 jitter=20 drift=100 clock=4280 reset=7 overrun=.1 scale=.5"
    faults = parse_faults([*words.split(), "unplug=20", "replug=1"])
    told = happenings(faults, seed=9)
    assert told == happenings(faults, seed=9)
    assert told != happenings(faults, seed=10)
    # A dropped frame is told, too: nothing came of what was sent.
    dropped = [item for item in told if isinstance(item, Heard) and not item.wire]
    assert dropped and all(item.sent for item in dropped)


def test_asking_in_small_steps_gives_the_same_as_asking_at_once() -> None:
    faults = parse_faults(["drop=.1", "reorder=.3", "jitter=200", "drift=-900", "reset=7", "unplug=20", "replug=1"])

    def connection() -> Connection:
        return Connection(still(faults), FaultyLine(faults, 1))

    stepped, once = connection(), connection()
    assert [item for t in np.arange(0, 70, 0.037) for item in stepped.until(t)] == once.until(1e9)
    assert stepped.next_due_s is None


def test_a_device_that_is_plugged_in_answers_and_one_that_is_not_does_not() -> None:
    faults = Faults(unplug_s=10.0, replug_s=2.0, drop=1.0)
    connection = Connection(still(faults), FaultyLine(faults, 1))
    answered = []
    for t in (5.0, 11.0, 13.0):
        connection.until(t)
        answered.append([type(f) for h in connection.receive(encode(Command(1, 0)), t) for f in Decoder().feed(h.wire)])
    assert answered == [[Ack, Hello], [], [Ack, Hello]]
    assert connection.unplugs == 1


def test_faults_are_read_from_words() -> None:
    assert parse_faults(["drop=0.01", "corrupt=.5", "unplug=60"]) == Faults(0.01, 0.5, 60.0)
    assert parse_faults([]) == Faults()
    words = ["bytes=1e-4", "reorder=.2", "jitter=30", "drift=-500", "clock=4290", "reset=5", "overrun=.1", "scale=4"]
    assert parse_faults([*words, "unplug=60", "replug=3"]) == Faults(
        wrong_bytes=1e-4, reorder=0.2, jitter_ms=30, drift_ppm=-500, clock_s=4290, reset_s=5, overrun=0.1, scale=4,
        unplug_s=60, replug_s=3,
    )  # fmt: skip
    assert len(KINDS) == 12


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["burn=1"], "'burn=1' is unknown; use one of drop=NUMBER"),
        (["drop"], "drop is the share of frames"),
        (["drop=often"], "such as drop=0.01"),
        (["drop=1.5"], "0 to 1"),
        (["corrupt=-0.1"], "corrupt is the share"),
        (["unplug=nan"], "unplug is the second"),
        (["bytes=2"], "bytes is the share of bytes .*, such as bytes=0.0001"),
        (["drift=1e6"], "drift is the parts per million"),
        (["jitter=-1"], "jitter is the most milliseconds"),
        (["jitter=inf"], "jitter is the most milliseconds"),
        (["clock=4295"], "clock is the seconds"),
        (["scale=0"], "scale is the factor"),
        (["reset=-1"], "reset is the second"),
        (["overrun=inf"], "overrun is the share"),
        (["replug=5"], "give unplug=60, too"),
        (["unplug=0", "replug=5"], "give unplug=60, too"),
        (["drop=0.1", "drop=0.2"], "given twice"),
    ],
)
def test_wrong_faults_are_bad_input(words: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_faults(words)
