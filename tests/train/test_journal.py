"""The journal of a bank in the writing: what it keeps, and how a run is taken up from it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chat_desk import PROMPTS, Desk, activity, completion, failure, prompts

from mmvq_bridge.command import BadInput, Failed

# The journal -------------------------------------------------------------------------------------------------------


def test_the_journal_begins_with_the_settings_and_keeps_every_question_and_answer(desk: Desk) -> None:
    desk.play(completion("no", finish_reason="stop"))
    desk.write()
    settings = json.loads(desk.journal.read_text().splitlines()[0])
    assert list(settings) == ["schema", "endpoint", "model", "style", "count", "prompts_sha256", "prompts"]
    assert settings["endpoint"] == desk.server.url
    assert len(settings["prompts_sha256"]) == 64
    assert settings["prompts"] == {
        name: (PROMPTS / name).read_text() for name in ("system.txt", "arm-leg.txt", "retry.txt")
    }
    first, second = desk.entries
    assert (first["label"], first["attempt"], first["answer"], first["finish_reason"]) == ("soup", 1, "no", "stop")
    assert (first["model"], first["answered_by"]) == ("small-model", "small-model-2026")
    assert first["messages"] == desk.asked[0].body["messages"]
    assert first["verdict"].startswith("not JSON")
    assert datetime.fromisoformat(first["date"]).utcoffset() == datetime.now(UTC).utcoffset()
    assert (second["attempt"], second["verdict"]) == (2, "accepted")
    assert second["messages"] == desk.asked[1].body["messages"]
    assert json.loads(second["answer"]) == activity()


def stopped_after(desk: Desk, *labels: str) -> None:
    """A run of soup, tea and bread that an error ended after these were accepted."""
    desk.play(*(completion(activity(label)) for label in labels), failure(401, "no"))
    with pytest.raises(Failed):
        desk.write("soup", "tea", "bread")
    desk.play()


def test_a_run_is_taken_up_at_another_endpoint_with_the_same_model(desk: Desk) -> None:
    stopped_after(desk, "soup")
    other_url = desk.server.url.replace("/v1", "/other/v1")
    bank = desk.write("soup", "tea", "bread", endpoint=other_url)
    assert [asked.label for asked in desk.asked] == ["tea", "bread"]
    assert [entry["endpoint"] for entry in desk.entries] == [desk.server.url] * 2 + [other_url] * 2
    assert bank.labels == ("soup", "tea", "bread")
    assert bank.provenance["model"] == "small-model-2026"


@pytest.mark.parametrize("tail", ['{"label": "bre', '{"label": "bread"}\n', "\0\0\0\0\n", "\0\0\0\0"])
def test_a_torn_last_line_is_cut_off_and_only_what_is_missing_is_asked(desk: Desk, tail: str) -> None:
    stopped_after(desk, "soup", "tea")
    whole = desk.journal.read_text()
    desk.journal.write_text(whole + tail)
    desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["bread"]
    after = desk.journal.read_text()
    assert after.startswith(whole)
    assert [json.loads(line)["label"] for line in after[len(whole) :].splitlines()] == ["bread"]


def test_an_answer_whose_line_was_torn_is_asked_for_again(desk: Desk) -> None:
    stopped_after(desk, "soup", "tea")
    lines = desk.journal.read_text().splitlines(keepends=True)
    desk.journal.write_text("".join(lines[:2]) + lines[2][:-40])
    desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["tea", "bread"]


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (1, "{}"),
        (1, "not a journal"),
        (2, '{"label": "soup"'),
        (2, "[]"),
        (2, '{"label": "soup", "verdict": "accepted"}'),
    ],
)
def test_a_damaged_line_in_the_middle_is_refused_by_its_number(desk: Desk, number: int, line: str) -> None:
    stopped_after(desk, "soup", "tea")
    lines = desk.journal.read_text().splitlines()
    lines[number - 1] = line
    damaged = "\n".join(lines) + "\n"
    desk.journal.write_text(damaged)
    with pytest.raises(BadInput, match=rf"kitchen\.answers\.jsonl: line {number} is damaged; mend it, or move"):
        desk.write("soup", "tea", "bread")
    assert desk.asked == []
    assert desk.journal.read_text() == damaged


@pytest.mark.parametrize("text", ["", "a shopping list"])
def test_a_file_that_is_no_journal_is_left_as_it_is(desk: Desk, text: str) -> None:
    desk.out.parent.mkdir()
    desk.journal.write_text(text)
    with pytest.raises(BadInput, match="line 1 is damaged"):
        desk.write()
    assert desk.journal.read_text() == text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "large-model"}, "begun with model 'small-model', not 'large-model'"),
        ({"style": "keywords"}, "begun with style 'arm-leg', not 'keywords'"),
        ({"count": 5}, "begun with count 10, not 5"),
    ],
)
def test_a_journal_of_other_settings_is_refused_by_the_setting(desk: Desk, options: dict[str, Any], told: str) -> None:
    stopped_after(desk, "soup")
    with pytest.raises(BadInput, match=f"{told}; move it away, or give another --out"):
        desk.write("soup", "tea", **options)
    assert desk.asked == []


def test_a_journal_of_other_prompts_is_refused(desk: Desk, tmp_path: Path) -> None:
    stopped_after(desk, "soup")
    (prompts(tmp_path) / "retry.txt").write_text("No: $error")
    with pytest.raises(BadInput, match="begun with other prompts; move it away"):
        desk.write("soup", "tea", prompts=tmp_path / "prompts")


def test_an_accepted_answer_that_would_not_be_accepted_today_is_asked_for_again(desk: Desk) -> None:
    stopped_after(desk, "soup", "tea")
    lines = [json.loads(line) for line in desk.journal.read_text().splitlines()]
    lines[1]["answer"] = json.dumps(activity(count=6))
    desk.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(desk.write("soup", "tea", "bread").activities[0].sub_actions) == 10
    assert [asked.label for asked in desk.asked] == ["soup", "bread"]
