import numpy as np
import pytest

from mmvq_bridge.command import BadInput
from mmvq_bridge.recordings import Recording
from mmvq_run.signal import (
    Resampler,
    Windower,
    cut_recording,
    gap_limit_s,
    load_folds,
    split_by_subject,
    subject_folds,
)


def resampled(t, xyz, source_hz, rate_hz, chunks=None):
    resampler = Resampler(source_hz, rate_hz)
    parts = np.split(np.arange(len(t)), chunks if chunks is not None else [])
    pieces = [piece for part in parts for piece in resampler.push(t[part], xyz[part])]
    return pieces + resampler.flush()


def joined(pieces):
    return np.concatenate([p.xyz for p in pieces]), np.concatenate([p.patched for p in pieces])


@pytest.mark.parametrize("source_hz", [12.5, 20.0, 50.0, 100.0])
def test_the_same_grid_however_the_samples_are_cut_up(source_hz):
    rng = np.random.default_rng(3)
    t = np.arange(400) / source_hz
    t[200:] += 0.2
    t[300:] += 1.7
    xyz = rng.normal(size=(400, 3))
    whole, _ = joined(resampled(t, xyz, source_hz, 20.0))
    for chunks in ([*range(1, 400)], sorted(rng.integers(1, 400, 30))):
        assert np.array_equal(joined(resampled(t, xyz, source_hz, 20.0, chunks))[0], whole)


def test_at_the_grids_own_rate_samples_pass_unchanged():
    xyz = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    out, patched = joined(resampled(np.arange(100) / 20, xyz.astype(float), 20.0, 20.0))
    assert np.allclose(out, xyz, atol=1e-6)
    assert not patched.any()


def test_a_slow_wave_survives_resampling_and_one_above_half_the_grid_does_not():
    t = np.arange(2000) / 100.0
    for hertz, low, high in ((2.0, 0.65, 0.75), (16.0, 0.0, 0.03)):
        out, _ = joined(resampled(t, np.sin(2 * np.pi * hertz * t)[:, None] * [1, 1, 1], 100.0, 20.0))
        assert low <= out[20:-20].std() <= high, hertz


def test_a_short_gap_is_filled_by_a_straight_line_and_counted():
    t = np.array([0.0, 0.05, 0.10, 0.30, 0.35])
    out, patched = joined(resampled(t, np.stack([t, t, t], 1), 20.0, 20.0))
    assert np.allclose(out[:, 0], np.arange(8) / 20, atol=1e-6)
    assert patched.tolist() == [False, False, False, True, True, True, False, False]


def test_a_long_gap_cuts_the_stream():
    limit = gap_limit_s(20.0)
    t = np.array([0.0, 0.05, 0.05 + limit + 0.05, 0.10 + limit + 0.05])
    pieces = resampled(t, np.zeros((4, 3)), 20.0, 20.0)
    assert [piece.fresh for piece in pieces] == [True, True]
    assert sum(len(piece.xyz) for piece in pieces) == 4


def test_no_window_touches_a_cut_and_each_starts_at_a_multiple_of_the_hop():
    t = np.arange(600) / 20.0
    t[250:] += 3.33
    windower = Windower(20.0, 100, 1.0)
    windows = [w for piece in resampled(t, np.zeros((600, 3)), 20.0, 20.0) for w in windower.push(piece)]
    assert all(w.start == round(w.start) for w in windows)
    assert all(w.end <= 12.5 or w.start >= 15.83 for w in windows)
    assert len(windows) == 8 + 13  # starts at 0..7 s, and at 16..28 s


def test_a_window_says_how_much_of_it_was_patched():
    t = np.delete(np.arange(100) / 20.0, [50, 51])
    windower = Windower(20.0, 100, 5.0)
    (window,) = [w for p in resampled(t, np.zeros((98, 3)), 20.0, 20.0) for w in windower.push(p)]
    assert window.patched == pytest.approx(0.02)


def test_a_window_between_two_labels_has_none():
    label = np.repeat([0, 1], 100).astype(np.int32)
    recording = Recording(0, "p", np.arange(200) / 20.0, np.zeros((200, 3), np.float32), label)
    windows, labels = cut_recording(recording, 20.0, 20.0, 100, 2.5)
    assert [w.start for w in windows] == [0.0, 2.5, 5.0]
    assert labels.tolist() == [0, -1, 1]


def test_folds_hold_whole_subjects_and_refuse_one_in_two_folds(tmp_path):
    folds = subject_folds(["10", "9", "2", "1"], 2)
    assert folds == {"0": ("1", "9"), "1": ("2", "10")}
    split = split_by_subject(folds, 0, ["1", "2", "9", "10"])
    assert set(split.test) == {"1", "9"} and not set(split.test) & set(split.train + split.calibrate)
    bad = tmp_path / "split.json"
    bad.write_text('{"folds": {"0": ["1"], "1": ["1"]}}')
    with pytest.raises(BadInput, match="subject 1 is in folds 0 and 1"):
        load_folds(bad)
