"""Public data sets as they are published: WISDM, PAMAP2, UEA's .ts; the archive's files where they are at hand."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from foreign_files import ANKLE, CASES, CHEST, HAND, PHONE, WATCH, pamap2, phone
from import_parts import labels_of, reader, times

from mmvq_bridge.importers.any_file import Format, Options, Source, read_source
from mmvq_bridge.recordings import STANDARD_GRAVITY

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="more files of devices and archives lie beside developers' checkouts"
)


@pytest.fixture
def read(tmp_path):
    return reader(tmp_path)


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
