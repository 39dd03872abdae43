import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from mmvq_train.codebook import ShapeCodebook, TextTargets
from mmvq_train.config import CodebookConfig, Config, PiecesConfig, StudentConfig
from mmvq_train.data import WindowSet, load_dataset
from mmvq_train.drawings import columns, curves, heat_map, nice_step, number, percent
from mmvq_train.evaluate import ablation_rows, accuracy, codebook_figures, explanation_figures, judge
from mmvq_train.names import describe_codes
from mmvq_train.report import write_report
from mmvq_train.rundir import make_student

VOID = {"meta", "link", "br", "hr", "img", "input"}
RUDE = "<b>x & \"y\" 'z'"
SIZE = 6
CONFIG = Config(
    pieces=PiecesConfig((1.0, 4.0), (2.0, 3.0)),
    codebook=CodebookConfig(size=SIZE, dim=8),
    student=StudentConfig(width=16, embedding=4),
)


class Page(HTMLParser):
    """Takes a page apart and fails on tags that do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.references, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.references += [v for k, v in attrs if k in ("href", "src", "action", "data", "xlink:href")]
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def make_codebook(config, classes, targets):
    """Random codes and weights, frozen as the pipeline freezes them."""
    codebook = ShapeCodebook(config.layout, config.codebook.size, config.codebook.dim, classes, targets)
    for book in codebook.books():
        book.codes.copy_(torch.randn_like(book.codes))
    return codebook.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def trained():
    """A student and a codebook of random weights, judged on real windows of the embedded recordings."""
    torch.manual_seed(0)
    data = load_dataset(CONFIG)
    labels = (RUDE, *data.labels[1:])
    rows = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(1))[:60]
    test = WindowSet(data.test.x[rows], data.test.y[rows], data.test.subject[rows.numpy()])
    train = WindowSet(data.train.x[::10], data.train.y[::10], data.train.subject[::10])
    entries = (*(f"action {i}" for i in range(9)), "<script>alert(1)</script>")
    membership = torch.rand(len(labels), len(entries)) < 0.4
    membership[:, 0] = True
    targets = TextTargets(torch.randn(len(entries), 12), membership, torch.randn(len(labels), 12))
    codebook = make_codebook(CONFIG, len(labels), targets)
    for book in codebook.books():
        book.codes[-1] *= 1e3  # so far away that no piece gets it
    student = make_student(CONFIG, len(labels), len(entries)).eval()
    student.adopt(codebook)
    judged = judge(student, test)
    codes = describe_codes(student, codebook, judge(student, train), train, entries, membership, 0)
    metrics = {
        "schema": 1, "data": "wisdm", "split": "subject", "fold": 0, "subjects": 12, "seed": 0, "classes": list(labels),
        "test": accuracy(judged.logits.argmax(-1), test, len(labels)),
        "teachers": {"signal": {"macro_f1": 0.5}},
        "ablations": ablation_rows(student, judged, test, len(labels)),
        "explanation": explanation_figures(student, judged, test, membership, 0),
        "codebook": codebook_figures(student, codebook, judged, test, train) | {"named": 0},
        "seconds": {"codebook": 3.2, "student": 4000.0}, "hardware": "test bench",
    }
    return {
        "metrics": metrics, "codes": codes, "student": student, "codebook": codebook, "test": test, "judged": judged,
        "entries": entries,
    }


def write(run, trained, **changes):
    write_report(run, **(trained | changes))
    text = (run / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_is_well_formed_and_fetches_nothing(tmp_path, trained):
    text, page = write(tmp_path, trained)
    assert not {"script", "link", "img", "iframe", "object", "use", "image"} & set(page.tags)
    assert page.references and all(r.startswith("#") and r[1:] in page.ids for r in page.references)
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert len(page.ids) == len(set(page.ids))


def test_the_page_is_whole_or_absent_and_leaves_no_other_file(tmp_path, trained):
    write(tmp_path, trained)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_every_label_is_there_and_none_becomes_markup(tmp_path, trained):
    text, page = write(tmp_path, trained)
    shown = " ".join(page.text)
    for label in trained["metrics"]["classes"]:
        assert label in shown
    assert "<b>" not in text and "<script" not in text
    assert "&lt;b&gt;x &amp;" in text


def test_every_code_is_drawn_with_its_own_shape(tmp_path, trained):
    text, page = write(tmp_path, trained)
    assert sorted(i for i in page.ids if i.startswith("code-")) == sorted(f"code-{k}" for k in range(2 * SIZE))
    shapes = re.findall(r'aria-label="Shape of code (\d+)"><polyline class="shape" points="([^"]+)"', text)
    assert {int(k) for k, _ in shapes} == set(range(2 * SIZE))
    assert all(len(points.split()) == 32 for _, points in shapes)
    assert len({points for _, points in shapes}) == 2 * SIZE


def test_unused_codes_are_marked_and_get_no_words(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    unused = [k for k, c in enumerate(trained["codes"]) if c.usage == 0]
    assert unused
    for k in unused:
        card = text.split(f'id="code-{k}"')[1].split("</div>\n</div>")[0]
        assert '<span class="mark">unused</span>' in card
        assert "action" not in card


def test_a_code_without_a_name_says_so_and_one_with_a_name_is_set_apart(tmp_path, trained):
    codes = [replace(c, name=None) for c in trained["codes"]]
    k = max(range(SIZE), key=lambda i: codes[i].usage)
    text, _ = write(tmp_path, trained, codes=codes)
    assert '<div class="named">' not in text
    assert text.count('<div class="unnamed">unnamed') == len(codes)
    assert "unnamed; likeliest: action" in text or "unnamed; likeliest: &lt;script" in text
    codes[k] = replace(codes[k], name="heel strikes")
    text, _ = write(tmp_path, trained, codes=codes)
    assert text.count('<div class="named">heel strikes</div>') == 1


def test_one_wearer_is_warned_about_loudly(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    assert "WARNING" not in text and "whom training never saw" in text
    for change in ({"subjects": 1, "split": "time"}, {"subjects": 1}, {"split": "time"}):
        text, _ = write(tmp_path, trained, metrics=trained["metrics"] | change)
        assert '<p class="warning">WARNING' in text
        assert "whom training never saw" not in text


def test_examples_are_of_different_labels_and_name_their_pieces(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    assert "typical" in text and "a sure mistake" in text
    cards = text.split('<div class="card example">')[1:]
    truths = [re.search("True: <strong>(.*?)</strong>", card)[1] for card in cards]
    assert len(cards) >= 6 and len(set(truths[:6])) == 6
    for card in cards:
        assert len(re.findall("<li>", card)) == 5
        said = re.findall(r'<span class="n">\+?(−?[\d.]+)</span>', card)
        values = [float(v.replace("−", "-")) for v in said]
        assert values == sorted(values, reverse=True) and len(values) == 5


def test_codes_of_a_piece_are_numbered_over_all_lengths(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    rows = re.findall(r"<li><span>\d\. ([\d.]+)–([\d.]+) s</span>.*?codes ([\d, ]+)<", text, re.DOTALL)
    assert rows
    for start, end, codes in rows:
        long = float(end) - float(start) > 1.5
        assert all((int(k) >= SIZE) == long for k in codes.split(", "))


def test_missing_and_undefined_numbers_are_dashes(tmp_path, trained):
    metrics = trained["metrics"] | {"explanation": {"deletion_correlation": float("nan")}, "teachers": {}}
    text, _ = write(tmp_path, trained, metrics=metrics)
    assert "nan" not in re.sub("<[^>]*>", "", text.lower()).split()
    assert re.search(r'Claim against effect</div><div class="value">–</div>', text)
    assert re.search(r'Deletion</div><div class="value">–</div><div>random pieces: –</div>', text)


def test_metrics_read_back_from_json_give_the_same_page(tmp_path, trained):
    first, _ = write(tmp_path, trained)
    again, _ = write(tmp_path, trained, metrics=json.loads(json.dumps(trained["metrics"])))
    assert first == again


def test_training_curves_come_from_the_logs_and_survive_a_torn_line(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    assert "No training logs" in text
    log = tmp_path / "log" / "student"
    log.mkdir(parents=True)
    (log / "metrics.csv").write_text("alpha_0,epoch,loss,step\n0.5,0,3.0,9\n0.4,1,nan,19\n,1,1.25,19\n0.3,2")
    text, _ = write(tmp_path, trained)
    assert "No training logs" not in text
    assert "loss, last 1.250" in text and "alpha_0, last 0.300" in text
    assert "epoch, last" not in text and "step, last" not in text


def test_without_text_no_code_and_no_piece_has_words(tmp_path, trained):
    mute = make_codebook(CONFIG, len(trained["metrics"]["classes"]), None)
    codes = [replace(c, name=None) for c in trained["codes"]]
    text, _ = write(tmp_path, trained, codebook=mute, codes=codes)
    assert "trained without text" in text
    assert "likeliest" not in text


def test_five_lengths_of_64_codes_stay_under_a_megabyte_and_a_half(tmp_path, trained):
    config = replace(CONFIG, pieces=PiecesConfig(), codebook=CodebookConfig(size=64))
    classes, entries, test = trained["metrics"]["classes"], trained["entries"], trained["test"]
    codebook = make_codebook(config, len(classes), None)
    student = make_student(config, len(classes), len(entries)).eval()
    student.adopt(codebook)
    judged = judge(student, test)
    membership = torch.ones(len(classes), len(entries), dtype=torch.bool)
    codes = describe_codes(student, codebook, judged, test, entries, membership, 0)
    text, page = write(tmp_path, trained, codebook=codebook, student=student, judged=judged, codes=codes)
    assert sum(i.startswith("code-") for i in page.ids) == 320
    assert len(text.encode()) < 1_500_000


def test_a_heat_map_tells_counts_and_leaves_labels_without_windows_empty():
    drawn = heat_map([[3, 1], [0, 0]], ["a", "<i>"], "t")
    assert "a → a: 3 of 4 (75.0\u202f%)" in drawn and "a → &lt;i&gt;: 1 of 4 (25.0\u202f%)" in drawn
    assert "&lt;i&gt; → a: 0 of 0 (0.0\u202f%)" in drawn
    assert drawn.count("<rect") == 4 and "<i>" not in drawn


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
