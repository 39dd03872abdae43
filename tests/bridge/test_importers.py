"""Files as tools and devices write them, and what all formats have in common: Edge Impulse, CSV, raw device files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from foreign_files import CASES, PHONE, VALUES, WATCH, acquisition, cbor_of, csv, pamap2
from import_parts import labels_of, reader

from mmvq_bridge.importers.any_file import Format, Options, find_sources, read_source, tell
from mmvq_bridge.importers.edge_impulse import read_info
from mmvq_bridge.importers.labels import Stretch, labelled, whole
from mmvq_bridge.importers.rows import columns_of_axes
from mmvq_bridge.importers.units import in_g, seconds_per_tick
from mmvq_bridge.recordings import STANDARD_GRAVITY

DEVICES = Path(__file__).parents[1] / "run" / "files"


@pytest.fixture
def read(tmp_path):
    return reader(tmp_path)


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
