"""What cannot be imported is one line that names file and place, exit status 2, and no file is left."""

import gzip
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmvq_bridge.cli import main
from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.any_file import Options, find_sources, read_source
from mmvq_bridge.importers.merge import merged
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings, write_recordings

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from foreign_files import CASES, PHONE, VALUES, WATCH, acquisition, cbor_of, csv, pamap2, phone
from hurt import QUICK, whatever

DEVICES = Path(__file__).parents[1] / "run" / "files"
SEEDS = [
    text if isinstance(text, bytes) else text.encode()
    for text in (
        PHONE, WATCH, CASES, pamap2((0, 1), (0.01, 4), (0.02, 4)), json.dumps(acquisition(VALUES)),
        cbor_of(acquisition(VALUES)), csv("timestamp,accX,accY,accZ", 16, 5), csv("t,x,y,z,label", 0.01, 5, "0,0,1,up"),
    )
]  # fmt: skip


class Refused:
    """The line that the command ends with for these words, and for a file with this content."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.out = folder / "out.parquet"
        self._capsys = capsys

    def __call__(self, *words: object) -> str:
        before = self.out.exists()
        assert main(["import", *map(str, words), "--out", str(self.out)]) == 2
        printed = self._capsys.readouterr()
        (line,) = [line for line in printed.err.splitlines() if ": reading " not in line]
        assert printed.out == "" and line.startswith("mmvq-bridge: ") and line.isprintable()
        assert self.out.exists() == before and not list(self.folder.glob(".out*"))
        return line.removeprefix("mmvq-bridge: ")

    def of(self, content: str | bytes, *words: object, name: str = "file.txt") -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        line = self(path, *words)
        assert line.startswith(f"{path}: ")
        return line.removeprefix(f"{path}: ")


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return Refused(tmp_path, capsys)


@given(whatever(SEEDS), st.sampled_from(["auto", "g", "counts:1e-300"]))
@QUICK
def test_whatever_bytes_make_a_file_that_can_be_read_or_one_line(content: bytes, units: str) -> None:
    with TemporaryDirectory() as folder:
        path, out = Path(folder, "subject1.x.dat"), Path(folder, "out.csv")
        path.write_bytes(content)
        try:
            (source,), _ = find_sources([path], out)
            write_recordings(out, merged([read_source(source, Options(units, 16.0)).file], "out"))
        except BadInput as refused:
            assert "\n" not in str(refused)
        else:
            assert read_recordings(out, "auto").recordings


def changed(text: str, line: int, old: str, new: str) -> str:
    """The text with something else on a line, counted from 1."""
    lines = text.splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "".join(lines)


WALK = phone(*((50 * i, "Walking") for i in range(40)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed(WATCH, 4, "S", "N"), "line 4: 'N' is no activity; they are the letters ABCDEFGHIJKLMOPQRS"),
        (changed(WATCH, 4, "S", "a"), "line 4: 'a' is no activity"),
        (changed(PHONE, 2, "11.264028", "411.264028"), "line 2: 0.5111, 41.94, 0.09722 g, with a median of"),
        (changed(WALK, 3, "9.8", "9999.8"), "is over 32 g"),
        (WALK + "7,Walking\n" * 5, "5 of 45 records are no user,activity,time,x,y,z; first: line 41 (7,Walking)"),
        (WALK + "7,Walking,1,2,3,NaN;\n" * 9, "9 of 49 records are no user,activity,time,x,y,z"),
        (WALK.replace(",9.8,", ",0.8,"), "has no gravity in it: a gyroscope's file?"),
        (WALK[: WALK.index("\n")], "no two records"),
        ("7,Walking,0,0.1,9.8,0;\n" * 9, "no two records"),
        (phone((0, "Walking"), (50, "Sitting"), (100, "Walking")), "no two records follow one another"),
        (phone((0, "Walking"), (0, "Sitting")).replace("7,S", "8,S"), "time never moves"),
        (phone((0, "Walking"), (5000, "Walking")), "makes no rate of 1 to 1000 Hz"),
        (WALK + "x" * 3_000_000, "line 41 has over 1048576 bytes; a row is a line"),
    ],
)
def test_wisdm_that_cannot_be_meant(refused, text, says):
    assert says in refused.of(text)


P = pamap2(*((i / 100, 4) for i in range(5)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed(P, 3, "0.02 4 ", "0.02 8 "), "line 3: time 0.02, activity 8: PAMAP2 has activities 1, 2"),
        (changed(P, 3, "0.02 4 ", "NaN 4 "), "line 3: time nan"),
        (changed(P, 3, "0.02 4 ", "0.02 NaN "), "activity nan"),
        (changed(P, 3, "0.02", "0.00"), "line 3: time runs backwards (0 after 0.01); sort the rows"),
        (changed(P, 3, "0.02 ", "x "), "line 3 (x 4 NaN 30.375"),
        (changed(P, 3, "0.02 ", ""), "line 3 (4 NaN 30.375 2.37223"),
        (changed(P, 4, "2.37223", "2.37223e3"), "line 4: 241.9, 0.877, 0.358 g, with a median of"),
        (P[:-20], "line 5 (0.04 4 NaN"),
        (P[: P.index("\n") + 1], "no acceleration in it at the hand"),
        (P.replace("2.37223", "NaN"), "no acceleration in it at the hand"),
        (P + "1e12 4" + P[6 : P.index("\n")], "a recording of 1.16e+07 days: the clock was set meanwhile"),
    ],
)
def test_pamap2_that_cannot_be_meant(refused, text, says):
    assert says in refused.of(text)


def test_pamap2_was_worn_at_three_places(refused):
    assert "was not worn at 'wrist'; give --position hand, chest, ankle" in refused.of(P, "--position", "wrist")


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        (CASES, (), "a .ts file does not say its rate; give --rate-hz"),
        (CASES, ("--rate-hz", 16, "--axes", "0,1,4"), "it has dimensions 0 to 3; give three of them with --axes"),
        (changed(CASES, 9, "-1,-1,-1", "-1,-99,-1"), ("--rate-hz", 16, "--axes", "0,1,3"), "case 2, sample 2: "),
    ],
)
def test_cases_that_cannot_be_meant(refused, text, words, says):
    assert says in refused.of(text, *words)


def test_cases_that_are_damaged_are_named_with_their_line(refused, tmp_path):
    path = tmp_path / "G.ts"
    path.write_text(changed(CASES, 8, "1,1,1", "1,?,1"))
    assert refused(path, "--rate-hz", 16).startswith(f"{path}:8: a missing value")
    path.write_bytes(gzip.compress(CASES.encode())[:-9])
    assert "cannot be read as a .ts file" in refused(path, "--rate-hz", 16)


def test_cases_that_unpack_to_more_than_memory_holds(refused, monkeypatch):
    monkeypatch.setattr("mmvq_bridge.importers.ts_files.LONGEST", 1000)
    packed = gzip.compress(CASES.encode() + b"#" * 1000)
    assert "over 1000 bytes of text, which is more than can be taken" in refused.of(packed, "--rate-hz", 16)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"values": []}, "values holds no samples"),
        ({"values": None}, "values holds no samples"),
        ({"values": [1, 2, 3]}, "values[0] is 1, not 3 numbers"),
        ({"values": [[1, 2, 3], [1, 2]]}, "values[1] is [1, 2], not 3 numbers"),
        ({"values": [[1, 2, 3], [1, "2", 3]]}, "values[1] is [1, '2', 3], not 3 numbers"),
        ({"values": [[1, 2, 3], [1, None, 3]]}, "values[1] is [1, None, 3], not 3 numbers"),
        ({"values": [[1, 2, 3], [1, True, 3]]}, "values[1] is [1, True, 3], not 3 numbers"),
        ({"values": [[1, 2, 3], [1, float("nan"), 3]]}, "values[1]: 1, nan, 3 is not finite"),
        ({"values": [[1, 2, 3], [10**400, 2, 3]]}, "values has a number that is none of a sensor's"),
        ({"values": [[1, 2, 3]] * 9 + [[1, 999, 3]]}, "values[9]: "),
        ({"interval_ms": 0}, "interval_ms is 0; it lies between 0.1 and 1000"),
        ({"interval_ms": -10}, "interval_ms is -10"),
        ({"interval_ms": "10"}, "interval_ms is 10"),
        ({"interval_ms": float("nan")}, "interval_ms is nan"),
        ({"interval_ms": None}, "interval_ms is None"),
        ({"sensors": None}, "sensors is no list"),
        ({"sensors": ["accX", "accY", "accZ"]}, "sensors is no list of names and units"),
        ({"sensors": [{"name": "audio"}]}, "no sensors accX, accY and accZ (it has audio)"),
        ({"sensors": [{"units": "g"}] * 3}, "no sensors accX"),
    ],
)
def test_edge_impulses_files_that_cannot_be_meant(refused, more, says):
    found = acquisition(VALUES)
    found["payload"] |= more
    assert says in refused.of(json.dumps(found))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (json.dumps(acquisition(VALUES))[:-20], "no whole JSON"),
        (cbor_of(acquisition(VALUES))[:-20], "no whole CBOR ("),
        (json.dumps({"payload": [1]}), "it has no 'payload' as files of Edge Impulse have it"),
        ('{"payload": ' + "[" * 100_000, "no whole JSON"),
        (b'{"payload": "\xff"}', "no whole JSON"),
    ],
)
def test_edge_impulses_files_that_are_cut_short_or_something_else(refused, content, says):
    assert says in refused.of(content)


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ("{", "info.labels: no whole JSON"),
        ("[]", "info.labels: it has no 'files'"),
        ({"files": {}}, "info.labels: it has no 'files'"),
        ({"files": ["a.json"]}, "info.labels: file 1 of it has no path and label"),
        ({"files": [{"path": "a.json"}]}, "info.labels: file 1 of it has no path and label"),
        ({"files": [{"path": 1, "label": "x"}]}, "info.labels: file 1"),
        ({"files": [{"path": "a", "label": "x"}, {"path": "b", "label": {"type": "box"}}]}, "info.labels: file 2"),
        ({"files": [{"path": "a", "label": {"type": "label", "label": 5}}]}, "info.labels: file 1"),
        ({"files": [{"path": "a", "label": {"type": "multi-label", "labels": ["x"]}}]}, "info.labels: file 1"),
    ],
)
def test_an_exports_list_that_cannot_be_meant(refused, tmp_path, info, says):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "info.labels").write_text(info if isinstance(info, str) else json.dumps(info))
    (folder / "a.json").write_text(json.dumps(acquisition(VALUES)))
    assert says in refused(folder)


C = csv("time,x,y,z", 20, 5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed(C, 3, "-0.2", "left"), "line 3 (20,0.1,left,0.98) has no numbers in columns 1, 2, 3, 4; mend it"),
        (changed(C, 3, "-0.2", ""), "line 3 (20,0.1,,0.98)"),
        (changed(C, 3, ",0.98", ""), "line 3 (20,0.1,-0.2)"),
        (changed(C, 3, "-0.2", "nan"), "line 3: 0.1, nan, 0.98 is not finite"),
        (changed(C, 3, "20,", "nan,"), "line 3: nan is no time"),
        (changed(C, 4, "40,", "10,"), "line 4: time runs backwards (10 after 20)"),
        (changed(C, 4, "0.98", "98"), "line 4: 0.1, -0.2, 98 g, with a median of 1.005 g, is over 32 g"),
        (csv("time,x,y,z", 20, 5, "1000,2000,3000"), "line 2: 1000, 2000, 3000 g"),
        (csv("time,x,y,z", 0, 5), "time never moves"),
        (csv("time,x,y,z", 5e10, 5), "makes no rate of 1 to 1000 Hz"),
        ("time,x,y,z\n", "no rows in it"),
        (C + "1e30,0,0,1\n", "days: the clock was set meanwhile"),
    ],
)
def test_tables_that_cannot_be_meant(refused, text, says):
    assert says in refused.of(text)


@pytest.mark.parametrize(("units", "median"), [("g", "9.81"), ("counts:2", "4.905")])
def test_units_that_make_nobodys_acceleration(refused, units, median):
    said = refused.of(csv("time,x,y,z", 20, 5, "0,0,9.81"), "--units", units)
    assert said.startswith(f"a median of {median} g is no wearer's; other units: say --units ms2")


@pytest.mark.parametrize(
    "content",
    [b"", b"dear reader", b"0.1,0.2,0.3\n", b"x,y,z\n1,2,3\n", b"time,x,y\n", b"\x89PNG\r\n", bytes(300), b"{}"],
)
def test_what_is_of_no_known_format_is_told_what_is_accepted(refused, content):
    said = refused.of(content)
    assert "; import takes files of GENEActiv, Axivity and ActiGraph devices, text of WISDM" in said
    assert said.startswith("empty" if not content else "of no known format")


def test_what_is_no_file(refused, tmp_path):
    assert "gone: No such file or directory; give the path" in refused(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    assert "pipe: no file but a pipe or a device" in refused(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    assert "empty: none of its 0 files can be imported; import takes" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "readme.txt").write_text("Dear reader")
    assert "empty: none of its 1 files can be imported" in refused(tmp_path / "empty")


def test_a_devices_file_that_is_damaged_and_an_archive_of_something_else(refused):
    assert "an Axivity file (.cwa), but without samples" in refused.of((DEVICES / "axivity.cwa").read_bytes()[:1024])
    assert "a zip archive, as ActiGraph's .gt3x is, but it cannot be read" in refused.of(b"PK\x03\x04" + bytes(99))


def test_a_damaged_file_in_a_folder_stops_the_import_and_is_named(refused, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text(PHONE)
    (tmp_path / "data" / "b.txt").write_text(changed(WATCH, 4, "S", "N"))
    assert refused(tmp_path / "data").startswith(f"{tmp_path / 'data' / 'b.txt'}: line 4: 'N' is no activity")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("", "diary.csv: no row in it"),
        ("start,end,label\n", "diary.csv: no row in it"),
        ("0,5\n", "diary.csv: row 1: '0,5' is no start,end,label"),
        ("0,5,\n", "diary.csv: row 1: '0,5,' is no start,end,label"),
        ("0,5,up,a,b\n", "diary.csv: row 1: "),
        ("0,5,up\n5,noon,down\n", "diary.csv: row 2: 'noon' is neither seconds nor a date like 2019-05-21 16:16:45"),
        ("0,nan,up\n", "diary.csv: row 1: 'nan' is neither"),
        ("21.5.2019 16:16:45,5,up\n", "diary.csv: row 1: '21.5.2019 16:16:45' is neither"),
        ("2019-02-31 16:16:45,5,up\n", "diary.csv: row 1: '2019-02-31 16:16:45' is neither"),
        ("5,5,up\n", "diary.csv: row 1: 5 to 5 is no stretch of time"),
        ("9,5,up\n", "diary.csv: row 1: 9 to 5 is no stretch of time"),
        ("2019-05-21 16:16:45,5,up\n", "16:16:45 to 5 is no stretch of time; give two times of a kind, in order"),
        ("0,5,up\n2019-05-21 16:16:45,2019-05-21 16:16:46,down\n", "dates and seconds for"),
        ("6,9,up\n0,7,down\n", "diary.csv: rows 2 and 1 overlap; a moment has one label"),
        ("900,999,up\n", "diary.csv: none of its rows lies within a recording"),
        ("2020-05-21 16:16:45,2020-05-21 16:16:46,up\n", "none of its rows lies within a recording; are the dates"),
        ("0,5,up,other.cwa\n", "none of its rows lies within a recording"),
        (b"\xff\xfe\x00", "diary.csv: no CSV"),
    ],
)
def test_a_diary_that_cannot_be_meant(refused, tmp_path, rows, says):
    (tmp_path / "diary.csv").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    assert says in refused(DEVICES / "geneactiv.bin", "--labels", tmp_path / "diary.csv")


def test_a_diary_that_is_for_no_such_file(refused, tmp_path):
    diary, data = tmp_path / "diary.csv", tmp_path / "raw.txt"
    assert "diary.csv: No such file" in refused(DEVICES / "geneactiv.bin", "--labels", diary)
    diary.write_text("0,5,up\n")
    data.write_text(WATCH)
    assert "it holds 2 recordings; --labels is for files that hold one" in refused(data, "--labels", diary)
    both = (DEVICES / "geneactiv.bin", DEVICES / "axivity.cwa")
    assert "row 1 is in seconds from the start of one of 2 files" in refused(*both, "--labels", diary)
    diary.write_text("2019-05-21 16:16:45,2019-05-21 16:16:46,up\n")
    data.write_text(PHONE)
    assert "raw.txt: it tells no date; give start and end in" in refused(data, "--labels", diary)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--units", "feet"), "--units 'feet' are unknown; use auto, g, ms2 or counts:N"),
        (("--units", "counts:0"), "units 'counts:0'"),
        (("--rate-hz", "0"), "--rate-hz 0: a rate lies between 1 and 10000 Hz"),
        (("--rate-hz", "nan"), "--rate-hz nan"),
        (("--rate-hz", "fast"), "--rate-hz"),
        (("--axes", "0,1"), "--axes '0,1' are not three dimensions"),
        (("--axes", "0,1,-2"), "--axes '0,1,-2' are not three dimensions"),
        (("--label", " "), "--label is empty"),
        (("--label", "a", "--labels", "b"), "not allowed with argument"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(refused, tmp_path, words, says):
    assert says in refused(tmp_path / "gone", *words)


def test_what_is_there_is_not_written_over_without_force(refused, tmp_path):
    refused.out.write_text("precious")
    (tmp_path / "raw.txt").write_text(PHONE)
    assert refused(tmp_path / "raw.txt") == f"{refused.out}: there already; give another --out, or --force"
    assert refused.out.read_text() == "precious"
    refused.out = tmp_path / "folder"
    refused.out.mkdir()
    assert "there already" in refused(tmp_path / "raw.txt", "--force")


def test_without_pyarrow_it_is_said_before_anything_is_read(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("mmvq_bridge.commands.import_files.find_spec", lambda name: None)
    said = refused(tmp_path / "gone")
    assert said.endswith("writing Parquet needs pyarrow; pip install 'mmvq[files]', or end --out with .csv")


def recording(path: Path, subject: str, rate_hz: float) -> Path:
    t, xyz = np.arange(100) / rate_hz, np.tile(np.array([0, 0, 1], np.float32), (100, 1))
    one = Recording(0, subject, t, xyz, np.full(100, -1, np.int32))
    write_recordings(path, RecordingFile("", (one,), (), rate_hz, True))
    return path


def test_files_that_do_not_go_together(refused, tmp_path):
    slow, fast = recording(tmp_path / "slow.parquet", "anna", 50), recording(tmp_path / "fast.parquet", "ben", 100)
    said = refused(slow, fast)
    assert f"rates differ: {slow} has 50 Hz, {fast} 100 Hz; import them apart, or give the fastest" in said
    assert said.endswith("--rate-hz 100")
    assert "--rate-hz 200 is no rate of these files" in refused(slow, fast, "--rate-hz", 200)
    assert "--rate-hz 20 is no rate of these files" in refused(slow, "--rate-hz", 20)
    nameless = recording(tmp_path / "nameless.parquet", "", 50)
    assert refused(slow, nameless).startswith(f"{nameless}: it names no wearer where other files do")
