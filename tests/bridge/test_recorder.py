import io
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import Connection, Faults, FaultyLine, Heard, faulty_device, hear
from mmvq_bridge.recorder import keeping
from mmvq_bridge.recorder.journal import DEVICE, HEADER, RATE, SETTLE, Fact, Row, Word, devices, encode, parse
from mmvq_bridge.recorder.keeping import Part, file_to_add_to, finish
from mmvq_bridge.recorder.keyboard import KeyReader, LineReader
from mmvq_bridge.recorder.labels import Labels, checked_label, parse_keys
from mmvq_bridge.recorder.live import LATE_S, Recorder
from mmvq_bridge.recorder.report import progress, summary
from mmvq_bridge.recorder.screen import Screen
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings, write_recordings
from mmvq_bridge.stream.records import LOST, Kind, Opening, Record, Tick, opened
from mmvq_bridge.stream.timed import Samples

RATE_HZ = 100.0


def labels_of(*words: tuple[float, str]) -> Labels:
    labels = Labels()
    for at, word in words:
        labels.take(at, word)
    return labels


def test_a_label_holds_from_its_word_to_the_next_but_not_while_people_begin_and_stop() -> None:
    labels = labels_of((10, "walking"), (30, "sitting"), (40, ""), (50, "lying"))
    assert labels.stretches(60, 2) == [(12, 28, "walking"), (32, 38, "sitting"), (52, 58, "lying")]
    assert labels.stretches(60, 0) == [(10, 30, "walking"), (30, 40, "sitting"), (50, 60, "lying")]
    assert labels.current == "lying"
    assert Labels().stretches(60, 2) == []


def test_a_label_shorter_than_the_settling_does_not_hold_at_all() -> None:
    assert labels_of((10, "walking"), (14, "sitting")).stretches(30, 2) == [(16, 28, "sitting")]


def test_what_is_taken_back_leaves_its_stretch_without_a_label_and_the_one_before_ended() -> None:
    labels = labels_of((10, "walking"), (30, "sitting"))
    assert labels.take(35, "undo") == "sitting"
    assert labels.current == ""
    assert labels.stretches(60, 2) == [(12, 28, "walking")]
    assert labels.take(36, "undo") == "walking"
    assert labels.take(37, "undo") == ""
    assert labels.stretches(60, 2) == []


def test_an_ended_label_can_be_taken_back_too() -> None:
    assert labels_of((10, "walking"), (30, ""), (35, "undo"), (40, "lying")).stretches(60, 0) == [(40, 60, "lying")]


def test_the_label_that_holds_already_is_no_change() -> None:
    assert labels_of((10, "walking"), (20, "walking"), (30, "")).stretches(60, 2) == [(12, 28, "walking")]


def test_seconds_are_added_up_by_label() -> None:
    labels = labels_of((0, "a"), (10, "b"), (20, "a"), (30, ""))
    assert labels.seconds(40, 1) == {"a": 16, "b": 8}


def test_keys_are_read_with_their_labels() -> None:
    assert parse_keys("w=walking, s=sitting still,1=a=b") == {"w": "walking", "s": "sitting still", "1": "a=b"}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("w=walking,w=waving", "'w' is walking and waving"),
        ("w", "'w' is not KEY=LABEL"),
        ("w=", "'w=' is not KEY=LABEL"),
        ("", "'' is not KEY=LABEL"),
        ("wa=walking", "'wa' is not one key"),
        ("=walking", "'' is not one key"),
        (" =walking", "'' is not one key"),
        ("\x04=walking", "'\\x04' is not one key"),
        ("u=undo", "label 'undo' is what one types to undo"),
        (f"w={'a' * 61}", "has 61 characters"),
    ],
)
def test_keys_that_cannot_be_used_are_named(keys: str, says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(says)):
        parse_keys(keys)


@pytest.mark.parametrize("label", ["quit", "a\tb", "a\x00b", "a\x1b[2Jb", "marche \ufffd", "a" * 61, "a\nb"])
def test_a_label_that_cannot_be_one_is_refused_in_a_line(label: str) -> None:
    with pytest.raises(BadInput) as error:
        checked_label(label)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()


def samples(first: int, n: int) -> Samples:
    i = np.arange(first, first + n)
    return Samples(i / RATE_HZ, np.stack([np.sin(i), np.cos(i), i / 1000], axis=1))


def journal(*told: Samples | Word | Fact, subject: str = "anna", settle: float = 0) -> bytes:
    facts = (Fact(RATE, "100"), Fact(SETTLE, f"{settle:g}"))
    return HEADER + encode([Row(0, item) for item in (*facts, *told)], subject)


def parsed(data: bytes) -> RecordingFile:
    return parse(io.BytesIO(data), "walk.part")


def labelled(file: RecordingFile, recording: int = 0) -> list[tuple[float, str]]:
    """Where labels change in a recording."""
    found = file.recordings[recording]
    names = [*file.labels, ""]
    changes = np.flatnonzero(np.diff(found.label, prepend=-1))
    return [(round(float(found.t[i]), 3), names[found.label[i]]) for i in changes]


def test_what_a_journal_holds_comes_back_as_recordings() -> None:
    some = samples(0, 1000)
    file = parsed(journal(some, Word(2.0, "walking"), Word(5.0, 'at "rest", sitting'), Word(8.0, ""), settle=0.5))
    (recording,) = file.recordings
    np.testing.assert_array_equal(recording.t, some.t)
    np.testing.assert_array_equal(recording.xyz, some.xyz.astype(np.float32))
    assert (recording.id, recording.subject, file.rate_hz, file.notices) == (0, "anna", 100.0, ())
    assert labelled(file) == [(2.5, "walking"), (4.5, ""), (5.5, 'at "rest", sitting'), (7.5, "")]


def test_a_subject_with_commas_quotes_and_umlauts_comes_back() -> None:
    assert parsed(journal(samples(0, 3), subject='Ä, "B"')).subjects == ('Ä, "B"',)


def test_the_end_settles_as_a_change_does() -> None:
    assert labelled(parsed(journal(samples(0, 1000), Word(-3.0, "walking"), settle=2))) == [(0, "walking"), (8, "")]


def test_a_label_that_held_too_shortly_is_told_as_having_nothing() -> None:
    file = parsed(journal(samples(0, 3000), Word(0, "walking"), Word(20, "clapping"), Word(23, ""), settle=2))
    assert file.labels == ("clapping", "walking")
    told = summary(file, file)
    assert "at a time of clapping (0 s); record more" in told[1]
    assert "needs two labels" in told[2]


def test_metadata_come_back_and_several_devices_are_all_named() -> None:
    facts = [Fact("mmvq.position", "left = wrist"), Fact(DEVICE, "ab"), Fact(DEVICE, "ab"), Fact(DEVICE, "cd")]
    assert parsed(journal(*facts, samples(0, 3))).meta == {"mmvq.position": "left = wrist", DEVICE: "ab, cd"}
    assert devices("", "a, b", "b", "c") == "a, b, c"


def test_wherever_a_journal_is_cut_the_whole_rows_before_are_kept() -> None:
    whole = journal(samples(0, 30), Word(0.1, "walking"), samples(30, 30))
    for end in range(whole.index(b"0,anna,,100.000"), len(whole)):
        rows = whole[:end].split(b"\n")[:-1]
        file = parsed(whole[:end])
        assert sum(len(r.t) for r in file.recordings) == sum(row.startswith(b"0,anna,,") for row in rows)
        assert file.labels == (("walking",) if b"walking" in b"".join(rows) else ())
        assert file.notices == ()


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 40, b"0,anna", b"0,anna,,x,1,1,1", b"0,anna,,30,1,1", b"0,anna,,30,nan,1,1", b"0,anna,,30,1,1,99",
        b"0,anna,,5,1,1,1", b"0,anna,,1e300,1,1,1", b"0,anna,,nan,1,1,1", b"9e9,anna,,30,1,1,1", b"\xff,a,,30,1,1,1",
        b'"0,anna', b"0,anna,mmvq.rate_hz=x,,,,", b"0,anna,what,,,,", b"0,anna,walking,inf,,,", b"0,anna,,30,1,,1",
    ],
)  # fmt: skip
def test_a_damaged_row_is_left_out_and_told(damage: bytes) -> None:
    file = parsed(journal(samples(0, 2)) + damage + b"\n" + encode([Row(0, samples(4, 5))], "anna"))
    assert len(file.recordings[0].t) == 7
    assert file.labels == ()
    assert file.notices == ("walk.part: 1 damaged rows are left out",)


@pytest.mark.parametrize("data", [b"", b"recording,subj", b"a,b\n1,2\n", b"\0" * 100 + b"\n"])
def test_what_is_no_journal_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"walk.part: no recording that was begun"):
        parsed(data)


@pytest.mark.parametrize(
    "data", [HEADER, journal(), journal(samples(0, 1)), HEADER + encode([Row(0, samples(0, 9))], "")]
)
def test_a_journal_without_samples_or_rate_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"walk.part: no samples in it"):
        parsed(data)


# What follows hears a device at times of our own making.

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
    return [
        Record(start_ns + round(item.at_s * S), Kind.BYTES, item.wire) for item in heard if isinstance(item, Heard)
    ]


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
    assert re.fullmatch(
        r"30 s, 2\d\d0 samples, 9\d\.\d Hz, \d+0 lost \| sitting \| walking 1[23] s, sitting 8 s", told
    )


def test_lines_are_typed_and_mended_on_a_terminal() -> None:
    reader = LineReader(terminal=True)
    assert reader.feed("wlak\x7f\x7f\x7falking") == []
    assert reader.text == "walking"
    assert reader.feed("\r") == ["walking"]
    assert reader.feed("\n") == []
    assert reader.feed("sit\x15 lying \n\n\tundo\x1b[A\x1bOB\n\x04") == ["lying", "", "undo", "quit"]
    assert reader.feed("ä\b\r") == [""]


def test_lines_of_a_pipe_are_taken_as_they_are() -> None:
    reader = LineReader(terminal=False)
    assert reader.feed("walking\r\n\r\nsit") == ["walking", ""]
    assert reader.feed("ting\nquit\n") == ["sitting", "quit"]
    assert reader.feed("a\x7fb\n") == ["a\x7fb"]  # and refused as a label
    assert len(reader.feed("x" * 100_000 + "\n")[0]) < 2000


def test_keys_are_words_at_once_and_one_that_is_none_is_told() -> None:
    said: list[str] = []
    reader = KeyReader({"w": "walking", "s": "sitting"}, said.append)
    assert reader.feed("wws \x7f\b\x04") == ["walking", "walking", "sitting", "", "undo", "undo", "quit"]
    assert said == []
    assert reader.feed("W\x1b[Aw") == ["walking"]
    assert said == [f"no key 'W'; {reader.help}"]
    assert "w walking, s sitting, blank no label" in reader.help


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def line(self) -> str:
        """What stands in the last line."""
        return self.getvalue().split("\x1b[2K")[-1]


def test_on_a_terminal_one_line_is_written_over_and_what_is_typed_stands_at_its_end() -> None:
    out = Terminal()
    with Screen(out, "record") as screen:
        screen.show("1 s", S)
        screen.show("too soon", S + 1)
        assert out.line == "1 s"
        screen.echo("walk")
        assert out.line == "1 s > walk"
        screen.say("a notice")
        assert out.getvalue().endswith("record: a notice\n\r\x1b[2K1 s > walk")
        screen.show("x" * 200, 2 * S)
        assert out.line.endswith("x > walk")
        assert len(out.line) == 79
    assert out.line == ""


def test_elsewhere_a_line_every_ten_seconds_stays() -> None:
    out = io.StringIO()
    with Screen(out, "record") as screen:
        for second in range(25):
            screen.show(f"{second} s", (1 + second) * S)
            screen.echo("typed")
    assert out.getvalue() == "record: 10 s\nrecord: 20 s\n"


def test_nobody_who_looks_on_ends_no_recording() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Screen(Gone(), "record") as screen:
        screen.say("a line")


def a_file(path: str, *stretches: tuple[str, float], rate_hz: float = RATE_HZ) -> RecordingFile:
    """One recording with labels one after another."""
    names = tuple(sorted({name for name, _ in stretches if name}))
    label = np.concatenate([np.full(round(s * rate_hz), names.index(n) if n else -1, np.int32) for n, s in stretches])
    t = np.arange(len(label)) / rate_hz
    recording = Recording(0, "anna", t, np.zeros((len(t), 3), np.float32), label)
    return RecordingFile(path, (recording,), names, rate_hz, True)


def test_the_summary_tells_what_is_in_the_file_and_what_to_do_next() -> None:
    file = a_file("my walk.parquet", ("", 2), ("walking", 40), ("", 3), ("sitting", 12.4))
    assert summary(file, file, 20) == [
        "my walk.parquet: recording 0, 5740 samples at 100 Hz, 20 lost: sitting 12 s, walking 40 s, no label 5 s",
        "next: mmvq-train --data 'my walk.parquet'",
    ]


def test_the_summary_warns_of_labels_without_a_window_and_of_a_single_label() -> None:
    file = a_file("walk.csv", ("walking", 9), ("", 1), ("walking", 9))
    assert summary(file, file)[1:] == [
        "warning: less than a window (10 s) at a time of walking (9 s); record more of it",
        "next: mmvq-train needs two labels: add one with mmvq-bridge record --append --out walk.csv ...",
    ]


def test_a_gap_cuts_a_stretch_in_two() -> None:
    file = a_file("walk.csv", ("walking", 12))
    (whole,) = file.recordings
    assert "warning" not in "".join(summary(file, file))
    late = replace(whole, t=whole.t + 0.3 * (whole.t >= 6))
    cut = replace(file, recordings=(late,))
    assert "at a time of walking (6 s)" in "".join(summary(cut, cut))


def written(out: Path, told: Iterable[Samples | Word | Fact], number: int = 0) -> None:
    with Part(out, "anna") as part:
        part.write(Row(number, item) for item in (Fact(RATE, "100"), Fact(SETTLE, "0"), Fact(DEVICE, "ab"), *told))


@pytest.mark.parametrize("name", ["walk.parquet", "walk.csv"])
def test_the_file_is_made_of_the_part_which_is_gone_then(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    written(out, [samples(0, 200), Word(1.0, "walking")])
    finish(out)
    assert list(tmp_path.iterdir()) == [out]
    file = read_recordings(out)
    assert labelled(file) == [(1.0, "walking")]
    assert file.meta.get(DEVICE) == ("ab" if name == "walk.parquet" else None)


def test_new_recordings_are_added_to_a_file_and_its_own_stay_as_they_are(tmp_path: Path) -> None:
    out = tmp_path / "walk.parquet"
    old = a_file(str(out), ("walking", 5), ("", 1), ("zumba", 5))
    write_recordings(out, replace(old, meta={"mmvq.name": "old", DEVICE: "cd"}))
    words = Word(0.5, "walking"), Word(1.0, "sitting")
    written(out, [samples(0, 200), *words, Fact("mmvq.position", "wrist")], number=1)
    finish(out)
    file = read_recordings(out)
    assert file.labels == ("sitting", "walking", "zumba")
    assert file.meta.items() >= {"mmvq.name": "old", DEVICE: "cd, ab", "mmvq.position": "wrist"}.items()
    assert labelled(file, 0) == [(0, "walking"), (5, ""), (6, "zumba")]
    assert labelled(file, 1) == [(0.5, "walking"), (1.0, "sitting")]
    assert [r.id for r in file.recordings] == [0, 1]


def test_what_is_in_the_file_already_is_not_added_twice(tmp_path: Path) -> None:
    """As after a power cut between the file's last byte and the part's removal."""
    out = tmp_path / "walk.csv"
    write_recordings(out, a_file(str(out), ("walking", 5)))
    before = out.read_bytes()
    written(out, [samples(0, 200)])
    with pytest.raises(BadInput, match=r"has recording 0 already; if .*walk.csv.part is in it, delete that"):
        finish(out)
    assert out.read_bytes() == before


def test_a_part_that_is_being_written_is_not_taken(tmp_path: Path) -> None:
    out = tmp_path / "walk.csv"
    with Part(out, "") as part:
        part.write([Row(0, Fact(RATE, "100")), Row(0, samples(0, 200))])
        with pytest.raises(BadInput, match="another run still writes it"):
            finish(out)
        with pytest.raises(BadInput, match="File exists"), Part(out, ""):
            pass
    finish(out)
    assert out.exists()


def test_where_the_file_cannot_be_written_the_part_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "walk.csv"
    written(out, [samples(0, 200)])
    monkeypatch.setattr(keeping, "write_recordings", full)
    with pytest.raises(Failed, match=r"No space left on device; all is in .*--finish"):
        finish(out)
    monkeypatch.undo()
    finish(out)
    assert len(read_recordings(out).recordings[0].t) == 200


def test_without_pyarrow_a_parquet_is_refused_before_anything_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "find_spec", {}.get)
    with pytest.raises(BadInput, match=r"pip install 'mmvq\[files\]'"):
        file_to_add_to(tmp_path / "walk.parquet", False)
    assert file_to_add_to(tmp_path / "walk.csv", False) is None
