"""The page of a day in a real browser: how large it is, how it looks, what opens it, and that text stays text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_events import Page, end, ended, event, piece, session, started, window, written
from wearing import frames, hello, play, records, signal

from mmvq_run.report.cli import work
from mmvq_run.report.stream import SHOWN

ROOT = Path(__file__).parents[2]
WORN = signal(("sitting", 30), ("walking", 30), ("jogging", 30))
RUDE = "<script>rude=1</script>\"'><img src=x onerror=rude=1>&amp;"


def whole_day(folder: Path) -> Path:
    """24 hours at a window a second: an activity every few minutes, and labels that flicker in between."""
    labels = ("sitting", "walking", "typing", "stairs", "jogging", "eating", "standing", "brushing teeth")
    rng = np.random.default_rng(0)
    told = rng.permuted(np.repeat(np.arange(len(labels)), 86_400 // 180 // len(labels) + 1))
    path = folder / "whole.jsonl"
    because = json.dumps([piece(None, 0.5), piece("wrist swings forward", 1.5)])
    with path.open("w") as out:
        out.write(json.dumps(session(wall="2026-11-22T00:00:00Z")) + "\n")
        for t in range(86_390):
            label = labels[told[t // 180]] if rng.random() > 0.03 else labels[rng.integers(len(labels))]
            out.write(
                f'{{"v":1,"type":"window","t":{t + 10},"start":{t},"end":{t + 10},"label":"{label}","confidence":0.9,'
                f'"unknown":false,"top":[["{label}",0.9]],"because":{because},"in_words":"wrist swings forward"}}\n'
            )
            if t % 180 == 20:
                out.write(json.dumps(started(t + 10, labels[told[t // 180]], t - 15)) + "\n")
            if t % 180 == 179:
                out.write(json.dumps(ended(t + 10, labels[told[t // 180]], t - 174)) + "\n")
        out.write(json.dumps(end(86_400.0)) + "\n")
    return path


@pytest.fixture(scope="module")
def day_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = whole_day(tmp_path_factory.mktemp("day"))
    assert work([str(path)]) == 0
    return path.with_suffix(".html")


def test_a_day_of_windows_makes_a_page_of_at_most_two_megabytes(day_page: Path) -> None:
    html = day_page.read_text(encoding="utf-8")
    assert len(html) < 2_000_000
    page = Page(html)
    assert len(page.entries) == SHOWN
    assert f"These are the longest {SHOWN}" in page.text and "80 shorter ones" in page.text
    assert "Seen24 h 0 min" in page.text
    minutes = sum(float(row[1]) for row in page.rows("bars times"))
    assert minutes == pytest.approx(24 * 60, abs=1)


# The look


def test_the_page_has_the_colours_of_its_siblings() -> None:
    """The runtime cannot import the pages of training, so their colours are written twice."""
    theirs = (ROOT / "training/mmvq_train/pages/page.html.j2").read_text(encoding="utf-8")
    ours = (ROOT / "runtime/mmvq_run/pages/report.css").read_text(encoding="utf-8")
    papers = ours[: ours.index("* {")].strip()
    assert papers.count("--paper") == 2
    assert papers in theirs


@pytest.fixture(scope="module")
def worn_page(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run with a gap."""
    pieces = frames(WORN)
    del pieces[70:74]
    path = written(tmp_path_factory.mktemp("worn"), *play(model, records([hello(), *pieces])))
    assert work([str(path)]) == 0
    return path.with_suffix(".html")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fetches_nothing_and_fits_the_screen(opened: Any, worn_page: Path, day_page: Path, width: int) -> None:
    for path in (worn_page, day_page):
        page, heard = opened(path, width)
        page.locator("details").evaluate_all("all => all.slice(0, 20).forEach(one => { one.open = true; })")
        assert heard == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_click_on_the_timeline_opens_the_activity_below(opened: Any, worn_page: Path) -> None:
    page, _ = opened(worn_page)
    body = page.locator("#e1")
    assert not body.is_visible()
    page.locator('svg a[href="#e1"]').first.click()
    assert body.is_visible() and "walking" in body.text_content()
    page.locator("details.entry:has(#e1) > summary").click()
    assert not body.is_visible()
    page.locator('svg a[href="#e1"]').first.click()  # once more, to where one is already
    assert body.is_visible()


def test_an_activity_opens_by_the_keyboard(opened: Any, worn_page: Path) -> None:
    page, _ = opened(worn_page)
    page.locator("details.entry > summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#e0").is_visible()
    assert page.locator("svg a").first.get_attribute("tabindex") == "-1"  # the list is the way, not 400 stops more


def test_without_scripts_reasons_open_all_the_same(opened: Any, worn_page: Path) -> None:
    page, _ = opened(worn_page, java_script_enabled=False)
    page.locator("details.entry > summary").nth(2).click()
    assert page.locator("#e2").is_visible()


def test_text_of_the_file_stays_text(opened: Any, tmp_path: Path) -> None:
    because = [piece(RUDE, 1.0)]
    lines = [
        session(model=RUDE, source=RUDE), event("device", 0.0, state=RUDE, uid=RUDE, rate_hz=20.0),
        event("device", 0.0, state="connected", uid=RUDE, rate_hz=20.0),
        window(0, RUDE, because=because, in_words=RUDE), window(5, RUDE, because=because),
        started(15, RUDE, 0.0), event("gap", 20.0, lost=1, seconds=0.1, why=RUDE),
        window(20, RUDE, unknown=True), event(RUDE, 1.0), end(30.0),
    ]  # fmt: skip
    rude = [line | {"device": RUDE} for line in lines]
    path = written(tmp_path, *rude, *(line | {"device": "other"} for line in lines))
    assert work([str(path)]) == 0
    page, heard = opened(path.with_suffix(".html"))
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert heard == []
    assert page.evaluate("typeof rude") == "undefined"
    assert page.locator("img").count() == 0 and page.locator("script").count() == 1
    assert page.locator("#time ~ .scroll tbody th").first.text_content() == RUDE
    assert page.locator("details.entry strong").first.text_content() == RUDE
    assert page.locator("svg a title").first.text_content().startswith(RUDE)
    for shown in ("#losses ~ .scroll th", "#activities ~ details .words", ".said", "h3"):
        assert any(RUDE in text for text in page.locator(shown).all_text_contents()), shown


def test_a_script_that_got_in_all_the_same_would_not_run(opened: Any, worn_page: Path, tmp_path: Path) -> None:
    html = worn_page.read_text(encoding="utf-8").replace("<h1>", "<script>rude = 1</script><h1>", 1)
    broken = tmp_path / "broken.html"
    broken.write_text(html, encoding="utf-8")
    page, heard = opened(broken)
    assert page.evaluate("typeof rude") == "undefined"
    assert any("Content Security Policy" in line for line in heard)


def test_labels_differ_in_colour_and_colours_change_with_light_and_dark(opened: Any, worn_page: Path) -> None:
    page, _ = opened(worn_page)
    bars = page.locator("#time ~ .scroll td.track span")
    colours = bars.evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert len(set(colours)) == len(colours) == 3
    drawn = page.locator("svg a rect").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert set(drawn) == set(colours)
    papers = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers[0] != papers[1]


def test_a_gap_is_hatched_where_it_was(opened: Any, worn_page: Path) -> None:
    page, _ = opened(worn_page)
    gap = page.locator("#timeline ~ .scroll svg rect.gap")
    assert gap.count() == 1 and "hatch" in gap.evaluate("one => getComputedStyle(one).fill")
    track = page.locator("#timeline ~ .scroll svg rect.track").first.bounding_box()
    box = gap.bounding_box()
    assert (box["x"] - track["x"]) / track["width"] == pytest.approx(35 / 90, abs=0.01)
    assert box["width"] / track["width"] == pytest.approx(2 / 90, abs=0.01)


def test_a_loss_too_short_to_see_gets_a_mark_all_the_same(opened: Any, tmp_path: Path) -> None:
    short = event("gap", 43_200.0, lost=1, seconds=0.05, why="sequence")
    path = written(tmp_path, session(), window(0), short, window(80_000), end(86_400.0))
    assert work([str(path)]) == 0
    page, _ = opened(path.with_suffix(".html"))
    assert page.locator("#timeline ~ .scroll svg rect.gap").first.bounding_box()["width"] >= 1
