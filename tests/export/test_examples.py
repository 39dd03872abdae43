"""The packaged model in other hosts: the same numbers, labels and reasons as Python's, and the same refusals."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings, write_recordings
from mmvq_run.cli import main
from mmvq_run.model import PACKAGED, Model, Prediction
from mmvq_run.onnx_file import read_properties
from mmvq_run.signal import cut_recording

from ..conftest import Ended, cut
from . import example_host
from .conftest import about
from .example_host import EXAMPLES, Host

SAME = 1e-4
ROUNDED = 2 * SAME  # of numbers with four decimals
A_TOKEN = ("margins", "attributes", "contributions", "sub_actions")
A_WINDOW = ("probabilities", "unknown_score")

Key = tuple[int, float]  # recording, start


@pytest.fixture(scope="module", params=[example_host.javascript, example_host.c], ids=["node", "c"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Host:
    made: Host = request.param(tmp_path_factory.mktemp("example") / "program")
    return made


@pytest.fixture(scope="module")
def recordings() -> RecordingFile:
    """Eight minutes of real wrists, as the watch timed them; the first lacks samples: three, then three seconds."""
    file = cut(people=("1600", "1605"))
    first, *rest = file.recordings
    kept = np.ones(len(first.t), bool)
    kept[300:303] = kept[700:760] = False
    holed = Recording(first.id, first.subject, first.t[kept], first.xyz[kept], first.label[kept])
    return RecordingFile("", (holed, *rest), file.labels, file.rate_hz, True, file.meta)


@pytest.fixture(scope="module")
def csv(recordings: RecordingFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "wrists.csv"
    write_recordings(path, recordings)
    return path


@pytest.fixture(scope="module")
def expected(csv: Path) -> dict[Key, Prediction]:
    """What Python's runtime gets from the model for every window."""
    model = Model(PACKAGED)
    about, file = model.metadata, read_recordings(csv)
    return {
        (recording.id, round(window.start, 4)): model.predict(window.xyz)
        for recording in file.recordings
        for window in cut_recording(recording, file.rate_hz, about.rate_hz, about.window, about.hop_s)[0]
    }


@pytest.fixture(scope="module")
def found(host: Host, csv: Path, expected: Mapping[Key, Prediction]) -> dict[Key, dict[str, npt.NDArray[np.float64]]]:
    """What the other host gets, in Python's shapes."""
    ended = host.run(PACKAGED, csv, "--raw")
    assert (ended.returncode, ended.stderr) == (0, "")
    told = {key(line): line for line in map(json.loads, ended.stdout.splitlines())}
    assert list(told) == list(expected)
    return {
        place: {
            name: np.array(line[name]).reshape(np.shape(value)) for name, value in vars(expected[place]).items()
        }
        for place, line in told.items()
    }  # fmt: skip


def key(line: Mapping[str, Any]) -> Key:
    return line["recording"], line["start"]


@pytest.fixture
def agreeing(found: Mapping[Key, Any], expected: Mapping[Key, Prediction]) -> set[Key]:
    """Windows all of whose codes are Python's."""
    return {place for place, truth in expected.items() if np.array_equal(found[place]["codes"], truth.codes)}


def test_codes_are_pythons(found: Mapping[Key, Any], expected: Mapping[Key, Prediction]) -> None:
    same = [found[place]["codes"] == truth.codes for place, truth in expected.items()]
    assert len(same) >= 60
    assert np.mean(same) >= 0.99


def test_outputs_are_pythons_wherever_the_codes_agree(
    found: Mapping[Key, Any], expected: Mapping[Key, Prediction], agreeing: set[Key]
) -> None:
    for place, truth in expected.items():
        tokens = (found[place]["codes"] == truth.codes).all(1)
        for name in A_TOKEN:
            assert np.abs(found[place][name] - getattr(truth, name))[tokens].max() <= SAME, (place, name)
    assert len(agreeing) >= len(expected) / 2
    for place in agreeing:
        for name in A_WINDOW:
            assert np.abs(found[place][name] - getattr(expected[place], name)).max() <= SAME, (place, name)


def test_labels_and_reasons_are_those_of_mmvq_run(
    host: Host, csv: Path, agreeing: set[Key], command: Callable[..., Ended]
) -> None:
    ended = command(main, "--input", csv, "--model", PACKAGED, "--format", "jsonl")
    events = [event for event in map(json.loads, ended.out.splitlines()) if event["type"] == "window"]
    told = [json.loads(line) for line in host.run(PACKAGED, csv).stdout.splitlines()]
    assert [key(line) for line in told] == [key(event) for event in events]
    assert any(piece["sub_action"] for line in told for piece in line["because"])
    for line, event in zip(told, events, strict=True):
        if key(line) not in agreeing:
            continue
        assert line.keys() == {"recording", "start", "end", "label", "confidence", "unknown", "because"}
        assert (line["label"], line["unknown"]) == (event["label"], event["unknown"])
        assert numbers(line, "start", "end", "confidence") == near(event, "start", "end", "confidence")
        for piece, truth in zip(line["because"], event["because"], strict=True):
            assert (piece["codes"], piece["sub_action"]) == (truth["codes"], truth["sub_action"])
            assert numbers(piece, "t", "length", "contribution") == near(truth, "t", "length", "contribution")


def numbers(entry: Mapping[str, Any], *names: str) -> list[float]:
    return [entry[name] for name in names]


def near(entry: Mapping[str, Any], *names: str) -> object:
    return pytest.approx(numbers(entry, *names), abs=ROUNDED)


def test_the_recording_beside_the_examples_has_its_own_labels(host: Host) -> None:
    ended = host.run(PACKAGED, EXAMPLES / "recording.csv")
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(line["recording"], line["label"]) for line in told] == [(0, "walking")] * 3 + [(1, "clapping")] * 3


def test_a_changed_or_cut_file_is_refused(host: Host, csv: Path, tmp_path: Path) -> None:
    data, path = PACKAGED.read_bytes(), tmp_path / "harmed.onnx"
    properties = read_properties(data)
    places = {"start": 1, "weights": len(data) // 2, **{name: at for name, (_, at) in properties.items()}}
    harmed = {place: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for place, at in places.items()}
    harmed |= {f"{length} bytes": data[:length] for length in (0, len(data) // 2, len(data) - 1)}
    for what, harm in harmed.items():
        path.write_bytes(harm)
        told = host.refusal(path, csv)
        assert str(path) in told, what
        assert "checksum" in told or what not in ("weights", "mmvq", "mmvq.sha256"), what


def test_a_path_that_leads_nowhere_is_refused(host: Host, csv: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert str(nowhere) in host.refusal(nowhere, csv)
    assert str(nowhere) in host.refusal(PACKAGED, nowhere)
    assert str(tmp_path) in host.refusal(tmp_path, csv)
    assert str(tmp_path) in host.refusal(PACKAGED, tmp_path)


def test_an_onnx_file_of_another_maker_is_refused(host: Host, csv: Path, tmp_path: Path) -> None:
    model = onnx.load(PACKAGED)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    assert "mmvq-export" in host.refusal(tmp_path / "plain.onnx", csv)


def sealed(path: Path, text: str) -> Path:
    """The packaged model with other metadata and a checksum that fits."""
    model = onnx.load(PACKAGED)
    del model.metadata_props[:]
    for name, value in (("mmvq", text), ("mmvq.sha256", "0" * 64)):
        model.metadata_props.add(key=name, value=value)
    data = model.SerializeToString()
    digest = hashlib.sha256(data).hexdigest().encode()
    path.write_bytes(data.removesuffix(b"0" * 64) + digest)
    return path


UNUSABLE = {
    "of another schema": {"schema": 2},
    "in another unit": {"units": "ms2"},
    "of other axes": {"axes": "xyzm"},
    "without labels": {"labels": []},
    "with a number for a label": {"labels": [7]},
    "with a nameless label": {"labels": [""]},
    "with a label that a terminal obeys": {"labels": ["\x1b[2J"]},
    "with sub-actions that are none": {"sub_actions": None},
    "with codes that are none": {"codes": [1]},
    "with a rate of nothing": {"rate_hz": 0},
    "with half a sample": {"window": 200.5},
    "with a window beyond all memory": {"window": 1e9},
    "without a hop": {"hop_s": 0},
    "with a threshold in words": {"unknown_threshold": "high"},
    "with a threshold that JSON has not": {"unknown_threshold": float("nan")},
}


@pytest.mark.parametrize("changes", UNUSABLE.values(), ids=UNUSABLE)
def test_metadata_that_python_refuses_are_refused(
    host: Host, csv: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = sealed(tmp_path / "m.onnx", json.dumps(about(PACKAGED.read_bytes()) | changes))
    with pytest.raises(BadInput):
        Model(path)
    assert str(path) in host.refusal(path, csv)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1', '{"schema": 1}', '{"deep": ' + "[" * 100_000, '{"a": "\\u'])
def test_metadata_that_are_no_json_are_refused(host: Host, csv: Path, tmp_path: Path, text: str) -> None:
    assert "metadata" in host.refusal(sealed(tmp_path / "m.onnx", text), csv) or text == ""


@pytest.mark.parametrize("key", ["labels", "sub_actions", "codes"])
def test_a_model_that_does_not_what_its_metadata_say_fails_in_one_line(
    host: Host, csv: Path, tmp_path: Path, key: str
) -> None:
    told = about(PACKAGED.read_bytes())
    path = sealed(tmp_path / "m.onnx", json.dumps(told | {key: told[key][:2]}))
    assert "output" in host.refusal(path, csv, status=1)


def test_names_come_through_however_json_spells_them(host: Host, tmp_path: Path) -> None:
    told = about(PACKAGED.read_bytes())
    names = {"walking": 'gehen "über" \\ Straße / 🚶', "clapping": "拍手"}
    told["labels"] = [names.get(name, name) for name in told["labels"]]
    for ascii_only in (True, False):
        path = sealed(tmp_path / "m.onnx", json.dumps(told, ensure_ascii=ascii_only))
        ended = host.run(path, EXAMPLES / "recording.csv")
        assert {json.loads(line)["label"] for line in ended.stdout.splitlines()} == set(names.values()), ended.stderr


HEADER = "recording,subject,label,t_ms,x,y,z\n"
GOOD = "0,anna,,0,0.0,0.0,1.0\n"
BAD_ROWS = {
    "nan": ("0,anna,,50,nan,0.0,1.0", "column x"),
    "infinity": ("0,anna,,50,0.0,inf,1.0", "column y"),
    "nothing": ("0,anna,,50,0.0,0.0,", "column z"),
    "a word": ("0,anna,,50,0.0,0.0,1.0g", "column z"),
    "hexadecimal": ("0,anna,,50,0x1,0.0,1.0", "column x"),
    "40 g": ("0,anna,,50,0.0,40,1.0", "column y"),
    "a time that is none": ("0,anna,,nan,0.0,0.0,1.0", "column t_ms"),
    "a time that runs backwards": ("0,anna,,-50,0.0,0.0,1.0", "column t_ms"),
    "half a recording": ("0.5,anna,,50,0.0,0.0,1.0", "column recording"),
    "a column too few": ("0,anna,,50,0.0,0.0", "6 columns"),
    "a column too many": ("0,anna,,50,0.0,0.0,1.0,2.0", "8 columns"),
}


@pytest.mark.parametrize(("row", "says"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_cannot_be_meant_is_refused_by_its_number(host: Host, tmp_path: Path, row: str, says: str) -> None:
    (tmp_path / "r.csv").write_text(f"{HEADER}{GOOD}{row}\n")
    told = host.refusal(PACKAGED, tmp_path / "r.csv")
    assert "row 2" in told and says in told


@pytest.mark.parametrize("text", ["", "t_ms,x,y,z\n0,0,0,1\n", HEADER])
def test_a_file_that_is_no_recording_is_refused(host: Host, tmp_path: Path, text: str) -> None:
    (tmp_path / "r.csv").write_text(text)
    assert "r.csv" in host.refusal(PACKAGED, tmp_path / "r.csv")


def test_samples_faster_than_the_models_are_refused_for_they_would_alias(host: Host, tmp_path: Path) -> None:
    rows = "".join(f"0,anna,,{20 * i},0.0,0.0,1.0\n" for i in range(600))
    (tmp_path / "fast.csv").write_text(HEADER + rows)
    assert "resample" in host.refusal(PACKAGED, tmp_path / "fast.csv")


def test_wrong_usage_is_told_in_one_line(host: Host) -> None:
    assert "usage" in host.refusal(PACKAGED)
