"""Signals, shapes and numbers as characters, and the ten seconds of a signal that are drawn."""

import numpy as np

from mmvq_run.sinks.live_state import BINS, Trace
from mmvq_run.sketch import bar, braille, signed_bar, thinned

RATE = 20.0


def test_a_gap_is_a_blank_in_the_sketch_and_jitter_is_none():
    rng = np.random.default_rng(0)
    t = np.arange(0, 10, 1 / RATE) + rng.uniform(-0.02, 0.02, 200)
    away = (t > 4) & (t < 6)
    trace = Trace()
    trace.push(t[~away], np.zeros((len(t), 3))[~away])
    low, high = trace.columns(100, RATE)
    blank = np.flatnonzero(np.isnan(low[:, 0]))
    assert np.isnan(high).sum() == 3 * len(blank)
    assert set(np.diff(blank)) == {1} and abs(len(blank) - 20) <= 2 and abs(blank[0] - 40) <= 1


def test_the_sketch_keeps_extremes_and_forgets_what_is_older_than_ten_seconds():
    trace = Trace()
    t = np.arange(0, 100, 0.01)
    xyz = np.zeros((len(t), 3))
    xyz[[8500, 9501], 1] = 9.0, 3.0
    for at in range(0, len(t), 7):
        trace.push(t[at : at + 7], xyz[at : at + 7])
    low, high = trace.columns(50, 100.0)
    assert high[:, 1].max() == 3.0 and np.argmax(high[:, 1]) == 25
    assert not low.any() and not np.isnan(low).any()
    assert trace.columns(4 * BINS, 100.0)[1][:, 1].max() == 3.0


def test_a_slow_signal_is_a_line_all_the_same():
    trace = Trace()
    trace.push(np.arange(0, 10, 0.5), np.ones((20, 3)))  # 2 Hz: three periods are patched
    low, _ = trace.columns(100, 2.0)
    assert not np.isnan(low[5:, 0]).any()


def test_a_steep_signal_is_drawn_as_a_line():
    edges = np.array([0.0, 7.0])
    assert braille(edges, edges, 2) == ["⢸", "⣸"]
    assert braille(np.array([1.0, np.nan, 1.0]), np.array([1.0, np.nan, 1.0]), 1) == ["⠄⠄"]


def test_bars_count_eighths_to_the_right_and_halves_to_both_sides():
    assert [bar(share, 4) for share in (0, 0.5, 0.53, 1, 7)] == ["    ", "██  ", "██▏ ", "████", "████"]
    assert [signed_bar(value, 1, 2) for value in (-0.75, 0, 0.5)] == ["▐█│  ", "  │  ", "  │█ "]
    assert signed_bar(0, 0, 1) == " │ "


def test_a_curve_is_thinned_to_means_and_never_stretched():
    assert thinned([1, 2, 3, 4], 2) == [1.5, 3.5]
    assert thinned([1, 2], 5) == [1, 2]
