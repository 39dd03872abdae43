import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import (
    COLUMNS,
    Recording,
    RecordingFile,
    counts_per_g,
    is_recording_header,
    parse_recordings,
    read_recordings,
    write_recordings,
)

HEADER = ",".join(COLUMNS)


def csv_of(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def resting(n: int = 4, one_g: float = 1.0) -> list[str]:
    """Rows of a watch that lies still, 20 a second."""
    return [f"1,anna,rest,{50 * i},0,0,{one_g}" for i in range(n)]


def rejected(data: bytes, units: str = "g") -> str:
    """The one line that names what is wrong."""
    with pytest.raises(BadInput) as error:
        parse_recordings(data, "walk.csv", units)
    message = str(error.value)
    assert "\n" not in message
    return message


def small_file(path: Path) -> RecordingFile:
    rng = np.random.default_rng(1)
    recordings = tuple(
        Recording(
            number,
            subject,
            # With 4.035 s and the like: in binary, seconds times 1000 are not always milliseconds.
            (50 * np.arange(n) + offset) / 1000,
            rng.normal(size=(n, 3)).astype(np.float32),
            rng.integers(-1, 2, n).astype(np.int32),
        )
        for number, subject, n, offset in [(7, "anna", 50, 4035), (3, "ben", 20, 0), (12, "anna", 5, 1009)]
    )
    return RecordingFile(str(path), recordings, ("rest", "walk"), 20.0, True, {"mmvq.name": "small"})


@pytest.mark.parametrize("name", ["walk.csv", "walk.parquet"])
def test_what_is_written_comes_back(tmp_path: Path, name: str) -> None:
    written = small_file(tmp_path / name)
    write_recordings(tmp_path / name, written)
    read = read_recordings(tmp_path / name)
    assert read.labels == written.labels
    assert [(r.id, r.subject) for r in read.recordings] == [(7, "anna"), (3, "ben"), (12, "anna")]
    for got, expected in zip(read.recordings, written.recordings, strict=True):
        np.testing.assert_array_equal(got.t, expected.t)
        np.testing.assert_array_equal(got.xyz, expected.xyz)
        assert got.xyz.dtype == np.float32
        np.testing.assert_array_equal(got.label, expected.label)


@given(st.lists(st.integers(0, 10_000_000), min_size=2, max_size=20, unique=True).map(sorted))
def test_whole_milliseconds_are_written_as_whole_milliseconds(t_ms: list[int]) -> None:
    n = len(t_ms)
    recording = Recording(0, "a", np.array(t_ms) / 1000, np.zeros((n, 3), np.float32), np.full(n, -1, np.int32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        write_recordings(path, RecordingFile(str(path), (recording,), (), 20.0, True))
        rows = path.read_text().splitlines()[1:]
    assert [row.split(",")[3] for row in rows] == list(map(str, t_ms))


def test_parquet_keeps_the_rate_and_the_name(tmp_path: Path) -> None:
    write_recordings(tmp_path / "walk.parquet", small_file(tmp_path / "walk.parquet"))
    read = read_recordings(tmp_path / "walk.parquet")
    assert (read.name, read.rate_hz, read.rate_declared, read.notices) == ("small", 20.0, True, ())


def test_the_format_is_told_by_content_and_not_by_the_name(tmp_path: Path) -> None:
    write_recordings(tmp_path / "walk.parquet", small_file(tmp_path / "walk.parquet"))
    (tmp_path / "walk.parquet").rename(tmp_path / "walk.csv")
    assert read_recordings(tmp_path / "walk.csv").name == "small"


def test_csv_says_that_its_rate_is_the_median_step() -> None:
    file = parse_recordings(csv_of(*resting(), "1,anna,,5000,0,0,1"), "folder/walk.csv")
    assert (file.rate_hz, file.rate_declared, file.name) == (20.0, False, "walk")
    assert file.notices == ("folder/walk.csv: no rate declared; 20 Hz by the median step of t_ms",)


def test_rows_of_recordings_may_be_mixed_and_labels_may_be_empty_or_change() -> None:
    rows = ["2,b,walk,0,0,0,1", "1,a,,0,0,0,1", "2,b,rest,50,0,0,1", "1,a,walk,50,0,0,1"]
    file = parse_recordings(csv_of(*rows), "walk.csv")
    assert [r.id for r in file.recordings] == [2, 1]
    assert [r.label.tolist() for r in file.recordings] == [[1, 0], [-1, 1]]
    assert file.labels == ("rest", "walk")


def test_subjects_are_sorted_as_people_count() -> None:
    rows = [f"{i},{name},,{t},0,0,1" for i, name in enumerate(["10", "9", "b"]) for t in (0, 50)]
    assert parse_recordings(csv_of(*rows), "walk.csv").subjects == ("9", "b", "10")


def test_columns_may_stand_in_any_order_with_others_between_and_blank_lines() -> None:
    header = "z,y,x, t_ms ,heart_rate,label,subject,recording"
    file = parse_recordings(csv_of("1,0,0.5,0,80,,a,1", "", "1,0,0.5,50,80,,a,1", header=header), "walk.csv")
    assert file.recordings[0].xyz.tolist() == [[0.5, 0, 1]] * 2


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_every_line_ending_is_read(end: str) -> None:
    data = csv_of(*resting()).decode().replace("\n", end).encode("utf-8-sig")
    assert len(parse_recordings(data, "walk.csv").recordings[0].t) == 4


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    header = ",".join(name for name in COLUMNS if name != column)
    assert f"walk.csv: column {column} is missing (found: " in rejected(csv_of(header=header))
    table = pa.table({name: pa.array([0]) for name in COLUMNS if name != column})
    assert f"walk.csv: column {column} is missing" in rejected(parquet(table))


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("column", ["t_ms", "x", "y", "z", "recording"])
def test_a_value_that_is_not_finite_is_named_with_row_and_column(column: str, value: str) -> None:
    row = ["1", "anna", "rest", "100", "0", "0", "1"]
    row[COLUMNS.index(column)] = value
    data = csv_of(*resting(2), ",".join(row))
    assert f"walk.csv: row 3, column {column}: {value} is not finite" in rejected(data)


@pytest.mark.parametrize("column", ["t_ms", "x", "y", "z", "recording"])
def test_a_word_where_a_number_belongs_is_named_with_row_and_column(column: str) -> None:
    row = ["1", "anna", "rest", "100", "0", "0", "1"]
    row[COLUMNS.index(column)] = "0,5" if column == "x" else "much"
    quoted = ",".join(f'"{cell}"' for cell in row)
    message = rejected(csv_of(*resting(2), quoted))
    assert f"walk.csv: row 3, column {column}: '{row[COLUMNS.index(column)]}' is not a number" in message


def test_an_empty_cell_is_no_number() -> None:
    assert "row 1, column y: '' is not a number" in rejected(csv_of("1,a,,0,0,,1", *resting()))


@pytest.mark.parametrize("number", ["1.5", "3000000000", "1e300"])
def test_a_recording_has_a_whole_number(number: str) -> None:
    assert "row 2, column recording: " in rejected(csv_of("1,a,,0,0,0,1", f"{number},a,,50,0,0,1"))


def test_time_that_runs_backwards_is_named_with_its_row_also_between_other_recordings() -> None:
    rows = ["1,a,,0,0,0,1", "1,a,,50,0,0,1", "2,a,,0,0,0,1", "1,a,,40,0,0,1"]
    assert "row 4, column t_ms: time runs backwards in recording 1 (40 after 50)" in rejected(csv_of(*rows))


def test_two_subjects_in_one_recording_are_named() -> None:
    rows = ["1,anna,,0,0,0,1", "1,ben,,50,0,0,1"]
    assert "recording 1 has 2 subjects (anna, ben), column subject" in rejected(csv_of(*rows))


def test_metres_per_second_squared_are_rejected_as_g_and_say_so() -> None:
    message = rejected(csv_of(*resting(one_g=9.81)))
    assert "row 1, column z: 9.81" in message
    assert "m/s² instead of g? Divide by 9.80665" in message
    assert "m/s² instead of g?" in rejected(csv_of(*resting(one_g=9.81), "1,anna,rest,1000,0,-40,0"))


def test_more_than_32_g_is_rejected_with_its_row() -> None:
    message = rejected(csv_of(*resting(), "1,anna,rest,1000,0,-32.5,0"))
    assert "row 5, column y: -32.5" in message
    assert "raw counts instead of g?" in message
    assert len(parse_recordings(csv_of(*resting(), "1,anna,,1000,0,-32,0"), "w").recordings) == 1


@pytest.mark.parametrize(
    ("units", "one_g"), [("ms2", 9.80665), ("auto", 9.80665), ("auto", 1.0), ("counts:2048", 2048)]
)
def test_other_units_become_g(units: str, one_g: float) -> None:
    file = parse_recordings(csv_of(*resting(one_g=one_g)), "walk.csv", units)
    np.testing.assert_allclose(file.recordings[0].xyz[:, 2], 1.0)
    assert any("taken for m/s²" in notice for notice in file.notices) == (units == "auto" and one_g > 2)


@pytest.mark.parametrize("units", ["feet", "counts:", "counts:0", "counts:-1", "counts:nan"])
def test_unknown_units_are_bad_input(units: str) -> None:
    assert f"units {units!r}" in rejected(csv_of(*resting()), units)


def test_counts_of_one_g() -> None:
    assert counts_per_g("counts:8192") == 8192.0


def test_a_row_of_another_length_is_named() -> None:
    assert "row 2 has 6 columns, the header 7" in rejected(csv_of("1,a,,0,0,0,1", "1,a,,50,0,0"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "column recording is missing (found: none)"),
        (csv_of(), "no samples in it"),
        (b"\xff\xfe\x00\x01", "neither Parquet nor text"),
        (b"x" * 200_000, "no CSV (field larger than field limit"),
        (b"PAR1 and then nothing", "not a whole Parquet file"),
        (csv_of("1,a,,0,0,0,1", "1,a,,0,0,0,1"), "t_ms never moves"),
        (csv_of("1,a,,0,0,0,1", "1,a,,0.05,0,0,1"), "which makes 2e+04 Hz; t_ms is in milliseconds"),
    ],
)
def test_what_is_no_recording_file_says_why(data: bytes, says: str) -> None:
    assert says in rejected(data)


def test_a_parquet_column_of_words_or_with_a_hole_is_named() -> None:
    columns = {name: pa.array([0.0, 1.0]) for name in COLUMNS}
    subject = {"subject": pa.array(["a", "a"])}
    words = pa.table(columns | subject | {"x": pa.array(["0", "0"])})
    assert "column x holds string, not numbers" in rejected(parquet(words))
    hole = pa.table(columns | subject | {"recording": pa.array([1, 1]), "y": pa.array([0.0, None])})
    assert "row 2, column y: nan is not finite" in rejected(parquet(hole))


@pytest.mark.parametrize("rate", ["0", "fast", "1e6"])
def test_a_declared_rate_that_no_device_has_is_rejected(rate: str) -> None:
    columns = {name: pa.array([0, 0]) for name in COLUMNS} | {"subject": pa.array(["a", "a"])}
    table = pa.table(columns).replace_schema_metadata({"mmvq.rate_hz": rate})
    assert f"mmvq.rate_hz is '{rate}'" in rejected(parquet(table))


def test_a_file_that_is_not_there_or_a_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.csv: No such file or directory; give the path"):
        read_recordings(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="Is a directory"):
        read_recordings(tmp_path)


def test_a_header_is_known_by_its_columns() -> None:
    assert is_recording_header(HEADER)
    assert is_recording_header("z, y, x, t_ms, label, subject, recording\n")
    assert not is_recording_header("t_ms,x,y,z")
    assert not is_recording_header("0.1,0.2,0.3")
