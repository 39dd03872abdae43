import copy
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import torch

from mmvq_train.codebook import ShapeCodebook, TextTargets
from mmvq_train.config import CodebookConfig, Config, PiecesConfig, StudentConfig
from mmvq_train.data import WindowSet, load_dataset
from mmvq_train.drawings import columns, curves, heat_map, nice_step, number, percent
from mmvq_train.evaluate import ablation_rows, accuracy, codebook_figures, explanation_figures, judge
from mmvq_train.maps import SIDE, Panel, Row, shade_map, time_columns
from mmvq_train.names import Code, associations, describe_codes
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
    targets = TextTargets(torch.randn(len(entries), 12), membership, torch.randn(len(labels), 1, 12))
    codebook = make_codebook(CONFIG, len(labels), targets)
    for book in codebook.books():
        book.codes[-1] *= 1e3  # so far away that no piece gets it
    student = make_student(CONFIG, len(labels), len(entries)).eval()
    student.adopt(codebook)
    judged = judge(student, test)
    seen = judge(student, train)
    told = associations(student, seen, train, membership, 0) if codebook.text is not None else None
    codes = describe_codes(student, codebook, seen, entries, told)
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
    assert '<div class="named"' not in text
    assert text.count('<div class="unnamed">unnamed') == len(codes)
    assert "unnamed; likeliest: action" in text or "unnamed; likeliest: &lt;script" in text
    codes[k] = replace(codes[k], name="heel strikes")
    text, _ = write(tmp_path, trained, codes=codes)
    assert text.count('>heel strikes</div>') == 1


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
        assert len(re.findall("<li>", card.split("</ol>")[0])) == 5
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


def section(text, name):
    """The part of the page under one of its headings."""
    return text.split(f'<h2 id="{name}">')[1].split("<h2 ")[0]


def number_in(text):
    return float(text.replace("−", "-").lstrip("+"))


def test_the_map_of_wearers_counts_every_piece_of_the_test_people(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    found = re.findall(r"<title>code (\d+), wearer (\d+): (\d+) of (\d+) pieces", section(text, "by-wearer"))
    people, windows = np.unique(trained["test"].subject, return_counts=True)
    assert {wearer for _, wearer, _, _ in found} == set(people)
    layout = trained["student"].layout
    for person, count in zip(people, windows, strict=True):
        for i, tokens in enumerate(layout.counts):
            own = [(int(n), int(of)) for k, wearer, n, of in found if wearer == person and int(k) // SIZE == i]
            assert sum(n for n, _ in own) == count * tokens * layout.streams
            assert {of for _, of in own} == {count * tokens * layout.streams}


def test_a_map_shows_the_wearers_with_the_most_windows_where_there_are_too_many(tmp_path, trained):
    test = trained["test"]
    crowd = replace(test, subject=np.array(["most", "most", *(f"p{i}" for i in range(len(test) - 2))]))
    text, _ = write(tmp_path, trained, test=crowd)
    shown = set(re.findall(r"<title>code \d+, wearer (\w+):", section(text, "by-wearer")))
    assert "most" in shown and len(shown) == 24
    assert f"the 24 with the most windows, of {len(test) - 1}" in section(text, "by-wearer").replace("\n", " ")


def test_a_row_of_the_map_of_activities_adds_up_and_links_to_the_codes_card(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    part = section(text, "by-activity")
    rows = {}
    for code, share in re.findall(r"<title>code (\d+), [^:<]*: [^<]*, (\d+)\u202f% of the row</title>", part):
        rows.setdefault(int(code), []).append(int(share))
    codes = trained["judged"].codes.split(trained["student"].layout.counts, 1)
    often = {i * SIZE + k for i, c in enumerate(codes) for k in range(SIZE) if (c == k).sum() >= 10}
    assert set(rows) == often
    for shares in rows.values():
        assert abs(sum(shares) - 100) <= len(shares) / 2
    links = re.findall(r'<a href="#code-(\d+)">', part)
    assert sorted(map(int, links)) == sorted(often)


CELL = r'<rect class="heat"[^>]*fill-opacity="([\d.]+)"><title>code \d+, '


def test_a_cell_of_a_map_is_darker_the_larger_its_share(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    wearers = re.findall(CELL + r"wearer \d+: (\d+) of (\d+) pieces", section(text, "by-wearer"))
    activities = re.findall(CELL + r"[^:<]*: [^<]*, (\d+)\u202f% of the row", section(text, "by-activity"))
    for cells in (
        [(float(dark), int(n) / int(of)) for dark, n, of in wearers],
        [(float(dark), int(share) / 100) for dark, share in activities],
    ):
        assert len({share for _, share in cells}) > 5
        assert all(b >= a - 0.012 for (_, a), (_, b) in pairwise(sorted(cells)))  # opacities and shares are rounded


def test_codes_are_in_order_of_the_activity_that_uses_them_most(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    for drawing in section(text, "by-activity").split('role="group"')[1:]:
        cells = re.findall(CELL.replace(r"code \d+", r"code (\d+)") + r"([^:<]*):", drawing)
        columns_of = re.findall(r"rotate\(-90\)\">[^<]*<title>([^<]*)</title>", drawing)
        darkest = {}
        for dark, code, label in cells:
            darkest.setdefault(code, []).append((float(dark), -columns_of.index(label)))
        peaks = [-max(row)[1] for row in darkest.values()]
        assert len(peaks) > 2 and peaks == sorted(peaks)


def test_sub_actions_are_numbered_as_in_the_list_beside_the_map(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    part = section(text, "by-sub-action")
    assert '<ol class="numbered" start="0">' in part
    listed = re.findall(r"<li>(.*?)</li>", part)
    assert listed == [*(f"action {i}" for i in range(9)), "&lt;script&gt;alert(1)&lt;/script&gt;"]
    columns_told = re.findall(r"rotate\(-90\)\">(\d+)<title>(.*?)</title>", part)
    assert columns_told == [(str(i), words) for i, words in enumerate(listed)] * 2  # two lengths


def sub_actions_where_a_code_is(judged, size, action, there, elsewhere):
    """The commonest code of the first length, and a judgement in which one action's probability hangs on it."""
    k = int(judged.codes[:, :6].flatten().bincount().argmax())
    has = (judged.codes == k).any(-1) & (torch.arange(judged.codes.shape[1]) < 6)
    own = torch.where(has, there, elsewhere)[..., None]
    actions = ((1 - own) / (size - 1)).repeat(1, 1, size)
    actions[..., action] = own[..., 0]
    return k, replace(judged, sub_actions=actions)


def test_a_row_shows_and_tells_the_sub_actions_that_its_codes_pieces_have_more_than_others(tmp_path, trained):
    k, judged = sub_actions_where_a_code_is(trained["judged"], len(trained["entries"]), 7, 0.82, 0.1)
    text, _ = write(tmp_path, trained, judged=judged)
    part = section(text, "by-sub-action")
    told = re.findall(rf"<title>code {k}, [^:<]*pieces: ([^<]*)</title>", part)
    assert told and all(line.startswith("7 action 7, 82\u202f%, ") and ";" not in line for line in told)
    row = re.search(rf'<a href="#code-{k}"><rect class="cover" x="0" y="([\d.]+)"', part)[1]
    paths = re.findall(r'<path class="heat"[^>]* d="([^"]+)"', part)
    painted = {tuple(place) for path in paths for place in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", path)}
    assert {(x, wide) for x, _, wide in painted} == {(str(SIDE + 10 * 7), "10")}
    assert row in {y for _, y, _ in painted}


def test_what_is_rarer_than_by_chance_is_no_sub_action_of_a_code_however_large_its_lift(tmp_path, trained):
    k, judged = sub_actions_where_a_code_is(trained["judged"], len(trained["entries"]), 3, 0.04, 0.001)
    text, _ = write(tmp_path, trained, judged=judged)
    part = section(text, "by-sub-action")
    told = re.findall(rf"<title>code {k}, [^:<]*pieces: ([^<]*)</title>", part)
    assert set(told) == {"no sub-action above the average"}
    assert '<path class="heat"' not in part


def test_the_tested_name_of_a_code_is_framed_in_its_row_and_column(tmp_path, trained):
    k = max(range(SIZE), key=lambda i: trained["codes"][i].usage)
    codes = [replace(c, name="action 3" if i == k else None) for i, c in enumerate(trained["codes"])]
    text, _ = write(tmp_path, trained, codes=codes)
    part = section(text, "by-sub-action")
    ((x, y),) = re.findall(r'<rect class="framed" x="([\d.]+)" y="([\d.]+)"', part)
    row = re.search(rf'<a href="#code-{k}"><rect class="cover" x="0" y="{y}"', part)
    column = re.search(r"translate\(([\d.]+) [\d.]+\) rotate\(-90\)\">3<", part)
    assert row and float(x) < float(column[1]) < float(x) + 10


def test_all_pieces_of_a_window_are_drawn_and_add_up_to_its_score(tmp_path, trained):
    student, judged = copy.deepcopy(trained["student"]), trained["judged"]
    student.bias.data += 0.75
    text, _ = write(tmp_path, trained, student=student, judged=replace(judged, logits=judged.logits + 0.75))
    cards = section(text, "whole").split('<div class="card example whole">')[1:]
    assert len(cards) == 2
    for card in cards:
        told = re.findall(r'<rect class="span(?: off)?"[^>]*><title>[^<]*: \+?(−?[\d.e−]+)</title>', card)
        assert len(told) == trained["student"].layout.tokens
        constant, score = re.search(r"constant \+?(−?[\d.e−]+): score (−?[\d.]+)", card).groups()
        total = sum(map(number_in, told)) + number_in(constant)
        assert abs(total - number_in(score)) < 0.005 * (len(told) + 2)


def test_a_piece_is_drawn_under_its_own_time(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    first, last = (float(re.search(rf'<text class="middle" x="([\d.]+)"[^>]*>{at}<', text)[1]) for at in ("0 s", "10"))
    spans = re.findall(
        r'<rect class="span(?: off)?" rx="2" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*>'
        r"<title>([\d.]+)–([\d.]+) s,",
        section(text, "whole"),
    )
    assert len({begin for *_, begin, _ in spans}) > 2
    for place in spans:
        x, wide, begin, end = map(float, place)
        assert x == pytest.approx(first + begin / 10 * (last - first), abs=0.2)
        assert x + wide + 1 == pytest.approx(first + end / 10 * (last - first), abs=0.2)


def test_pieces_against_the_label_look_unlike_those_for_it(tmp_path, trained):
    judged = trained["judged"]
    centred = judged.contributions - judged.contributions.mean(1, keepdim=True)  # so that there are both in any window
    text, _ = write(tmp_path, trained, judged=replace(judged, contributions=centred))
    part = section(text, "whole")
    found = re.findall(r'<rect class="(span(?: off)?)"[^>]*><title>[^<]*: (\+?−?[\d.e−]+)</title>', part)
    assert {css for css, _ in found} == {"span", "span off"}
    for css, value in found:
        assert (css == "span off") == (number_in(value) < 0)


def test_evidence_is_charted_for_every_start_and_shared_out_over_the_lengths(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    part = section(text, "evidence")
    assert len(re.findall(r'<rect class="bar"', part)) == trained["student"].layout.tokens
    rows = re.findall(r'([\d.]+) s \((\d+) pieces?\)</th><td class="n">([\d.]+)', part)
    assert [(float(n), int(count)) for n, count, _ in rows] == [(1.0, 6), (4.0, 3)]
    assert abs(sum(float(share) for *_, share in rows) - 100) <= 0.1


def test_evidence_is_of_the_label_that_was_said_even_where_it_was_wrong(tmp_path, trained):
    judged = trained["judged"]
    said = judged.logits.argmax(-1)
    assert (said != trained["test"].y).any()
    contributions = torch.zeros_like(judged.contributions)
    contributions[torch.arange(len(said)), 3, said] = -2.0
    text, _ = write(tmp_path, trained, judged=replace(judged, contributions=contributions))
    told = re.findall(r"<title>([\d.]+) s from ([\d.]+) s: ([\d.]+)</title>", section(text, "evidence"))
    assert [row for row in told if row[2] != "0.000"] == [("1", "6.0", "2.000")]


def test_joint_codes_are_drawn_with_all_their_axes_everywhere(tmp_path, trained):
    config = replace(CONFIG, codebook=CodebookConfig(size=SIZE, dim=8, joint=True))
    classes, entries, test = trained["metrics"]["classes"], trained["entries"], trained["test"]
    codebook = make_codebook(config, len(classes), None)
    student = make_student(config, len(classes), len(entries)).eval()
    student.adopt(codebook)
    judged = judge(student, test)
    shapes = torch.cat(codebook.code_shapes()).unflatten(-1, (3, 32)).tolist()
    codes = [replace(old, shape=shape, name=None) for old, shape in zip(trained["codes"], shapes, strict=True)]
    text, _ = write(tmp_path, trained, codebook=codebook, student=student, judged=judged, codes=codes)
    card = re.search(r'aria-label="Shape of code 0">(.*?)</svg>', text)[1]
    assert re.findall(r'<polyline class="(\w+)"', card) == ["x", "y", "z"]
    piece = section(text, "windows").split("<li>")[1]
    pictures = re.findall(r'aria-label="(\w): the piece \(grey\) and code (\d+), unnamed">(.*?)</svg>', piece)
    assert [axis for axis, _, _ in pictures] == ["x", "y", "z"] and len({code for _, code, _ in pictures}) == 1
    assert [re.findall(r'<polyline class="(\w+)"', inside) for *_, inside in pictures] == [["soft", a] for a in "xyz"]
    assert f"code {pictures[0][1]}<" in piece
    heights = [np.ptp([float(y) for y in re.findall(r",([\d.]+)", inside)]) for *_, inside in pictures]
    assert max(heights) - min(heights) > 0.5  # one scale for all three, or each would fill its picture
    row = re.search(r'<a href="#code-\d+">(.*?)</a>', section(text, "by-wearer"))[1]
    assert re.findall(r'<polyline class="(\w+)"', row) == ["x", "y", "z"]
    counted = re.findall(r"<title>code \d+, wearer \d+: (\d+) of", section(text, "by-wearer"))
    assert sum(map(int, counted)) == len(test) * student.layout.tokens


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
    assert "by-sub-action" not in text


def test_five_lengths_of_64_codes_and_64_sub_actions_stay_under_three_megabytes(tmp_path, trained):
    config = replace(CONFIG, pieces=PiecesConfig(), codebook=CodebookConfig(size=64))
    classes, test = trained["metrics"]["classes"], trained["test"]
    entries = tuple(f"forearm does thing number {i} of many things" for i in range(64))
    membership = torch.ones(len(classes), len(entries), dtype=torch.bool)
    targets = TextTargets(torch.randn(len(entries), 12), membership, torch.randn(len(classes), 1, 12))
    codebook = make_codebook(config, len(classes), targets)
    student = make_student(config, len(classes), len(entries)).eval()
    student.adopt(codebook)
    # Many windows and wearers, codes and sub-actions by chance: no cell of a map is empty.
    rows = torch.arange(len(test)).repeat(20)
    test = WindowSet(test.x[rows], test.y[rows], np.array([f"person {i % 12}" for i in range(len(rows))]))
    judged = judge(student, test)
    actions = torch.rand_like(judged.sub_actions).pow(8)
    judged = replace(judged, codes=torch.randint_like(judged.codes, 64), sub_actions=actions)
    shape = [round(float(v), 3) for v in np.sin(np.arange(32))]
    codes = [Code([shape], n, 1 / 64, {0: 0.5}, None) for n in config.pieces.lengths_s for _ in range(64)]
    text, page = write(
        tmp_path, trained, codebook=codebook, student=student, judged=judged, codes=codes, test=test, entries=entries
    )
    assert sum(i.startswith("code-") for i in page.ids) == 320
    assert len(text.encode()) < 3_000_000


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
