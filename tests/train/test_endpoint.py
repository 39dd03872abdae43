"""The chat endpoint: what is waited out, what ends the run, and a key that goes nowhere."""

import json
import socket
import sys
import threading
import traceback

import pytest
from chat_desk import KEY, SOON, Desk, Server, Turn, activity, completion, failure, with_sub_action

from mmvq_bridge.command import BadInput, Failed
from mmvq_train.text.bank import load_bank

# What passes by waiting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        failure(429, "slow down", **{"Retry-After": "0.01"}),
        failure(500, "out of memory", **SOON),
        failure(503, "model is loading", **SOON),
        Turn("{}", wait_s=0.5),
        Turn(completion(activity()).body, cut=True),
    ],
    ids=["429", "500", "503", "timeout", "half an answer"],
)
def test_trouble_that_passes_is_waited_out_and_costs_no_attempt(desk: Desk, trouble: Turn) -> None:
    desk.play(trouble)
    desk.write(timeout_s=0.25, attempts=1)
    assert len(desk.asked) == 2
    assert desk.asked[0].body == desk.asked[1].body
    assert load_bank(desk.out).labels == ("soup",)


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (failure(429, "quota used up", **SOON), "quota used up.*wait until"),
        (failure(500, "out of memory", **SOON), "out of memory.*try again later"),
        (Turn("{}", wait_s=0.5), r"no answer within 0.25 s, 2 times; give a longer --timeout-s"),
    ],
    ids=["429", "500", "timeout"],
)
def test_trouble_that_stays_ends_the_run(desk: Desk, trouble: Turn, told: str) -> None:
    desk.play(trouble, trouble)
    with pytest.raises(Failed, match=told):
        desk.write("soup", "tea", timeout_s=0.25)
    assert len(desk.asked) == 2
    assert not desk.out.exists()


# Errors that do not pass -------------------------------------------------------------------------------------------


def test_an_endpoint_without_response_format_is_asked_without_it_from_then_on(desk: Desk) -> None:
    desk.play(failure(400, "response_format is not supported"))
    desk.write("soup", "tea", attempts=1)
    assert ["response_format" in asked.body for asked in desk.asked] == [True, False, False]
    assert "response_format is not supported" in desk.said[0]
    assert "asking without response_format" in desk.said[0]


def test_a_bad_request_that_is_not_about_response_format_ends_the_run(desk: Desk) -> None:
    desk.play(failure(400, "context is too long"), failure(400, "context is too long"))
    with pytest.raises(Failed, match="context is too long"):
        desk.write("soup", "tea")
    assert len(desk.asked) == 2


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "set OPENAI_API_KEY"), (403, "may not do that"), (404, "--model .* /v1"), (405, "manual")],
)
def test_an_error_that_waiting_does_not_cure_ends_the_run_at_once(desk: Desk, status: int, remedy: str) -> None:
    desk.play(completion(activity()), failure(status, "no such thing"))
    with pytest.raises(Failed, match=rf"{desk.server.url}: .*no such thing.*; .*{remedy}"):
        desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["soup", "tea"]
    assert desk.entries[1]["answer"] is None
    assert "no such thing" in desk.entries[1]["verdict"]
    assert not desk.out.exists()

    desk.play()
    desk.write("soup", "tea", "bread")
    assert [asked.label for asked in desk.asked] == ["tea", "bread"]


def test_where_nobody_listens_the_run_ends_and_asks_whether_the_server_runs(desk: Desk) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Failed, match=rf"127\.0\.0\.1:{port}/v1: no connection \(.*refused\); is the server running"):
        desk.write(endpoint=f"http://127.0.0.1:{port}/v1")


def test_without_the_openai_package_the_message_says_how_to_get_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(BadInput, match=r"needs the openai package .* pip install 'mmvq\[bank\]'"):
        desk.write()
    assert not desk.journal.exists()


# The key -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 252])  # the second has the cut of a long message fall into the key
@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_key_that_an_error_echoes_is_told_nowhere(
    desk: Desk, status: int, before: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = failure(status, "x" * before + " bad header '{authorization}'", **SOON)
    desk.play(echo, echo)
    with pytest.raises(Failed) as caught:
        desk.write()
    shown = "".join(traceback.format_exception(caught.value))
    for text in (shown, desk.journal.read_text(), *desk.said, caplog.text, *capfd.readouterr()):
        assert KEY[:8] not in text
    assert "bad header 'Bearer ***" in str(caught.value)


def test_a_key_that_an_answer_echoes_reaches_neither_bank_nor_journal_nor_the_next_question(desk: Desk) -> None:
    escaped = KEY.replace("/", "\\/")  # as PHP writes it
    desk.play(
        Turn("<html>{authorization}"),
        completion(f"what is {KEY}?", model=KEY),
        Turn(completion(activity(text=f"tea {KEY}"), model=KEY, finish_reason="length").body.replace(KEY, escaped)),
        completion(json.dumps(activity(text=f"soup {KEY}")).replace(KEY, escaped), model=KEY, finish_reason=KEY),
    )
    bank = desk.write()
    assert bank.activities[0].text == "soup ***"
    assert bank.provenance["model"] == "***"
    assert "what is ***?" in desk.asked[2].contents[2]
    for text in (desk.journal.read_text(), desk.out.read_text(), *desk.said):
        assert KEY not in text
        assert escaped not in text
    assert len(desk.asked) == 4


def test_a_redirect_to_another_server_does_not_take_the_key_along(desk: Desk) -> None:
    with Server() as other:
        thread = threading.Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        desk.play(Turn("", 307, {"Location": f"{other.url}/chat/completions"}))
        desk.write()
        other.shutdown()
        thread.join()
    assert "authorization" in desk.asked[0].headers
    assert "authorization" not in other.asked[0].headers


def test_a_placeholder_for_a_key_does_not_spoil_the_answers(desk: Desk) -> None:
    desk.play(completion(with_sub_action(0, arm="forearm extends")))
    assert desk.write(key="x").activities[0].sub_actions[0].arm == "forearm extends"


def test_without_a_key_the_endpoint_is_asked_all_the_same(desk: Desk) -> None:
    desk.write(key=None)
    assert desk.asked[0].headers["authorization"] == "Bearer none"


def test_a_key_with_a_line_break_at_its_end_is_taken_without(desk: Desk) -> None:
    desk.write(key=f"{KEY}\n")
    assert desk.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["no-real\nkey", "no-real-kéy"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(desk: Desk, key: str) -> None:
    with pytest.raises(BadInput, match="OPENAI_API_KEY has characters") as caught:
        desk.write(key=key)
    assert "no-real" not in str(caught.value)
