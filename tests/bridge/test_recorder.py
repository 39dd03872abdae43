"""A recorder hears devices at times of our own making: every sample, and each label at the moment of its key."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from recorder_parts import RATE_HZ, labelled, parsed

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import Connection, Faults, FaultyLine, Heard, faulty_device, hear
from mmvq_bridge.recorder.journal import DEVICE, HEADER, RATE, SETTLE, Fact, Row, Word, encode
from mmvq_bridge.recorder.live import LATE_S, Recorder
from mmvq_bridge.recorder.report import progress
from mmvq_bridge.recordings import RecordingFile
from mmvq_bridge.stream.records import LOST, Kind, Opening, Record, Tick, opened

S = 1_000_000_000


def device(seconds: float, faults: Faults, rate_hz: float, boot: int) -> SimulatedDevice:
    """Its sample i is i / 4096 g along x, as counts go."""
    n = round(seconds * rate_hz)
    xyz = np.zeros((n, 3))
    xyz[:, 0] = np.arange(n) / 4096
    return faulty_device([(np.arange(n) / rate_hz, xyz)], rate_hz, faults, boot)


def records(seconds: float, faults: Faults, start_ns: int, rate_hz: float = RATE_HZ, boot: int = 7) -> list[Record]:
    """What a host hears, with its arrival times, from `start_ns` on."""
    heard = hear(Connection(device(seconds, faults, rate_hz, boot), FaultyLine(faults, 7)))
    return [Record(start_ns + round(item.at_s * S), Kind.BYTES, item.wire) for item in heard if isinstance(item, Heard)]


def ticks(first: int, last: int) -> list[Tick]:
    return [Tick(at * S) for at in range(first, last)]


def record(
    items: Iterable[Record | Tick], words: Iterable[tuple[float, str]] = (), recorder: Recorder | None = None
) -> tuple[Recorder, list[Row]]:
    """Feed everything in order of time; words by host seconds."""
    recorder = recorder or Recorder("auto")
    waiting = sorted(words)
    rows: list[Row] = []
    for item in [opened(S, Opening("port", None)), *items]:
        while waiting and waiting[0][0] * S <= item.host_ns:
            at, word = waiting.pop(0)
            recorder.press(round(at * S), word)
        rows += recorder.feed(item)
    for at, word in waiting:
        recorder.press(round(at * S), word)
    return recorder, rows + recorder.finish()


def words_of(rows: list[Row]) -> list[Word]:
    return [row.told for row in rows if isinstance(row.told, Word)]


def file_of(rows: list[Row]) -> RecordingFile:
    return parsed(HEADER + encode([Row(0, Fact(SETTLE, "0")), *rows], "anna"))


@pytest.mark.parametrize(
    "faults",
    [
        Faults(), Faults(jitter_ms=400), Faults(drift_ppm=20_000), Faults(drift_ppm=-20_000, jitter_ms=300),
        Faults(drop=0.2, jitter_ms=100), Faults(clock_s=4290, jitter_ms=100),
    ],
)  # fmt: skip
def test_a_label_begins_at_the_sample_of_the_moment_of_its_key(faults: Faults) -> None:
    pressed = [(at + 0.037, f"label {at}") for at in range(5, 290, 15)]
    _, rows = record(records(300, faults, 2 * S), pressed)
    pace = 1 + faults.drift_ppm / 1e6
    for (at, name), word in zip(pressed, words_of(rows), strict=True):
        assert word.word == name
        assert word.t == pytest.approx((at - 2) * pace, abs=0.15)  # a frame is .1 s


def test_every_sample_heard_is_kept_with_its_place() -> None:
    _, rows = record(records(60, Faults(drop=0.1), 2 * S))
    (recording,) = file_of(rows).recordings
    i = recording.xyz[:, 0] * 4096
    np.testing.assert_allclose(recording.t * RATE_HZ, i - i[0], atol=1e-3)
    assert 0 < len(recording.t) < 6000


def test_losses_are_counted() -> None:
    faults = Faults(drop=0.1)
    recorder, rows = record(records(60, faults, 2 * S))
    (recording,) = file_of(rows).recordings
    first, last = recording.xyz[[0, -1], 0] * 4096
    assert recorder.lost == last - first + 1 - len(recording.t)


def test_a_board_that_counts_its_time_wrongly_moves_no_label_by_more_than_half_a_second() -> None:
    """It prints i * 10 ms and sleeps 12: device time says less and less."""
    lines = [Record(2 * S + i * 12_000_000, Kind.BYTES, b"%d,0,0,1\n" % (10 * i)) for i in range(20_000)]
    pressed = [(float(at), f"label {at}") for at in range(10, 230, 10)]
    _, rows = record(lines, pressed)
    for (at, _), word in zip(pressed, words_of(rows), strict=True):
        assert word.t == pytest.approx((at - 2) / 1.2, abs=LATE_S + 0.02)


def test_a_key_while_the_rate_of_lines_is_still_being_listened_for_is_placed_when_it_is_known() -> None:
    lines = [Record(2 * S + i * 20_000_000, Kind.BYTES, b"0,0,1\n") for i in range(500)]
    _, rows = record(lines, [(4.0, "walking"), (6.0, "sitting"), (9.0, "")])
    assert [(round(word.t, 1), word.word) for word in words_of(rows)] == [(2.0, "walking"), (4.0, "sitting"), (7.0, "")]


def test_a_key_before_the_first_byte_holds_from_the_first_sample_on() -> None:
    _, rows = record(records(10, Faults(), 4 * S), [(1.5, "walking")])
    assert words_of(rows)[0].t == pytest.approx(-2.5, abs=0.2)
    assert labelled(file_of(rows)) == [(0, "walking")]


def test_a_key_before_the_first_byte_holds_for_all_that_comes_in_one_go_then() -> None:
    at_once = Record(4 * S, Kind.BYTES, b"".join(item.payload for item in records(10, Faults(), 2 * S)))
    _, rows = record([at_once], [(3.9, "walking")])
    assert labelled(file_of(rows)) == [(0, "walking")]


def test_a_device_that_restarts_begins_another_recording_and_its_label_goes_on() -> None:
    recorder, rows = record(records(20, Faults(reset_s=8), 2 * S), [(3.0, "walking"), (17.0, "")])
    file = file_of(rows)
    assert [r.id for r in file.recordings] == [0, 1]
    assert [float(r.t[0]) for r in file.recordings] == [0, 0]
    assert labelled(file, 0)[0] == (pytest.approx(1.0, abs=0.1), "walking")
    (_, begins), (ends, _) = labelled(file, 1)
    assert begins == "walking"
    assert ends == pytest.approx(7.0, abs=0.2)  # 8 s of device time are in the first one
    assert recorder.notices == ["the device has started anew: recording 1 from here on"]


def test_a_lost_port_begins_another_recording_and_a_key_of_the_time_between_counts() -> None:
    first, second = records(10, Faults(), 2 * S), records(10, Faults(), 20 * S, boot=8)
    away = [Record(13 * S, Kind.CLOSED, LOST), opened(19 * S, Opening("port", None))]
    recorder, rows = record([*first, *away, *second], [(5.0, "walking"), (15.0, "sitting")])
    file = file_of(rows)
    assert labelled(file, 0)[0] == (pytest.approx(3.0, abs=0.1), "walking")
    assert labelled(file, 1) == [(0, "sitting")]
    assert [len(r.t) for r in file.recordings] == [1000, 1000]
    assert recorder.notices == ["the device is back: recording 1 from here on"]


def test_the_device_and_its_rate_are_told_once() -> None:
    _, rows = record(records(12, Faults(), 2 * S))
    told = [row.told for row in rows if isinstance(row.told, Fact)]
    assert told == [Fact(DEVICE, "6d6d76712d73696d"), Fact(RATE, "100")]


def test_another_rate_than_the_files_is_refused_before_anything_is_kept() -> None:
    recorder, rows = record(records(5, Faults(), 2 * S), recorder=Recorder("auto", rate_hz=50.0))
    assert isinstance(recorder.trouble, BadInput)
    assert str(recorder.trouble) == "the device has 100 Hz, the file 50 Hz: give another --out"
    assert rows == []


def test_a_rate_within_what_clocks_are_off_by_is_the_same() -> None:
    recorder, _ = record(records(5, Faults(), 2 * S), recorder=Recorder("auto", rate_hz=98.0))
    assert recorder.trouble is None
    assert recorder.samples == 500


def test_a_device_that_comes_back_with_another_rate_ends_it_and_what_came_is_kept() -> None:
    away = [Record(13 * S, Kind.CLOSED, LOST), opened(19 * S, Opening("port", None))]
    second = records(10, Faults(), 20 * S, rate_hz=50, boot=8)
    recorder, rows = record([*records(10, Faults(), 2 * S), *away, *second])
    assert isinstance(recorder.trouble, Failed)
    assert [len(r.t) for r in file_of(rows).recordings] == [1000]


def test_lines_in_no_known_unit_end_it() -> None:
    lines = [Record(2 * S + i * 20_000_000, Kind.BYTES, b"%d,0,0,4096\n" % (20 * i)) for i in range(200)]
    recorder, rows = record(lines)
    assert "--units counts:N" in str(recorder.trouble)
    assert rows == []
    known, rows = record(lines, recorder=Recorder("counts:4096"))
    assert known.samples == 200


def test_silence_is_told_once_and_again_after_a_sign_of_life() -> None:
    first, second = records(5, Faults(), 2 * S), records(2, Faults(), 20 * S, boot=8)
    recorder, _ = record([*first, *ticks(8, 20), *second, *ticks(23, 30)])
    silent = [notice for notice in recorder.notices if "nothing came for 3 s" in notice]
    assert len(silent) == 2


def test_silence_from_the_beginning_is_told_and_a_port_that_is_away_is_not_silent() -> None:
    assert "nothing came" in record([Tick(2 * S), Tick(5 * S)])[0].notices[0]
    assert record([Record(2 * S, Kind.CLOSED, LOST), Tick(9 * S)])[0].notices == []


def test_a_device_that_says_hello_and_gives_no_samples_is_silent() -> None:
    heard = records(5, Faults(), 2 * S)
    hello = heard[0].payload
    recorder, _ = record([*heard, *(Record(at * S, Kind.BYTES, hello) for at in (8, 9, 10, 11))])
    assert "nothing came for 3 s" in recorder.notices[0]


def test_each_word_is_answered() -> None:
    recorder = Recorder("auto", known=("sitting",))
    answers = [recorder.press(S, word) for word in ("walking", "walking", "sitting", "undo", "", "walking", "", "undo")]
    assert answers == [
        "walking (new)", "walking, as before", "sitting", "sitting taken back: no label now", "no label", "walking",
        "end of walking", "walking taken back: no label now",
    ]  # fmt: skip
    assert recorder.press(S, "undo") == "walking taken back: no label now"
    assert recorder.press(S, "undo") == "nothing to take back"
    with pytest.raises(BadInput, match="61 characters"):
        recorder.press(S, "a" * 61)
    assert recorder.labels.current == ""


def test_progress_tells_how_it_stands() -> None:
    recorder = Recorder("auto")
    recorder.press(S, "walking")
    assert progress(recorder, 0, S) == "no sample yet | walking"
    heard = records(30, Faults(drop=0.05), 2 * S)
    recorder, _ = record(heard, [(7.0, "walking"), (22.0, "sitting")])
    told = progress(recorder, 1, heard[-1].host_ns)
    assert re.fullmatch(r"30 s, 2\d\d0 samples, 9\d\.\d Hz, \d+0 lost \| sitting \| walking 1[23] s, sitting 8 s", told)
