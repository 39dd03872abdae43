"""Authoring of a text bank: what is asked, what is taken, what is sent back, and what cannot begin."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chat_desk import GOOD, KEY, PROMPTS, Desk, Turn, activity, completion, prompts, with_sub_action

from mmvq_bridge.command import BadInput, Failed
from mmvq_train.text import endpoint
from mmvq_train.text.bank import load_bank
from mmvq_train.text.cli import main
from mmvq_train.text.write import Authoring, write_bank

# What is written --------------------------------------------------------------------------------------------------


def test_a_bank_is_written_with_one_question_an_activity(desk: Desk) -> None:
    bank = desk.write("soup", "walkFast_2")
    assert load_bank(desk.out) == bank
    assert bank.labels == ("soup", "walkFast_2")
    assert bank.activities[1].text == "doing walkFast_2"
    assert [s.arm for s in bank.activities[0].sub_actions][:2] == ["hand lifts spoon one", "hand lifts spoon two"]
    assert desk.said == ["1 of 2: soup ... 10 sub-actions", "2 of 2: walkFast_2 ... 10 sub-actions"]
    first, second = desk.asked
    assert first.path == "/v1/chat/completions"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.body["model"] == "small-model"
    assert first.body["response_format"] == {"type": "json_object"}
    assert first.contents[0] == (PROMPTS / "system.txt").read_text()
    assert "exactly 10 objects" in first.contents[1]
    assert 'Activity: walk fast 2 (called "walkFast_2" in the data)' in second.contents[1]


def test_the_bank_says_who_wrote_it_by_which_prompt_and_when(desk: Desk) -> None:
    desk.play(completion(activity()), completion(activity("tea"), model=""))
    desk.write("soup", "tea")
    bank = load_bank(desk.out)
    assert bank.name == "kitchen"
    assert bank.provenance["author"] == "small-model by mmvq-bank write"
    assert bank.provenance["model"] == "small-model-2026, small-model"  # as the endpoint says, or as asked
    system, user = ((PROMPTS / name).read_text() for name in ("system.txt", "arm-leg.txt"))
    assert bank.provenance["prompt"] == f"{system}\n{user}".strip()
    assert bank.provenance["date"] == datetime.now(UTC).date().isoformat()


def test_a_label_that_comes_twice_is_asked_for_once(desk: Desk) -> None:
    assert desk.write("soup", "tea", "soup").labels == ("soup", "tea")
    assert len(desk.asked) == 2


STYLED = {
    "merged": {"arm": "hand lifts the spoon to the mouth while the thighs rest", "leg": ""},
    "arm-leg": {"arm": "hand lifts the spoon to the mouth", "leg": "thighs rest on the chair"},
    "keywords": {"arm": "spoon to mouth", "leg": "thighs rest"},
}


def styled(style: str) -> dict[str, Any]:
    whole = activity(count=5)
    for i, sub_action in enumerate(whole["sub_actions"]):
        arm = STYLED[style]["arm"].replace("spoon", f"spoon{i}")
        sub_action |= {"arm": arm, "leg": STYLED[style]["leg"]}
    return whole


@pytest.mark.parametrize("style", STYLED)
def test_each_style_has_its_own_prompt_and_takes_its_own_answers(desk: Desk, style: str) -> None:
    desk.play(completion(styled(style)))
    bank = desk.write(style=style, count=5)
    assert len(desk.asked) == 1
    assert "exactly 5 objects" in desk.asked[0].contents[1]
    assert (PROMPTS / f"{style}.txt").read_text().strip() in bank.provenance["prompt"]


@pytest.mark.parametrize(
    ("style", "given", "error"),
    [
        ("merged", "arm-leg", "sub_actions[0].leg: must be ''"),
        ("arm-leg", "merged", "sub_actions[0].leg: is empty"),
        ("keywords", "arm-leg", "sub_actions[0].arm: 7 words; give 1 to 4"),
        ("keywords", "merged", "sub_actions[0].leg: is empty"),
    ],
)
def test_an_answer_in_another_style_is_refused(desk: Desk, style: str, given: str, error: str) -> None:
    desk.play(completion(styled(given)), completion(styled(style)))
    desk.write(style=style, count=5)
    assert error in desk.asked[1].contents[3]


@pytest.mark.parametrize("style", STYLED)
def test_the_example_in_each_prompt_keeps_the_rules_that_the_prompt_gives(desk: Desk, style: str) -> None:
    example = json.loads((PROMPTS / f"{style}.txt").read_text().splitlines()[-1])
    more = [example["sub_actions"][0] | {"arm": f"saw {i}"} for i in range(2)]
    desk.play(completion(example | {"sub_actions": example["sub_actions"] + more}))
    desk.write(style=style, count=5)
    assert len(desk.asked) == 1


@pytest.mark.parametrize("fence", ["```json\n%s\n```", "```\n%s\n```\n", "\n  %s\n\n"])
def test_code_fences_and_blank_lines_around_an_answer_are_no_fault(desk: Desk, fence: str) -> None:
    desk.play(completion(fence % json.dumps(activity())))
    desk.write()
    assert len(desk.asked) == 1


# Answers that are refused ------------------------------------------------------------------------------------------



@pytest.mark.parametrize(
    ("turn", "error"),
    [
        (completion("Here you are: soup!"), "not JSON"),
        (completion(GOOD[:-20]), "not JSON"),
        (completion("[" * 50_000), "not JSON"),
        (completion(GOOD + ', "tea": {}'), "not JSON"),
        (completion([activity()]), "activities.soup: must be an object, not list"),
        (completion({"name": "soup"}), "sub_actions: is missing"),
        (completion(activity(keywords="soup")), "keywords: must be a list"),
        (completion(activity(sub_actions=["hand lifts"] * 10)), "sub_actions[0]: must be an object"),
        (completion(activity(count=9)), "sub_actions: 9 of them; give exactly 10"),
        (completion(activity(count=12)), "sub_actions: 12 of them; give exactly 10"),
        (completion(with_sub_action(3, arm="Hand  lifts spoon ONE")), "'Hand lifts spoon ONE' stands there twice"),
        (completion(GOOD[:-1] + ', "text": "tea"}'), "'text' stands there twice"),
        (completion(with_sub_action(0, wrist_observable="yes")), "[0].wrist_observable: must be true or false"),
        (completion(with_sub_action(2, leg="")), "sub_actions[2].leg: is empty"),
        (completion(activity(keywords=[], affirmative=[])), "keywords: is empty; affirmative: is empty"),
        (completion(activity(sentence=" ", negative=[])), "sentence: is empty; negative: is empty"),
        (completion(with_sub_action(0, arm="hand \x1b[2J lifts")), "without control characters"),
        (completion(with_sub_action(0, arm="hand \ud800 lifts")), "surrogates not allowed"),
        (completion(GOOD, finish_reason="length"), "cut off at the limit of length"),
        (completion(activity(text="soup " * 20_001)), "longer than 100000 characters"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_sent_back_with_what_is_wrong_in_it(desk: Desk, turn: Turn, error: str) -> None:
    desk.play(turn)
    desk.write("soup")
    first, again = (asked.body["messages"] for asked in desk.asked)
    answer = json.loads(turn.body)["choices"][0]["message"]["content"]
    assert again[:2] == first
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert again[2]["content"] == answer[: endpoint.QUOTED]
    assert error in again[3]["content"]
    assert "Answer again" in again[3]["content"]
    assert [error in entry["verdict"] for entry in desk.entries] == [True, False]
    assert desk.entries[0]["answer"] == answer[: endpoint.LONGEST_ANSWER + 1]
    assert desk.said == ["1 of 1: soup ... 10 sub-actions, 1 retry"]
    assert load_bank(desk.out).activities[0].text == "doing soup"


def test_the_conversation_grows_with_every_refused_answer(desk: Desk) -> None:
    desk.play(completion("first"), completion("second"))
    desk.write()
    assert [message["content"] for message in desk.asked[2].body["messages"] if message["role"] == "assistant"] == [
        "first",
        "second",
    ]
    assert desk.said == ["1 of 1: soup ... 10 sub-actions, 2 retries"]


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        (Turn("<html>Log in</html>", headers={"Content-Type": "text/html"}), "no chat completion in it: <html>Log in"),
        (Turn("<html>Log in</html>"), "no chat completion in it: <html>Log in"),
        (Turn(""), "no chat completion"),
        (Turn('"soup"'), "no chat completion"),
        (Turn("[]"), "no chat completion"),
        (Turn('{"error": {"message": "upstream is down"}}'), "upstream is down"),
        (Turn('{"choices": []}'), "no chat completion"),
        (Turn('{"choices": null}'), "no chat completion"),
        (Turn('{"choices": ["soup"]}'), "no chat completion"),
        (Turn("[" * 50_000), "no chat completion"),
        (completion(None, finish_reason="content_filter"), "no content in the answer"),
        (completion(" \n"), "no content in the answer"),
        (completion(7), "no content in the answer"),
    ],
)  # fmt: skip
def test_a_reply_that_is_no_answer_is_asked_for_again_from_the_start(desk: Desk, turn: Turn, told: str) -> None:
    desk.play(turn)
    desk.write()
    assert desk.asked[0].body == desk.asked[1].body
    assert told in desk.entries[0]["verdict"]
    assert desk.entries[1]["verdict"] == "accepted"


def test_an_activity_without_a_usable_answer_is_given_up_and_the_others_go_on(desk: Desk) -> None:
    desk.play(completion("no"), completion("never"))
    with pytest.raises(
        Failed, match=r"kitchen\.json: not written, no usable answer for soup \(not JSON .* asks only these"
    ):
        desk.write("soup", "tea", attempts=2)
    assert [asked.label for asked in desk.asked] == ["soup", "soup", "tea"]
    assert desk.said[0].startswith("1 of 2: soup ... given up after 2 answers: not JSON")
    assert [path.name for path in desk.out.parent.iterdir()] == ["kitchen.answers.jsonl"]

    desk.play()
    assert desk.write("soup", "tea", attempts=2).labels == ("soup", "tea")
    assert [asked.label for asked in desk.asked] == ["soup"]
    assert desk.said[1] == "2 of 2: tea ... kept from the journal"


# What cannot begin -------------------------------------------------------------------------------------------------


def test_an_existing_bank_is_not_written_over(desk: Desk) -> None:
    desk.out.parent.mkdir()
    desk.out.write_text("precious")
    with pytest.raises(BadInput, match=r"kitchen\.json: is there already; give another --out or move it away"):
        desk.write()
    assert desk.out.read_text() == "precious"
    assert desk.asked == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": 4}, "--count 4: give 5 to 10"),
        ({"count": 11}, "--count 11: give 5 to 10"),
        ({"style": "poem"}, "--style poem: give one of merged, arm-leg, keywords"),
        ({"model": " "}, "--model is empty"),
        ({"attempts": 0}, "--attempts 0: give 1 or more"),
        ({"timeout_s": 0.0}, "--timeout-s 0.0: give"),
        ({"timeout_s": float("nan")}, "--timeout-s nan: give"),
        ({"timeout_s": float("inf")}, "--timeout-s inf: give"),
    ],
)
def test_an_option_out_of_range_is_refused_by_its_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Authoring(**{"endpoint": "http://localhost:11434/v1", "model": "m"} | options)


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "localhost:11434/v1", "ftp://host/v1", "http://", "http:///v1", "http://host:port/v1", "http://host:99999/v1",
        "http://[::1/v1", "http://a..b/v1", "http://ho st/v1", "http://host/v1\n", "http://me:secret@host/v1",
        "http://host/v1?key=secret", "http://host/v1#secret",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_no_plain_address_is_refused_and_not_shown(endpoint: str) -> None:
    with pytest.raises(BadInput, match=r"--endpoint: give http\(s\)://HOST") as caught:
        Authoring(endpoint, "m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("labels", "told"), [((), "no labels"), (("soup", " "), "' '"), (("a\nb",), r"'a\\nb'")])
def test_labels_that_name_nothing_are_refused(desk: Desk, labels: tuple[str, ...], told: str) -> None:
    authoring = Authoring(desk.server.url, "m")
    with pytest.raises(BadInput, match=told):
        write_bank(labels, desk.out, authoring, None, desk.said.append)
    assert desk.asked == []


# Prompts -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_prompts_stands_in_for_the_packaged_ones(desk: Desk, tmp_path: Path) -> None:
    desk.play(completion("no"))
    bank = desk.write("soup", prompts=prompts(tmp_path))
    assert desk.asked[1].contents[:2] == ['Write {"json": 10}.', 'soup, called "soup", 10 of it for $5']
    assert desk.asked[1].contents[3].startswith("No, soup: not JSON")
    assert bank.provenance["prompt"] == 'Write {"json": $count}.\n$words, called "$label", $count of it for $$5'


def test_a_label_of_braces_and_dollars_is_taken_as_it_is(desk: Desk) -> None:
    label = "{0} $count ${label} %s \\ /"
    desk.play(completion("no"))
    assert desk.write(label).labels == (label,)
    assert all(f'called "{label}" in the data' in asked.contents[1] for asked in desk.asked)
    assert f'Answer again for "{label}"' in desk.asked[1].contents[3]


@pytest.mark.parametrize("name", ["system.txt", "arm-leg.txt", "retry.txt"])
def test_a_folder_without_one_of_the_prompts_is_refused_by_the_file(desk: Desk, tmp_path: Path, name: str) -> None:
    folder = prompts(tmp_path)
    (folder / name).unlink()
    with pytest.raises(BadInput, match=rf"{name}: No such file or directory; --prompts needs this file"):
        desk.write(prompts=folder)
    assert desk.asked == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("arm-leg.txt", "Give $count of it", r"lacks \$label"),
        ("arm-leg.txt", "Write of $label", r"lacks \$count"),
        ("retry.txt", "Again!", r"lacks \$error"),
        ("system.txt", "Be $kind", r"a \$ must begin one of \$label, \$words, \$count; write \$\$"),
        ("system.txt", "What $error", r"a \$ must begin one of"),
        ("arm-leg.txt", "$label $count for 5 $", r"a \$ must begin one of"),
    ],
)
def test_a_prompt_with_placeholders_that_do_not_fit_is_refused_by_the_file(
    desk: Desk, tmp_path: Path, name: str, text: str, told: str
) -> None:
    folder = prompts(tmp_path)
    (folder / name).write_text(text)
    with pytest.raises(BadInput, match=rf"{name}: {told}"):
        desk.write(prompts=folder)


def test_a_prompt_that_is_no_text_is_refused(desk: Desk, tmp_path: Path) -> None:
    folder = prompts(tmp_path)
    (folder / "system.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"system\.txt: is no UTF-8 text"):
        desk.write(prompts=folder)


def test_the_command_takes_the_key_from_the_environment_and_names_the_next_step(
    desk: Desk, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    desk.play()
    words = ["--out", desk.out, "--endpoint", desk.server.url, "--model", "small-model", "--count", "10"]
    ended = command(main, "write", "soup, tea", *words)
    assert ended.status == 0
    assert [asked.headers["authorization"] for asked in desk.asked] == [f"Bearer {KEY}"] * 2
    assert load_bank(desk.out).labels == ("soup", "tea")
    assert ended.out == ""
    assert ended.err.splitlines()[-1] == (
        f"next: read it, then mmvq-bank check {desk.out} and mmvq-bank embed {desk.out}"
    )
    assert KEY not in ended.err
