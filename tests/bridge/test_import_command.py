"""mmvq-bridge import as a person uses it: files in, a recording file out, and what is said on the way."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from quality_devices import directions, file_of, held, measured, recording

from mmvq_bridge.cli import main
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings, write_recordings

DEVICES = Path(__file__).parents[1] / "run" / "files"


class Import:
    """The command with its output file; what it said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.out = folder / "out.parquet"
        self._capsys = capsys
        self.said = ""

    def __call__(self, *words: object) -> RecordingFile:
        assert main(["import", *map(str, words), "--out", str(self.out), "--force"]) == 0
        printed = self._capsys.readouterr()
        assert printed.out == ""
        self.said = printed.err
        return read_recordings(self.out)


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)


def wisdm(path: Path, *people: int, seconds: int = 60) -> Path:
    """Two activities by each of them, 20 Hz, each in a movement of its own."""
    lines = []
    for person in people:
        for number, activity in enumerate(("Walking", "Sitting")):
            for i in range(20 * seconds):
                swing = (1 - number) * 3 * np.sin(i * 0.6)
                time = 10**12 * (person + 1) + (10**11 * number) + 50_000_000 * i
                lines.append(f"{person},{activity},{time},{swing:.6f},{9.6 - number},{0.3 + 2 * number};")
    path.write_text("\n".join(lines) + "\n")
    return path


def recordings(path: Path, subject: str = "anna", rate_hz: float = 20.0, label: str = "rest", **meta: str) -> Path:
    """A recording file of one."""
    n = 100
    xyz = np.tile(np.array([0, 0, 1], np.float32), (n, 1))
    recording = Recording(7, subject, np.arange(n) / rate_hz, xyz, np.zeros(n, np.int32))
    said = {f"mmvq.{key}": text for key, text in meta.items()}
    write_recordings(path, RecordingFile(str(path), (recording,), (label,), rate_hz, True, said))
    return path


def test_a_data_set_becomes_a_recording_file_that_training_takes(imported, tmp_path):
    from mmvq_train.config import Config
    from mmvq_train.data import load_dataset

    raw = wisdm(tmp_path / "raw.txt", 1, 2, 3, 4, 5, 6)
    file = imported(raw, "--name", "phones", "--position", "pocket", "--licence", "none known")
    assert (len(file.recordings), file.subjects) == (12, ("1", "2", "3", "4", "5", "6"))
    assert (file.name, file.rate_hz, file.rate_declared) == ("phones", 20.0, True)
    assert (file.meta["mmvq.position"], file.meta["mmvq.licence"]) == ("pocket", "none known")
    assert "Kwapisz" in file.meta["mmvq.citation"]
    data = load_dataset(Config(data=str(imported.out), window_s=4.0, hop_s=2.0))
    assert (data.name, data.labels, data.subjects, data.split) == ("phones", ("sitting", "walking"), 6, "subject")
    assert min(len(data.train), len(data.calibrate), len(data.test)) > 20
    assert np.median(np.linalg.norm(data.train.x.numpy(), axis=2)) == pytest.approx(1, abs=0.1)


def test_what_was_made_is_told_in_a_table(imported, tmp_path):
    imported(wisdm(tmp_path / "raw.txt", 1, 2, seconds=90))
    lines = imported.said.splitlines()
    assert lines[-4] == f"{imported.out}: 4 recordings at 20 Hz, 6.0 minutes, 2 named wearers"
    assert [line.split() for line in lines[-3:]] == [
        ["label", "minutes", "wearers"], ["sitting", "3.0", "2"], ["walking", "3.0", "2"],
    ]  # fmt: skip


def test_a_devices_file_is_unlabelled_unless_it_is_labelled_as_a_whole(imported):
    plain = imported(DEVICES / "axivity.cwa")
    assert (plain.labels, plain.subjects, plain.rate_hz) == ((), ("",), 100.0)
    assert "(none)" in imported.said and "no named wearers" in imported.said
    labelled = imported(DEVICES / "axivity.cwa", "--label", "typing", "--subject", "anna")
    assert (labelled.labels, labelled.subjects) == (("typing",), ("anna",))
    assert (labelled.recordings[0].label == 0).all()
    assert np.array_equal(labelled.recordings[0].xyz, plain.recordings[0].xyz)


@pytest.mark.parametrize(
    "rows",
    [
        "start,end,label\n1.5,4,sitting\n6.5,10,walking\n",
        "1.5;4;sitting\n\n6.5;10;walking\n",
        "2019-05-21 16:16:45,2019-05-21T16:16:47.500,sitting\n2019-05-21 16:16:50,2019-05-21 16:16:53.5,walking\n",
        "start,end,label,file\n1.5,4,sitting,geneactiv.bin\n6.5,10,walking,geneactiv\n",
    ],
    ids=["seconds", "semicolons", "dates", "files"],
)
def test_a_diary_says_who_did_what_when(imported, tmp_path, rows):
    (tmp_path / "diary.csv").write_text("\ufeff" + rows)
    file = imported(DEVICES / "geneactiv.bin", "--labels", tmp_path / "diary.csv")
    (recording,) = file.recordings
    found = np.array([*file.labels, None], object)[recording.label]
    expected = np.full(len(found), None, object)
    expected[(recording.t >= 1.5) & (recording.t < 4)] = "sitting"
    expected[(recording.t >= 6.5) & (recording.t < 10)] = "walking"
    assert found.tolist() == expected.tolist()


def test_a_diarys_rows_that_meet_no_recording_are_told(imported, tmp_path):
    (tmp_path / "diary.csv").write_text("0,5,up\n1000,2000,down\n")
    file = imported(DEVICES / "geneactiv.bin", "--labels", tmp_path / "diary.csv")
    assert file.labels == ("up",)
    assert "diary.csv: rows 2 lie within no recording" in imported.said


def test_files_of_several_formats_are_one_file_with_recordings_numbered_anew(imported, tmp_path):
    own = recordings(tmp_path / "own.parquet", licence="CC0", name="older", citation="me", device="a", rate_hz=20.4)
    file = imported(wisdm(tmp_path / "raw.txt", 33), own, recordings(tmp_path / "two.csv", "ben", label="walking"))
    assert [recording.id for recording in file.recordings] == [0, 1, 2, 3]
    assert [recording.subject for recording in file.recordings] == ["33", "33", "anna", "ben"]
    assert [file.labels[r.label[0]] for r in file.recordings] == ["walking", "sitting", "rest", "walking"]
    assert (file.rate_hz, file.name, file.meta["mmvq.licence"]) == (20.0, "out", "CC0")
    assert file.meta["mmvq.citation"].endswith("2011; me")


def test_what_a_file_says_of_itself_stays_unless_it_is_said_anew(imported, tmp_path):
    own = recordings(tmp_path / "own.parquet", licence="CC0", name="older", position="left wrist")
    assert imported(own).meta | {"mmvq.rate_hz": ""} == {
        "mmvq.name": "older", "mmvq.licence": "CC0", "mmvq.position": "left wrist", "mmvq.rate_hz": "",
    }  # fmt: skip
    anew = imported(own, "--name", "newer", "--licence", "CC BY", "--citation", "us", "--position", "right wrist")
    assert (anew.name, anew.meta["mmvq.licence"], anew.meta["mmvq.citation"]) == ("newer", "CC BY", "us")
    assert anew.meta["mmvq.position"] == "right wrist"


def test_a_subject_is_for_those_who_have_no_name(imported, tmp_path):
    named, nameless = recordings(tmp_path / "a.parquet"), recordings(tmp_path / "b.parquet", subject="")
    assert imported(named, nameless, "--subject", "carl").subjects == ("anna", "carl")


@pytest.mark.parametrize(("word", "subjects"), [("@file", ("p1", "p2")), ("@folder", ("eve", "adam"))])
def test_files_and_folders_may_name_who_wore_it(imported, tmp_path, word, subjects):
    for folder, name in (("adam", "p2.x.cwa"), ("eve", "p1.cwa")):
        (tmp_path / "study" / folder).mkdir(parents=True)
        shutil.copy(DEVICES / "axivity.cwa", tmp_path / "study" / folder / name)
    assert imported(tmp_path / "study", "--subject", word).subjects == subjects


def test_a_folder_is_read_with_all_that_lies_in_it_and_the_rest_is_passed_over(imported, tmp_path):
    folder = tmp_path / "data"
    (folder / "more").mkdir(parents=True)
    wisdm(folder / "more" / "raw.txt", 1)
    wisdm(folder / "raw.txt", 2)
    (folder / "readme.txt").write_text("Dear reader")
    (folder / "data.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    (folder / ".hidden").write_text("1,Walking,1,1,1,1;")
    (folder / "gone").symlink_to(folder / "nowhere")
    imported.out = folder / "out.parquet"
    for _ in range(2):  # its own output, which is there the second time, is not read
        assert imported(folder, folder / "raw.txt").subjects == ("1", "2")
        assert len(read_recordings(imported.out).recordings) == 4
    assert f"{folder}: 2 files of no known format are passed over: data.zip, readme.txt" in imported.said


def test_an_export_of_edge_impulse_goes_the_whole_way(imported, tmp_path):
    payload = {
        "device_type": "NANO33BLE", "interval_ms": 16, "sensors": [{"name": f"acc{a}", "units": "m/s2"} for a in "XYZ"],
        "values": [[0.1, 0.2, 9.8]] * 125,
    }  # fmt: skip
    folder = tmp_path / "my-export"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "wave.1.json").write_text(json.dumps({"payload": payload}))
    (folder / "training" / "idle.json").write_text(json.dumps({"payload": payload}))
    (folder / "training" / "snake.csv").write_text("timestamp,accX,accY,accZ\n" + "0,0,0,9.8\n16,0,0,9.8\n32,0,0,9.8\n")
    label = {"path": "training/idle.json", "category": "training", "label": {"type": "label", "label": "still"}}
    (folder / "info.labels").write_text(json.dumps({"version": 1, "files": [label]}))
    file = imported(folder)
    assert (file.labels, file.rate_hz, len(file.recordings)) == (("snake", "still", "wave"), 62.5, 3)
    assert imported(folder, "--label", "all").labels == ("all",)


def test_cases_of_an_archive_and_its_rate(imported, tmp_path):
    text = "@problemName G\n@classLabel true up down\n@data\n0,0,0:0,0,0:1,1,1:up\n0,0,0:0,0,0:1,1,1:down\n"
    (tmp_path / "G_TRAIN.ts").write_text(text)
    file = imported(tmp_path / "G_TRAIN.ts", "--rate-hz", "16", "--axes", "2,0,1", "--subject", "somebody")
    assert (file.rate_hz, file.labels, file.subjects) == (16.0, ("down", "up"), ("somebody",))
    assert file.recordings[0].xyz.tolist() == [[1, 0, 0]] * 3


def test_rates_that_differ_are_declared_as_asked_and_said(imported, tmp_path):
    slow, fast = recordings(tmp_path / "slow.parquet"), recordings(tmp_path / "fast.parquet", "ben", 50.0)
    assert imported(slow, fast, "--rate-hz", "50").rate_hz == 50.0
    assert "slow.parquet has 20 Hz" in imported.said and "50 Hz is declared" in imported.said


def test_csv_is_written_if_the_name_says_so_and_what_it_loses_is_told(imported, tmp_path):
    imported.out = tmp_path / "out.csv"
    file = imported(wisdm(tmp_path / "raw.txt", 1), "--licence", "none")
    assert (imported.out.read_bytes()[:9], file.labels) == (b"recording", ("sitting", "walking"))
    assert "CSV keeps neither rate, name, licence nor citation" in imported.said


def test_a_thousand_notices_are_told_in_a_few_lines(imported, tmp_path):
    for i in range(30):
        recordings(tmp_path / f"{i}.csv", subject=f"p{i}")
    imported(*(tmp_path / f"{i}.csv" for i in range(30)))
    assert imported.said.count("no rate declared") == 20
    assert "and 10 more notices like these" in imported.said


def test_words_of_a_file_cannot_command_the_terminal(imported, tmp_path):
    imported(recordings(tmp_path / "a.parquet", label="\x1b[2Jrest"))
    assert "\x1b" not in imported.said and "?[2Jrest" in imported.said


def test_large_files_are_named_before_they_are_read(imported, tmp_path, monkeypatch):
    monkeypatch.setattr("mmvq_bridge.commands.import_files.LARGE", 100)
    imported(wisdm(tmp_path / "raw.txt", 1), "--subject", "x")
    assert f"reading {tmp_path / 'raw.txt'} (WISDM, 0.1 MB; 0 of 1 files are read)" in imported.said


def test_of_what_a_device_kept_the_quality_is_told_and_drawn(imported, tmp_path):
    imported(DEVICES / "axivity.cwa", "--report", tmp_path / "pages")
    for kind in ("unit", "range", "rate", "calibration", "wear"):
        assert f" {kind} " in imported.said
    page = (tmp_path / "pages" / "axivity.cwa.html").read_text()
    assert page.startswith("<!doctype html>") and "<svg" in page


def test_of_several_device_files_only_what_is_amiss_is_told(imported, tmp_path):
    shutil.copy(DEVICES / "axivity.cwa", tmp_path / "again.cwa")
    imported(DEVICES / "axivity.cwa", tmp_path / "again.cwa")
    assert " fine " not in imported.said and " unknown " not in imported.said


def test_a_file_is_calibrated_by_gravity_at_rest_if_that_is_asked_for(imported, tmp_path):
    true = held(*((30, way, 0.002) for way in directions(60)))
    write_recordings(tmp_path / "left.parquet", file_of(recording(measured(true))))
    (as_it_is,) = imported(tmp_path / "left.parquet").recordings
    (mended,) = imported(tmp_path / "left.parquet", "--calibrate").recordings
    assert np.abs(as_it_is.xyz - true).mean() > 0.02 > 0.002 > np.abs(mended.xyz - true).mean()
