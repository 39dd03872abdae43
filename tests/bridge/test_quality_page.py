"""How a file's quality is told: as JSON, as lines, and as a page."""

import json
import sys
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from quality_devices import NOISE_G, UP, a_day_with_a_rest, directions, file_of, found, held, measured, recording

from mmvq_bridge.findings import Severity
from mmvq_bridge.quality import as_html, judge, lines, quality
from mmvq_bridge.quality.look import COLOURS

ROOT = Path(__file__).parents[2]


def test_it_goes_into_json_and_comes_back():
    of = quality(a_day_with_a_rest(gap_s=500))
    told = json.loads(json.dumps(asdict(of)))
    assert told["timing"]["gaps"] == 1 and told["wearing"][0]["not_worn"] == [list(s) for s in of.wearing[0].not_worn]
    assert told["calibration"]["why_not"] == of.calibration.why_not


def test_lines_say_a_finding_each_with_the_worst_first():
    of = quality(file_of(recording(9.81 * held((600, UP, NOISE_G)))))
    said = lines(of)
    assert len(said) == len(judge(of)) and all(line.isprintable() for line in said)
    assert said[0].startswith("fault    unit        9.810 at rest, not 1: the values are in m/s²; divide by 9.80665")
    assert said[-1].startswith("fine")


def test_a_single_sample_is_told_of_too():
    of = quality(file_of(recording(np.array([UP]))))
    assert found(of, "rate").severity is Severity.UNKNOWN and "<svg" in as_html(of)


def parsed(html):
    """The page's pictures as elements, and its text."""
    pictures = [ET.fromstring(part[: part.index("</svg>")] + "</svg>") for part in
                ("<svg" + rest for rest in html.split("<svg")[1:])]  # fmt: skip
    return pictures, unescape(html)


def test_the_page_shows_the_figures_it_is_given_and_nothing_from_elsewhere():
    of = quality(file_of(recording(measured(held(*[(20, way, NOISE_G) for way in directions(40)]))),
                         meta={"mmvq.device": "AX3 <b>1</b>"}))  # fmt: skip
    html = as_html(of)
    pictures, text = parsed(html)
    assert len(pictures) == 5
    assert f"{of.calibration.before_mg:.2f} mg, {of.calibration.after_mg:.2f} mg" in text
    assert all(f"{gain:.5f}" in text for gain in of.calibration.gain)
    after = [path for path in pictures[1].iter("path") if path.get("class") == "after dots"]
    assert after[0].get("d").count("M") == len(of.rest.points)
    assert sum(of.rest.before) == sum(of.rest.after) == of.calibration.windows == 80
    assert "<b>" not in html and "AX3 <b>1</b>" in text
    assert "<script" not in html and "http:" not in html.replace("http-equiv", "") and "default-src 'none'" in html


def test_a_week_makes_a_small_page_with_a_row_a_day_by_the_devices_clock():
    of = quality(a_day_with_a_rest(), clock_s=1_795_271_040.0)  # 2026-11-21 14:24
    minutes = tuple(np.random.default_rng(0).gamma(0.3, 100, 7 * 1440).round(1).tolist())
    points = tuple(map(tuple, directions(1200).round(3).tolist()))
    week = replace(of.wearing[0], seconds=7 * 86_400.0, enmo_mg=minutes)
    html = as_html(replace(of, wearing=(week,), rest=replace(of.rest, points=points)))
    assert len(html) < 300_000
    assert [f"2026-11-{day}" in html for day in range(20, 30)] == [False, *[True] * 8, False]


def test_more_recordings_than_can_be_drawn_are_told():
    many = [recording(held((60, UP, 0.1)), id=number, subject="1600") for number in range(40)]
    html = as_html(quality(file_of(*many)))
    assert "Drawn are 31 of 40 rows" in html and ">30 1600<" in html and ">31 1600<" not in html


def test_the_page_has_the_colours_of_its_siblings():
    theirs = (ROOT / "runtime/mmvq_run/pages/report.css").read_text(encoding="utf-8")
    assert " ".join(COLOURS.split()) in " ".join(theirs.split())


def test_a_browser_opens_the_page_and_it_asks_for_nothing(opened, tmp_path):
    path = tmp_path / "left.html"
    path.write_text(as_html(quality(a_day_with_a_rest(gap_s=500), clock_s=1_795_271_040.0)), encoding="utf-8")
    for width in (1280, 390):
        shown, heard = opened(path, width)
        assert heard == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_what_is_too_short_to_tell_is_drawn_neither_as_worn_nor_as_not_worn():
    day, minutes = quality(a_day_with_a_rest()), quality(file_of(recording(held((600, UP, NOISE_G)))))
    assert '<path class="worn"' in as_html(day) and '<path class="away"' in as_html(day)
    assert '<path class="worn"' not in as_html(minutes) and '<path class="away"' not in as_html(minutes)
