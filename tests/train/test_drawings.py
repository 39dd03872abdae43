"""Drawings: values in, markup out."""

import re

import numpy as np
import pytest
from report_page import Page

from mmvq_train.drawings import columns, curves, heat_map, nice_step, number, percent, trends
from mmvq_train.report.maps import Panel, Row, shade_map, time_columns


def test_a_heat_map_tells_counts_and_leaves_labels_without_windows_empty():
    drawn = heat_map([[3, 1], [0, 0]], ["a", "<i>"], "t")
    assert "a → a: 3 of 4 (75.0\u202f%)" in drawn and "a → &lt;i&gt;: 1 of 4 (25.0\u202f%)" in drawn
    assert "&lt;i&gt; → a: 0 of 0 (0.0\u202f%)" in drawn
    assert drawn.count("<rect") == 4 and "<i>" not in drawn


def test_a_map_of_shades_leaves_empty_cells_out_and_joins_equal_neighbours():
    rows = [Row(4, [[0.0, 1.0]], "four"), Row(9, [[1.0, 0.0]], "<nine>")]
    drawn = shade_map(np.array([[0, 6, 6], [1, 0, 6]]), rows, "abc", ["A", "B", "C"], [(1, 2)], "t")
    shades = re.findall(r'<path class="heat" fill-opacity="([\d.]+)" d="([^"]+)"/>', drawn)
    (pale, first), (full, rest) = shades
    assert (pale, full) == ("0.17", "1")
    assert first.count("M") == 1 and "h10v15" in first
    assert rest.count("M") == 2 and "h20v15" in rest
    assert "&lt;nine&gt;" in drawn and "<nine>" not in drawn
    Page(f'<i id="code-4"></i>{drawn}')


def test_columns_over_time_stand_at_their_starts_each_chart_on_its_own_scale():
    panels = [
        Panel("1 s", "1.5", np.array([0.0, 5.0]), 1.0, np.array([1.0, 2.0]), ["a", "b"]),
        Panel("9 s", "50", np.array([0.0]), 1.0, np.array([50.0]), ["c"]),
    ]
    bars = re.findall(r'<rect class="bar" x="([\d.]+)"[^>]*height="([\d.]+)"', time_columns(panels, 10.0, "t"))
    x, height = np.array(bars, dtype=float).T
    assert height[0] * 2 == height[1] == height[2]
    assert x[0] == x[2] and x[1] - x[0] == pytest.approx(426 / 2, abs=0.1)


def test_drawings_of_flat_and_empty_values_hold_finite_numbers():
    flat = curves([([1.0] * 32, "x")], "flat")
    for drawn in (flat, columns([0.0, 0.0], ["a", "b"], 0.5, "t"), columns([], [], 1, "t")):
        assert "nan" not in drawn and "inf" not in drawn
        Page(str(drawn))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (float("nan"), "–"), (float("inf"), "–"),
        (0.8423, "0.842"), (-1.5, "−1.500"), (0.0, "0.000"), (3e-6, "3e−6"),
    ],
)
def test_numbers_are_shown_with_three_digits_or_a_dash(value, text):
    assert number(value) == text


def test_shares_are_shown_as_per_cent():
    shown = [percent(0.784), percent(0.0123, 1), percent(None), percent(-0.05)]
    assert shown == ["78\u202f%", "1.2\u202f%", "–", "−5\u202f%"]


def test_steps_of_an_axis_are_one_two_or_five_times_a_power_of_ten():
    steps = [nice_step(v) for v in (0.03, 0.1, 0.7, 1.2, 2.0, 6.0)]
    np.testing.assert_allclose(steps, [0.05, 0.1, 1, 2, 2, 10])


def test_trends_lie_in_their_frame_and_names_never_on_each_other():
    lines = [("low", "red", [(0, 0.5), (1, 0.0)]), ("also low", "blue", [(0, 1.0), (1, 0.01)])]
    drawn = str(trends(lines, "title", (0.0, 1.0)))
    found = re.findall(r'points="([^"]+)"', drawn)
    points = [[tuple(map(float, point.split(","))) for point in line.split()] for line in found]
    assert points == [[(30, 4), (290, 132.7)], [(30, 69), (290, 134)]]  # the one that ends higher first
    names = {name: float(y) for y, name in re.findall(r'<text style="[^"]*" x="[^"]*" y="([^"]*)">([^<]*)<', drawn)}
    assert names["low"] - names["also low"] >= 13
    assert "<title>low: 0 → 0.500, 1 → 0.000</title>" in drawn
