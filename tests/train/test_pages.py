"""The pages in a real browser: nothing fetched, nothing wider than the screen, figures that can be read."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from mmvq_train.text.cli import main
from mmvq_train.text.report import HIDDEN

WIDTHS = (390, 1280)  # a phone, a desk
METHODS = ("PCA", "t-SNE", "UMAP")


@pytest.fixture(scope="module")
def bank_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a shipped bank, drawn with a second encoder beside its own."""
    pytest.importorskip("umap", reason="umap-learn is not installed")
    out = tmp_path_factory.mktemp("bank") / "report.html"
    assert main(["report", "basicmotions", "--out", str(out), "--size", "24", "--encoder", "hashed-ngrams"]) == 0
    return out


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_of_a_bank_fetches_nothing_and_fits_the_screen(opened: Any, bank_page: Path, width: int) -> None:
    page, heard = opened(bank_page, width)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_of_a_run_fetches_nothing_and_fits_the_screen(opened: Any, tiny_run: Path, width: int) -> None:
    page, heard = opened(tiny_run / "report.html", width)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


MAPS = ("by-wearer", "by-activity", "by-sub-action")
PICTURES = ("whole", "evidence", *MAPS)


@pytest.mark.parametrize("width", WIDTHS)
def test_maps_and_charts_of_a_run_stay_inside_the_page_or_scroll_in_their_own_box(
    opened: Any, tiny_run: Path, width: int
) -> None:
    page, _ = opened(tiny_run / "report.html", width)
    for name in PICTURES:
        boxes = page.evaluate(
            """name => {
                const found = [];
                for (let e = document.getElementById(name).nextElementSibling; e && e.tagName !== 'H2';
                     e = e.nextElementSibling)
                    for (const svg of e.querySelectorAll('svg')) {
                        const seen = svg.closest('.scroll') ?? svg;
                        const box = seen.getBoundingClientRect(), drawn = svg.getBoundingClientRect();
                        found.push([box.left, box.right, drawn.width, drawn.height]);
                    }
                return found; }""",
            name,
        )
        assert boxes, name
        for left, right, wide, high in boxes:
            assert left >= 0 and right <= width, name
            assert wide > 20 and high > 10, name
    page.close()


@pytest.mark.parametrize("name", MAPS)
def test_the_number_of_a_row_leads_to_the_card_of_its_code(opened: Any, tiny_run: Path, name: str) -> None:
    page, _ = opened(tiny_run / "report.html", 390)
    link = page.locator(f"#{name} ~ .plates").first.locator("a").nth(1)
    target = link.get_attribute("href")
    link.locator("text").click()
    card = page.locator(target)
    assert page.url.endswith(target)
    assert f"code {target.removeprefix('#code-')} " in card.text_content()
    assert 0 <= card.bounding_box()["y"] < 900
    page.close()


@pytest.mark.parametrize("name", MAPS)
def test_labels_of_a_maps_columns_and_rows_cover_neither_each_other_nor_the_cells(
    opened: Any, tiny_run: Path, name: str
) -> None:
    page, _ = opened(tiny_run / "report.html", 1280)
    drawn = page.locator(f"#{name} ~ .plates").first.locator("svg").evaluate_all(
        """all => all.map(svg => [...svg.querySelectorAll('text, rect.heat, path.heat')].map(e => {
            const b = e.getBoundingClientRect(); return [e.tagName, b.left, b.top, b.right, b.bottom]; }))"""
    )
    assert len(drawn) == 2
    for boxes in drawn:
        texts = [box[1:] for box in boxes if box[0] == "text"]
        cells = [box[1:] for box in boxes if box[0] != "text"]
        assert len(texts) > 4
        for a, b in itertools.chain(itertools.combinations(texts, 2), itertools.product(texts, cells)):
            across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            assert across <= 3 or down <= 3  # boxes hold a line's height, which letters do not fill
    page.close()


def test_colours_of_a_map_change_with_light_and_dark(opened: Any, tiny_run: Path) -> None:
    page, _ = opened(tiny_run / "report.html", 390)
    seen = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen.append(page.locator("#by-activity ~ .plates rect.heat").first.evaluate("e => getComputedStyle(e).fill"))
    assert seen[0] != seen[1]
    page.close()


def test_a_bank_is_mapped_three_ways_for_arm_leg_and_both_by_each_encoder(opened: Any, bank_page: Path) -> None:
    page, _ = opened(bank_page, 1280)
    drawn = page.eval_on_selector_all(".maps svg", "all => all.map(svg => svg.getAttribute('aria-label'))")
    assert [label.split(" of ")[0] for label in drawn] == list(METHODS) * 3 * 2
    heads = page.eval_on_selector_all("h3", "all => all.map(h => h.textContent)")
    for encoder in ("all-MiniLM-L6-v2, 384", "hashed-ngrams, 512"):
        for part in ("Arms (", "Legs (", "Arms and legs in one phrase ("):
            assert f"{part}{encoder} dimensions)" in heads
    page.close()


def test_names_on_a_map_do_not_cover_one_another_and_points_tell_their_phrase(opened: Any, bank_page: Path) -> None:
    page, _ = opened(bank_page, 1280)
    boxes = page.eval_on_selector_all(
        ".maps svg",
        """all => all.map(svg => [...svg.querySelectorAll('text.name')].map(t => {
            const b = t.getBoundingClientRect(); return [b.x, b.y, b.right, b.bottom]; }))""",
    )
    for names in boxes:
        assert len(names) == 4
        for a, b in itertools.combinations(names, 2):
            across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            assert across <= 1 or down <= 0.4 * (a[3] - a[1])  # lines of text may touch, not cover
    told = page.eval_on_selector_all(".maps circle title", "all => all.map(t => t.textContent)")
    assert "arm hangs at the side (Standing, Walking)" in told
    page.close()


def test_the_report_shows_every_phrase_the_codebook_and_the_probe(opened: Any, bank_page: Path) -> None:
    page, _ = opened(bank_page, 1280)
    assert page.locator("ol.phrases li").count() == 40
    assert page.locator("#activity-4 h3").text_content() == "Badminton"
    rows = page.locator("#sizes ~ .scroll").first.locator("tr th[scope=row]").all_text_contents()
    assert rows == ["12", "24 (shown)", "48", "64"]
    assert page.get_by_text("36 entries instead of 48: the bank has no more distinct sub-actions").count() == 1
    assert page.locator("#entries ~ .scroll").first.locator("tr th[scope=row]").count() == 24
    probe = page.locator("#probe ~ .scroll").first.locator("tbody tr").all_text_contents()
    assert len(probe) == 3 * len(HIDDEN)
    assert probe[0].startswith("64real")
    page.close()
