"""What comes with mmvq-run: the demo, and the packaged model once there is one."""

import pytest
from wearing import of, parsed

from mmvq_run.cli import DEMO, main
from mmvq_run.model import PACKAGED, Model


def test_the_demo_is_small_and_replays_without_a_gap(run):
    assert DEMO.stat().st_size <= 200_000
    status, out, _ = run("--demo", "--speed", "max")
    events = parsed(out)
    assert status == 0
    assert not of(events, "gap")
    assert (events[-1]["windows"], events[-1]["bad_frames"]) == (158, 0)
    assert events[0]["wall"] == "2026-11-22T10:00:00Z"


@pytest.mark.skipif(not PACKAGED.exists(), reason="no model is packaged yet")
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


@pytest.mark.skipif(not PACKAGED.exists(), reason="no model is packaged yet")
def test_the_packaged_model_loads_and_is_small():
    assert Model(PACKAGED).metadata.labels
    assert PACKAGED.stat().st_size < 1_000_000
