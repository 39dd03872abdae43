"""report.html: the page as a whole, its codes, windows and curves."""

import json
import re
from dataclasses import replace

import numpy as np
import torch
from report_page import CONFIG, SIZE, make_codebook, section, write

from mmvq_train.codebook import TextTargets
from mmvq_train.compare import DISTURBANCES
from mmvq_train.config import CodebookConfig, PiecesConfig
from mmvq_train.data import WindowSet
from mmvq_train.evaluate import judge
from mmvq_train.names import Code
from mmvq_train.student.model import make_student


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
    assert "loss, last 1.250" in text and "alpha_0" not in text
    counted = section(text, "teachers").split("What each teacher counted")[1]
    assert "signal: 1 → 0.500, 2 → 0.400, 3 → 0.300</title>" in counted
    assert "epoch, last" not in text and "step, last" not in text


def test_without_text_no_code_and_no_piece_has_words(tmp_path, trained):
    mute = make_codebook(CONFIG, len(trained["metrics"]["classes"]), None)
    codes = [replace(c, name=None) for c in trained["codes"]]
    text, _ = write(tmp_path, trained, codebook=mute, codes=codes)
    assert "trained without text" in text
    assert "likeliest" not in text
    assert "by-sub-action" not in text


def test_five_lengths_of_64_codes_and_64_sub_actions_stay_under_three_megabytes(tmp_path, trained):
    pieces = PiecesConfig((0.5, 1.0, 2.0, 4.0, 10.0), (0.5, 1.0, 1.0, 1.0, 1.0), views=("axes",))
    config = replace(CONFIG, pieces=pieces, codebook=CodebookConfig(size=64))
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
    codes = [Code([shape], n, "axes", 1 / 64, {0: 0.5}, None) for n in config.pieces.lengths_s for _ in range(64)]
    text, page = write(
        tmp_path, trained, codebook=codebook, student=student, judged=judged, codes=codes, test=test, entries=entries
    )
    assert sum(i.startswith("code-") for i in page.ids) == 320
    assert len(text.encode()) < 3_000_000


def test_student_and_teachers_stand_side_by_side(tmp_path, trained):
    text, _ = write(tmp_path, trained)
    part = section(text, "teachers")
    assert "What each teacher counted" not in part  # nothing was logged
    for kind, (_, levels, unit) in DISTURBANCES.items():
        found = part.split(f"<h4>{kind}, {unit}</h4>")[1].split("</svg>")[0]
        for name, one in trained["compared"].items():
            points = ", ".join(f"{level:g} → {one.disturbed[kind][level]:.3f}" for level in levels)
            assert f"<title>{name}: {points}</title>" in found
    assert part.count('aria-label="Windows alike to ') == 2
    assert part.count('aria-label="Confusion matrix of signal"') == 1  # the student's has its own place
