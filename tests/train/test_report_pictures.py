"""The pictures of report.html: codes by wearer, activity and sub-action, all pieces of a window, the evidence."""

import copy
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from report_page import CONFIG, SIZE, make_codebook, number_in, section, write

from mmvq_train.config import CodebookConfig
from mmvq_train.evaluate import judge
from mmvq_train.report.maps import SIDE
from mmvq_train.student.model import make_student


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
