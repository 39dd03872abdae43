"""What comes with mmvq-run: the demo and the packaged model."""

import json

import numpy as np
import pytest
from wearing import of, parsed

from mmvq_bridge.recordings import read_recordings
from mmvq_run.cli import DEMO, main
from mmvq_run.model import PACKAGED, Model
from mmvq_run.onnx_file import read_properties
from mmvq_run.signal import cut_recording
from mmvq_train.embedded import RECORDINGS, SPLITS


def test_the_demo_is_small_and_replays_without_a_gap(run):
    assert DEMO.stat().st_size <= 200_000
    status, out, _ = run("--demo", "--speed", "max")
    events = parsed(out)
    assert status == 0
    assert not of(events, "gap")
    assert (events[-1]["windows"], events[-1]["bad_frames"]) == (158, 0)
    assert events[0]["wall"] == "2026-11-22T10:00:00Z"


def test_the_packaged_model_tells_the_demos_activities(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMVQ_MODEL", raising=False)
    assert main(["--demo", "--speed", "max", "--format", "jsonl"]) == 0
    out, err = capfd.readouterr()
    assert str(PACKAGED) in err
    events = parsed(out.splitlines())
    # Windows that lie inside one of the six activities, 28 s each.
    order = ("sitting", "walking", "stairs", "jogging", "typing", "clapping")
    inside = [(w, order[int(w["start"] // 28)]) for w in of(events, "window") if w["start"] % 28 <= 17]
    right = sum(w["label"] == true for w, true in inside)
    assert right >= 0.6 * len(inside)


def test_the_packaged_model_is_small_and_says_where_it_comes_from():
    assert PACKAGED.stat().st_size <= 300_000
    about = json.loads(read_properties(PACKAGED.read_bytes())["mmvq"][0])
    assert about["quantization"].startswith("int8")
    assert "Weiss" in about["data"][0]["citation"]
    assert PACKAGED.with_name("MODEL_CARD.md").exists()


@pytest.fixture(scope="module")
def unseen() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Windows (N, 200, 3) and labels of the embedded people of fold 0, whom the packaged model never saw."""
    people = json.loads(SPLITS.read_text())["folds"]["0"]
    file = read_recordings(RECORDINGS)
    windows, labels = [], []
    for recording in file.recordings:
        if recording.subject in people:
            cut, truth = cut_recording(recording, file.rate_hz, 20.0, 200, 5.0)
            windows += [window.xyz for window in cut]
            labels += truth.tolist()
    return np.stack(windows), np.array(labels), file.labels


def test_the_packaged_model_knows_the_activities_of_people_it_never_saw(unseen):
    windows, labels, names = unseen
    model = Model(PACKAGED)
    assert model.metadata.labels == names
    guess = np.array([model.predict(xyz).probabilities.argmax() for xyz in windows])
    recall = [(guess[labels == label] == label).mean() for label in range(len(names))]
    assert np.mean(recall) >= 0.7  # guessing gives .056; what it reaches is in benchmarks/results/packaged.json


def test_the_packaged_models_contributions_add_up_to_its_probabilities(unseen):
    model = Model(PACKAGED)
    for xyz in unseen[0][::20]:
        told = model.predict(xyz)
        logits = told.contributions.astype(float).sum(0) + model.metadata.bias
        kept = told.probabilities > 1e-12
        implied = model.metadata.temperature * np.log(told.probabilities[kept].astype(float))
        difference = logits[kept] - implied
        assert np.abs(difference - difference[implied.argmax()]).max() < 1e-4


def test_a_token_of_the_packaged_model_depends_on_its_own_span_only(unseen):
    model = Model(PACKAGED)
    rng = np.random.default_rng(0)
    for xyz in unseen[0][::60]:
        before = model.predict(xyz)
        for token in rng.choice(len(before.codes), 8, replace=False):
            t, length = before.attributes[token, 0, :2]
            begin = round(float(t) * 20)
            changed = rng.normal(0, 1, xyz.shape).astype(np.float32)
            changed[begin : begin + round(float(length) * 20)] = xyz[begin : begin + round(float(length) * 20)]
            after = model.predict(changed)
            for name in ("codes", "attributes", "contributions", "sub_actions"):
                np.testing.assert_array_equal(getattr(before, name)[token], getattr(after, name)[token])
