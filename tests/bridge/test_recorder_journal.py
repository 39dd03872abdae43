"""What is kept while one records, however it is cut or damaged, and the file that is made of it."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves a test's folder out
from recorder_parts import a_file, labelled, parsed, samples

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.recorder import keeping
from mmvq_bridge.recorder.journal import DEVICE, HEADER, RATE, SETTLE, Fact, Row, Word, devices, encode
from mmvq_bridge.recorder.keeping import Part, file_to_add_to, finish
from mmvq_bridge.recorder.report import summary
from mmvq_bridge.recordings import read_recordings, write_recordings
from mmvq_bridge.stream.timed import Samples


def journal(*told: Samples | Word | Fact, subject: str = "anna", settle: float = 0) -> bytes:
    facts = (Fact(RATE, "100"), Fact(SETTLE, f"{settle:g}"))
    return HEADER + encode([Row(0, item) for item in (*facts, *told)], subject)


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
