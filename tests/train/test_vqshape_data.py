"""Where VQShape's series come from: the UEA archive's .ts files, recording files, and both together."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.ts_files import read_ts
from mmvq_train.config import Config
from mmvq_train.vqshape import read_sources
from mmvq_train.vqshape.cli import main
from mmvq_train.vqshape.series import interpolate
from mmvq_train.vqshape.sources import all_series
from mmvq_train.vqshape.ts_files import read_pair

UEA = Path(__file__).parents[3] / "shared" / "data" / "uea_motion"  # beside the checkout, where there is one
OPTIONS = (
    "--samples", 64, "--tokens", 4, "--patch", 8, "--width", 16, "--heads", 2, "--points", 16, "--codes", 6,
    "--encoder-layers", 1, "--tokenizer-layers", 1, "--code-dim", 3, "--max-steps", 4, "--batch", 16,
    "--accelerator", "cpu",
)  # fmt: skip


# .ts files

GOOD = """\
# as the archive writes it
@problemName Gestures
@timeStamps false
@dimensions 2
@equalLength true
@classLabel true Up Down
@data
1,2,3:4,5,6:Up
-1,-2.5,3e-1:0,0,0:Down
"""


def written(folder: Path, text: str = GOOD, part: str = "TRAIN") -> Path:
    path = folder / f"Gestures_{part}.ts"
    path.write_text(text)
    return path


def test_a_ts_file_is_cases_of_dimensions_and_a_label(tmp_path: Path):
    cases = read_ts(written(tmp_path))
    assert cases.labels == ("Up", "Down")
    assert cases.y.tolist() == [0, 1]
    assert cases.x.shape == (2, 2, 3)
    assert cases.x[1, 0].tolist() == pytest.approx([-1, -2.5, 0.3])


def test_a_gzipped_ts_file_is_told_by_its_content(tmp_path: Path):
    path = tmp_path / "Gestures_TRAIN.ts"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert read_ts(path).x.shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("1,2,3:4,5,6:Up", "1,2,3:4,?,6:Up", 8, "a missing value"),
        ("1,2,3:4,5,6:Up", "1,2,3:4,NaN,6:Up", 8, "missing or not finite"),
        ("1,2,3:4,5,6:Up", "1,2,3:4,1e99,6:Up", 8, "missing or not finite"),
        ("1,2,3:4,5,6:Up", "1,2,3:4,x,6:Up", 8, "a sample that is no number"),
        ("1,2,3:4,5,6:Up", "1,2,3:4,5:Up", 8, "dimensions of unequal length"),
        ("1,2,3:4,5,6:Up", "1,2,3:4,5,6:Left", 8, "label 'Left' is none of those"),
        ("1,2,3:4,5,6:Up", "Up", 8, "a label without samples"),
        ("0,0,0:Down", "0,0,0:1,1,1:Down", 9, "3 dimensions of 3 samples, where the first case has 2 of 3"),
        ("-1,-2.5,3e-1:0,0,0", "-1,-2.5:0,0", 9, "2 dimensions of 2 samples, where the first case has 2 of 3"),
        ("@equalLength true", "@equalLength false", 5, "unequal length"),
        ("@timeStamps false", "@timeStamps true", 3, "time stamps"),
        ("@dimensions 2", "@missing true", 4, "missing values"),
        ("@classLabel true Up Down", "@classLabel false", 7, "no line @classLabel true"),
        ("@data\n", "", 7, "a case before @data"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_file_and_line(old, new, line, said, tmp_path: Path):
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(BadInput) as caught:
        read_ts(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"@data\n", "before @data"),
        (GOOD.split("1,2")[0].encode(), "no case in it"),
        (gzip.compress(GOOD.encode())[:-9], "cannot be read as a .ts file"),
        (b"\xff\xfe\x00", "cannot be read as a .ts file"),
        (b"PAR1", "no .ts file at all"),
    ],
)
def test_a_file_that_is_no_ts_file_is_named(content: bytes, said: str, tmp_path: Path):
    path = tmp_path / "broken.ts"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said) as caught:
        read_ts(path)
    assert str(path) in str(caught.value)


def test_a_pair_is_the_training_file_and_the_test_file_beside_it(tmp_path: Path):
    train = written(tmp_path)
    with pytest.raises(BadInput, match=r"Gestures_TEST\.ts: not there"):
        read_pair(train)
    written(tmp_path, GOOD.replace("1,2,3:4,5,6:Up\n", ""), "TEST")
    first, second = read_pair(train)
    assert (len(first.y), len(second.y)) == (2, 1)
    written(tmp_path, GOOD.replace("Up", "Left"), "TEST")
    with pytest.raises(BadInput, match="differ from those of"):
        read_pair(train)
    with pytest.raises(BadInput, match="_TRAIN"):
        read_pair(tmp_path / "Gestures_TEST.ts")


# Extra, where ../shared is; none of its files may lie in the repository. Tests above read files that are written here.
@pytest.mark.skipif(not UEA.exists(), reason=f"{UEA} is not there, and its files name no licence")
def test_the_archives_files_are_read(tmp_path: Path):
    train, test = read_pair(UEA / "Epilepsy_TRAIN.ts.gz")
    assert train.x.shape == (137, 3, 206)
    assert test.x.shape == (138, 3, 206)
    assert train.labels == ("EPILEPSY", "WALKING", "RUNNING", "SAWING")


# Sources


def test_recordings_and_ts_files_mix_and_every_channel_is_a_series(small_file: Path, tmp_path: Path):
    train = written(tmp_path)
    test = written(tmp_path, part="TEST")
    windows = Config(window_s=4.0, hop_s=2.0)
    gestures, people = read_sources([str(train), str(test), str(small_file)], [], windows)
    assert (gestures.name, gestures.train.x.shape, gestures.train.subject) == ("Gestures", (2, 2, 3), None)
    assert people.train.x.shape[1:] == (3, 80)
    assert not set(people.train.subject) & set(people.test.subject)
    assert all_series([people], 64).shape == (3 * len(people.train.y), 80)
    both = all_series([gestures, people], 64)
    assert both.shape == (4 + 3 * len(people.train.y), 64)
    assert torch.equal(both[0], interpolate(torch.tensor([1.0, 2.0, 3.0])[None], 64)[0])


def test_fold_files_are_one_a_recording_file(small_file: Path):
    with pytest.raises(BadInput, match="2 fold files for 1 recording files"):
        read_sources([str(small_file)], ["a.json", "b.json"], Config())


def test_ts_files_go_the_whole_way(tmp_path: Path, command):
    for part in ("TRAIN", "TEST"):
        written(tmp_path, GOOD + "2,3,4:5,6,7:Up\n1,0,1:0,1,0:Down\n" * 8, part)
    file, out = tmp_path / "Gestures_TRAIN.ts", tmp_path / "run"
    assert command(main, "pretrain", "--data", file, "--out", out, *OPTIONS).status == 0
    assert command(main, "evaluate", "--data", file, "--model", out, "--accelerator", "cpu").status == 0
    (one,) = json.loads((out / "evaluate.json").read_text())["figures"]
    assert (one["name"], one["train"], one["test"]) == ("Gestures", 18, 18)
