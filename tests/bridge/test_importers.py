"""Formats as others write them: small texts of each, real files of devices, the archive's where they are at hand."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mmvq_bridge.importers.any_file import Format, Options, Source, find_sources, read_source, tell
from mmvq_bridge.importers.cbor import loads
from mmvq_bridge.importers.edge_impulse import read_info
from mmvq_bridge.importers.labels import Stretch, labelled, whole
from mmvq_bridge.importers.rows import columns_of_axes
from mmvq_bridge.importers.units import in_g, seconds_per_tick
from mmvq_bridge.recordings import STANDARD_GRAVITY, RecordingFile

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from foreign_files import ANKLE, CASES, CHEST, HAND, PHONE, VALUES, WATCH, acquisition, cbor_of, csv, pamap2, phone

DEVICES = Path(__file__).parents[1] / "run" / "files"
SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="more files of devices and archives lie beside developers' checkouts"
)


@pytest.fixture
def read(tmp_path: Path):
    """What a file with this content holds. Its name says nothing of the format unless a test gives one."""

    def read(content: str | bytes, name: str = "file.bin", **options: object) -> RecordingFile:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (source,), notices = find_sources([path], tmp_path / "out.parquet")
        assert notices == []
        return read_source(source, Options(**options)).file

    return read


def labels_of(file: RecordingFile) -> list[str | None]:
    """The one label of each recording."""
    found = []
    for recording in file.recordings:
        (index,) = np.unique(recording.label)
        found.append(file.labels[index] if index >= 0 else None)
    return found


def times(file: RecordingFile) -> list[list[float]]:
    return [recording.t.tolist() for recording in file.recordings]


# WISDM

def test_wisdm_of_a_phone_has_words_for_labels_and_metres_per_second_squared(read):
    file = read(PHONE)
    (recording,) = file.recordings
    assert (recording.subject, file.labels, file.rate_hz, file.notices) == ("33", ("jogging",), 20.0, ())
    assert recording.t == pytest.approx([0, 0.049945, 0.099841, 0.149979], abs=1e-9)
    assert recording.xyz[0] * STANDARD_GRAVITY == pytest.approx([-0.6946377, 12.680544, 0.50395286])
    assert "Kwapisz" in file.meta["mmvq.citation"]


def test_wisdm_of_a_watch_has_letters_which_are_told_as_words(read):
    file = read(WATCH)
    assert (labels_of(file), file.rate_hz) == (["walking", "folding"], 20.0)
    assert [len(recording.t) for recording in file.recordings] == [3, 2]
    assert {recording.subject for recording in file.recordings} == {"1600"}
    assert "Weiss" in file.meta["mmvq.citation"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.50395286;\n", "0.50395286;"),  # two on a line
        ("0.50395286;\n", "0.50395286\n"),
        ("0.50395286;\n", "0.50395286,;\n"),
        ("0.50395286;\n", "0.50395286;;\n\n\n"),
        ("0.50395286;\n", "0.50395286;\r\n"),
        ("33,Jogging,49106012271000,5.012288,", "33, Jogging, 49106012271000, 5.012288, "),
        ("5.012288", "5.012288E0"),
    ],
)
def test_wisdm_is_read_as_untidy_as_it_is(read, old, new):
    tidy, untidy = read(PHONE), read(PHONE.replace(old, new, 1))
    assert untidy.notices == ()
    assert np.array_equal(untidy.recordings[0].xyz, tidy.recordings[0].xyz)
    assert np.array_equal(untidy.recordings[0].t, tidy.recordings[0].t)


def test_wisdms_damaged_records_are_left_out_counted_and_shown(read):
    walk = phone(*((50 * i, "Walking") for i in range(40)))
    lines = walk.splitlines(keepends=True)
    damages = ["7,Walking,1000000500000,4.4,4.4,\n", "7,Walking,10000005;\n"]
    file = read("".join([*lines[:20], *damages, *lines[20:]]))
    assert [len(recording.t) for recording in file.recordings] == [40]
    (said,) = file.notices
    assert "2 of 42 records are damaged: left out; first: line 21 (7,Walking,1000000500000,4.4,4.4,)" in said


def test_wisdms_records_of_no_time_or_the_same_time_are_left_out_and_cut_nothing(read):
    # As about 728 s of person 15 in v1.1.
    file = read(
        "15,Jogging,728142284000,13.14,-10.34,-2.9147544;\n"
        "15,Jogging,728192638000,12.11,-7.93,3.5276701;\n"
        "15,Jogging,728192638000,12.11,-7.93,3.5276701;\n"
        "15,Jogging,0,0,0,0.0;\n"
        "15,Jogging,0,0,0,0.14982383;\n"
        "15,Jogging,728242992000,-0.11,14.02,0.14982383;\n"
        "15,Jogging,728242992000,4.4,0,0;\n"
        "15,Jogging,728292838000,0.11,6.59,-3.9499009;\n"
    )
    (recording,) = file.recordings
    assert recording.t == pytest.approx([0, 0.050354, 0.100708, 0.150554], abs=1e-9)
    assert recording.xyz[2, 1] * STANDARD_GRAVITY == pytest.approx(14.02)
    assert ["2 records have time 0" in file.notices[0], "2 records repeat the time" in file.notices[1]] == [True, True]
    assert "first: line 4" in file.notices[0] and "first: line 3" in file.notices[1]


def test_wisdms_recordings_end_with_person_activity_session_and_where_time_runs_backwards(read):
    walk = [(0, "Walking"), (50, "Walking"), (1050, "Walking")]  # a second's gap is the recording's own
    file = read(
        phone(*walk, (62_000, "Walking"), (62_050, "Walking"), (50, "Walking"), (100, "Walking"))
        + phone((150, "Sitting"), (200, "Sitting"))
        + phone((250, "Sitting"), (300, "Sitting")).replace("7,", "8,", 2)
    )
    assert times(file) == [pytest.approx(t) for t in ([0, 0.05, 1.05], [0, 0.05], [0, 0.05], [0, 0.05], [0, 0.05])]
    assert labels_of(file) == ["walking", "walking", "walking", "sitting", "sitting"]
    assert [recording.subject for recording in file.recordings] == ["7", "7", "7", "7", "8"]
    assert [recording.id for recording in file.recordings] == [0, 1, 2, 3, 4]


def test_wisdms_records_that_stand_alone_are_left_out_and_said(read):
    file = read(phone((0, "Walking"), (50, "Walking"), (100, "Sitting"), (150, "Walking"), (200, "Walking")))
    assert labels_of(file) == ["walking", "walking"]
    assert file.notices[0].endswith("1 records stand alone: left out")


def test_actitrackers_milliseconds_are_told_from_nanoseconds(read):
    lines = [f"1679,Walking,{1370520469556 + 50 * i},0.294132,-6.356918,0.449577;" for i in range(30)]
    file = read("\n".join(lines))
    assert (file.rate_hz, file.recordings[0].t[-1]) == (20.0, pytest.approx(1.45))


def test_another_rate_than_wisdms_is_measured_and_said(read):
    file = read(phone(*((20 * i, "Walking") for i in range(30))))
    assert file.rate_hz == 50.0 and "50 Hz by the median step" in file.notices[0]


# PAMAP2

@pytest.mark.parametrize(
    ("position", "xyz", "worn"),
    [(None, HAND, "dominant wrist"), ("hand", HAND, "dominant wrist"), ("chest", CHEST, "chest"),
     ("ankle", ANKLE, "dominant ankle")],
)  # fmt: skip
def test_pamap2_is_one_recording_of_the_part_that_is_asked_for(read, position, xyz, worn):
    file = read(pamap2((8.38, 0), (8.39, 0), (8.40, 4), (8.41, 24)), "subject101.dat", position=position)
    (recording,) = file.recordings
    assert (recording.subject, file.rate_hz, file.meta["mmvq.position"]) == ("101", 100.0, worn)
    assert recording.t.tolist() == [0, 0.01, 0.02, 0.03]
    assert recording.xyz[3] * STANDARD_GRAVITY == pytest.approx([float(word) for word in xyz.split()])
    assert file.labels == ("rope_jumping", "walking")
    assert recording.label.tolist() == [-1, -1, 1, 0]
    assert "Reiss" in file.meta["mmvq.citation"]


def test_pamap2s_names_are_those_of_the_shipped_bank(read):
    bank = Path(__file__).parents[2] / "training" / "mmvq_train" / "banks" / "pamap2.json"
    file = read(pamap2(*((i / 100, code) for i, code in enumerate((1, 2, 3, 4, 5, 6, 7, 12, 13, 16, 17, 24)))))
    assert set(file.labels) == set(json.loads(bank.read_text())["activities"])


def test_pamap2s_lost_rows_are_left_out_and_show_as_a_gap(read):
    text = pamap2((0, 1), (0.01, 1)) + pamap2((0.02, 1), hand="NaN NaN NaN") + pamap2((0.03, 1), (0.04, 1))
    file = read(text)
    assert file.recordings[0].t.tolist() == [0, 0.01, 0.03, 0.04]
    assert file.notices[0].endswith("1 of 5 rows were lost at the hand: left out")
    assert len(read(text, position="chest").recordings[0].t) == 5


def test_pamap2s_person_is_known_by_the_files_name_alone(read):
    assert read(pamap2((0, 1), (0.01, 1)), "morning.dat").recordings[0].subject == ""


# UEA .ts

def test_a_ts_files_cases_are_recordings_of_nobody_at_the_rate_that_is_given(read):
    file = read(CASES, rate_hz=16.0, axes=(3, 0, 1))
    assert (labels_of(file), file.rate_hz, file.labels) == (["Up", "Down"], 16.0, ("Down", "Up"))
    assert times(file) == [[0, 1 / 16, 2 / 16]] * 2
    assert file.recordings[1].xyz == pytest.approx(np.array([[-1, 0.1, 0], [-1, 0.2, 0], [-1, 0.3, 0]]))
    assert {recording.subject for recording in file.recordings} == {""}
    assert "Bagnall" in file.meta["mmvq.citation"]


def test_a_ts_files_units_are_as_told(read):
    file = read(CASES, rate_hz=16.0, axes=(2, 3, 0), units="counts:9")
    assert file.recordings[0].xyz[0].tolist() == pytest.approx([1, 1 / 9, 0])


@needs_shared
@pytest.mark.parametrize(
    ("name", "rate_hz", "cases", "samples"),
    [("Epilepsy", 16, 137, 206), ("BasicMotions", 10, 40, 100), ("RacketSports", 10, 151, 30),
     ("UWaveGestureLibrary", 100, 120, 315)],
)  # fmt: skip
def test_the_archives_files_are_read(name, rate_hz, cases, samples):
    path = SHARED / "uea_motion" / f"{name}_TRAIN.ts.gz"
    file = read_source(Source(path, Format.TS), Options(rate_hz=rate_hz)).file
    assert (len(file.recordings), len(file.recordings[0].t)) == (cases, samples)


# Edge Impulse


@pytest.mark.parametrize("encode", [lambda found: json.dumps(found, indent=1).encode(), cbor_of], ids=["json", "cbor"])
def test_edge_impulses_file_is_a_recording_labelled_by_its_name(read, encode):
    file = read(encode(acquisition(VALUES)), "brisk walk.json.2abc.json")
    (recording,) = file.recordings
    assert (labels_of(file), file.rate_hz, recording.t.tolist()) == (["brisk walk"], 100.0, [0, 0.01, 0.02, 0.03])
    assert recording.xyz[0] * STANDARD_GRAVITY == pytest.approx(VALUES[0])
    assert (recording.subject, file.meta["mmvq.device"]) == ("", "DISCO-L475VG-IOT01A ac:87:a3:0a:2d:1b")


def test_edge_impulses_acceleration_is_found_among_other_sensors(read):
    names = ("gyrX", "gyrY", "gyrZ", "accZ", "accY", "accX")
    file = read(json.dumps(acquisition([[100, 200, 300, 3, 2, 1]] * 2, "g", names)), "a.json")
    assert file.recordings[0].xyz.tolist() == [[1, 2, 3]] * 2


@pytest.mark.parametrize(
    ("told", "units", "one_g"),
    [("m/s2", "g", 9.80665), ("g", "ms2", 1), ("mg", "auto", 1000), ("N/A", "auto", 9.8), ("N/A", "counts:512", 512)],
)
def test_edge_impulses_units_count_where_a_file_names_any_that_are_known(read, told, units, one_g):
    file = read(json.dumps(acquisition([[0, 0, one_g]] * 3, told)), "a.json", units=units)
    assert file.recordings[0].xyz[0] == pytest.approx([0, 0, 1], abs=1e-3)


def test_info_labels_says_what_each_file_of_an_export_is(tmp_path):
    for name in ("training/one.1.json", "training/two.json", "testing/three.json", "testing/four.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(acquisition(VALUES * 5)))
    multi = [{"label": "up", "startIndex": 0, "endIndex": 49}, {"label": "down", "startIndex": 50, "endIndex": 199}]
    entries = {
        "training/one.1.json": {"type": "label", "label": "0.5"},
        "training/two.json": {"type": "unlabeled"},
        "testing/three.json": {"type": "multi-label", "labels": multi},
    }
    listed = [{"path": path, "category": "training", "label": label} for path, label in entries.items()]
    (tmp_path / "info.labels").write_text(json.dumps({"version": 1, "files": listed}))
    sources, notices = find_sources([tmp_path], tmp_path / "out")
    four, three, one, two = (read_source(source, Options()).file for source in sources)
    assert notices == []
    assert labels_of(four) == ["four"] and labels_of(one) == ["0.5"] and labels_of(two) == [None]
    assert three.recordings[0].label.tolist() == [three.labels.index("up")] * 5 + [three.labels.index("down")] * 15
    assert len(read_info(tmp_path)) == 3


@pytest.mark.parametrize(
    ("hexes", "value"),  # of RFC 8949, appendix A
    [
        ("1903e8", 1000), ("3903e7", -1000), ("f90001", 5.960464477539063e-8), ("fa47c35000", 100000.0),
        ("fb3ff199999999999a", 1.1), ("f4", False), ("f6", None), ("c11a514b67b0", 1363896240), ("420102", b"\1\2"),
        ("62c3bc", "ü"), ("7f657374726561646d696e67ff", "streaming"), ("826161a161626163", ["a", {"b": "c"}]),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]), ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
    ],
)  # fmt: skip
def test_cbor_is_read_as_its_standard_has_it(hexes, value):
    assert loads(bytes.fromhex(hexes)) == value


@pytest.mark.parametrize(
    "hexes",
    ["", "19", "1903", "ff", "82", "8201", "9f01", "bf", "a101", "a10102", "8201ff", "62", "7f01ff", "1f", "1c", "f8",
     "5b" + "7f" * 8, "81" * 40 + "01"],
)  # fmt: skip
def test_what_is_no_whole_cbor_is_no_value(hexes):
    with pytest.raises(ValueError, match=r"byte|end"):
        loads(bytes.fromhex(hexes))


# CSV


def test_edge_impulses_csv_is_labelled_by_its_name(read):
    file = read(csv("timestamp,accX,accY,accZ", 16, xyz="0.9,-1.9,9.4"), "wave.2abc.csv")
    assert (labels_of(file), file.rate_hz) == (["wave"], 62.5)
    assert file.recordings[0].t[:3].tolist() == [0, 0.016, 0.032]
    assert file.recordings[0].xyz[0] == pytest.approx(np.array([0.9, -1.9, 9.4]) / STANDARD_GRAVITY)
    assert "taken for m/s²" in file.notices[0] and "time is taken for ms, which makes 62.5 Hz" in file.notices[1]


@pytest.mark.parametrize(("step", "unit"), [(0.02, "s"), (20, "ms"), (20_000, "µs"), (20_000_000, "ns")])
def test_the_unit_of_time_is_the_one_that_makes_a_rate(read, step, unit):
    file = read(csv("time,x,y,z", step))
    assert (file.rate_hz, labels_of(file)) == (50.0, [None])
    assert file.recordings[0].t[-1] == pytest.approx(39 * 0.02)
    assert f"taken for {unit}," in file.notices[-1]


def test_columns_may_stand_in_any_order_with_others_between_and_labels_in_one(read):
    file = read("label,z,heart,y,x,t\nup,1,80,.5,.25,0\n,1,,.5,.25,.02\n\ndown,1,80,.5,.25,.04\r\n")
    (recording,) = file.recordings
    assert recording.xyz.tolist() == [[0.25, 0.5, 1]] * 3
    assert (file.labels, recording.label.tolist()) == (("down", "up"), [1, -1, 0])


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ('"Time (s)","Acceleration x (m/s^2)","Acceleration y (m/s^2)","Acceleration z (m/s^2)"', ";"),
        ("\ufefft,ax,ay,az", "\t"),
        ("timestamp,x-axis,y-axis,z-axis", ","),
        ("t_ms,acc_x,acc_y,acc_z", ","),
    ],
)
def test_loggers_name_their_columns_as_they_like(read, header, delimiter):
    file = read(csv(header, 10, xyz="0.5,0.25,1").replace(",", delimiter))
    assert (file.rate_hz, file.recordings[0].xyz[0].tolist()) == (100.0, [0.5, 0.25, 1])


def test_acceleration_goes_before_an_axis_alone():
    assert columns_of_axes(["x", "y", "z", "accZ", "accY", "accX"]) == (5, 4, 3)
    assert columns_of_axes(["gyroX", "gyroY", "gyroZ"]) is None
    assert columns_of_axes(["x", "x", "y", "z"]) is None


def test_a_file_of_any_length_is_read_in_pieces(read, monkeypatch):
    texts = (PHONE, csv("time,x,y,z,label", 20, xyz="0.1,-0.2,0.98,up"), pamap2(*((i / 100, 4) for i in range(30))))
    for text in texts:
        at_once = read(text)
        monkeypatch.setattr("mmvq_bridge.importers.rows.PIECE", 611)
        in_pieces = read(text)
        monkeypatch.undo()
        for got, expected in zip(in_pieces.recordings, at_once.recordings, strict=True):
            assert np.array_equal(got.t, expected.t) and np.array_equal(got.xyz, expected.xyz)
            assert np.array_equal(got.label, expected.label)


# Devices, recording files, and what all have in common


def test_a_devices_file_tells_its_clock(tmp_path):
    (source,), _ = find_sources([DEVICES / "geneactiv.bin"], tmp_path / "out")
    imported = read_source(source, Options(position="left wrist"))
    assert np.datetime64(round(imported.clock_s * 1000), "ms") == np.datetime64("2019-05-21T16:16:43.500")
    assert imported.file.meta == {"mmvq.device": "GENEActiv 051386", "mmvq.position": "left wrist"}
    assert labels_of(imported.file) == [None]


@pytest.mark.parametrize(
    ("head", "format"),
    [
        ((DEVICES / "geneactiv.bin").read_bytes()[:2000], Format.DEVICE),
        ((DEVICES / "axivity.cwa").read_bytes()[:2000], Format.DEVICE),
        (b"PAR1", Format.RECORDING),
        (b"recording,subject,label,t_ms,x,y,z\n", Format.RECORDING),
        (PHONE.encode(), Format.WISDM),
        (WATCH.encode(), Format.WISDM),
        (b"\n\n33,Jogging,49105;" + PHONE.encode(), Format.WISDM),
        (pamap2((0, 1)).encode(), Format.PAMAP2),
        (CASES.encode(), Format.TS),
        (json.dumps(acquisition([])).encode(), Format.EDGE_IMPULSE),
        (cbor_of(acquisition([])), Format.EDGE_IMPULSE),
        (b"timestamp,accX,accY,accZ\n", Format.TABLE),
        (b"start,end,label\n0,1,walking\n", None),
        (b"0.1,0.2,0.3\n", None),
        (b"{}", None),
        (b"\x1f\x8b nothing", None),
        (b"", None),
        (b"dear reader", None),
    ],
)
def test_formats_are_told_by_content(head, format):
    assert tell(head) is format


def test_a_label_covers_its_stretch_and_the_rest_keeps_its_own(read):
    file = read(csv("time,x,y,z,label", 0.1, 5, "0,0,1,old"))
    relabelled = labelled(file, [Stretch(0.1, 0.3, "new")])
    assert [relabelled.labels[i] for i in relabelled.recordings[0].label] == ["old", "new", "new", "old", "old"]
    assert file.labels == ("old",) and file.recordings[0].label.tolist() == [0] * 5
    assert labels_of(labelled(file, whole("new"))) == ["new"]


@pytest.mark.parametrize(("one_g", "is_ms2"), [(1.0, False), (2.5, False), (4.5, True), (9.81, True), (25.0, True)])
def test_units_are_guessed_by_what_a_body_can_do(one_g, is_ms2):
    values, notices = in_g(np.full((3, 3), one_g / np.sqrt(3)), "auto", "a", str)
    assert np.linalg.norm(values[0]) == pytest.approx(one_g / 9.80665 if is_ms2 else one_g)
    assert any("taken for m/s²" in notice for notice in notices) == is_ms2


def test_signals_without_gravity_are_told():
    _, notices = in_g(np.full((3, 3), 0.1), "g", "a", str)
    assert "there is no gravity in it" in notices[0]


def test_repeated_times_do_not_hide_the_unit_of_time():
    assert seconds_per_tick(np.array([0, 0, 0, 10, 20, 30.0]), "a") == (1e-3, "ms")
