"""The chat endpoint as `write` sees it: messages in, an answer or the reason why there is none out.

What waiting may cure (429, 5xx, timeouts, a lost connection) the openai client retries by itself, with growing pauses
and as the server asks; what it does not cure ends the run in one line. All that comes back is a stranger's text: it is
cut to a bearable length, and the key struck out of it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from mmvq_bridge.command import BadInput, Failed
from mmvq_train.text.journal import Scrub

RETRIES: Final = 5  # of one request; the client waits 0.5 s, 1 s, .. 8 s between them: a server has 15 s to come back
LONGEST_ANSWER: Final = 100_000  # characters; some forty times a right answer
QUOTED: Final = 8_000  # characters of a refused answer that go back with the error; more would crowd a small context
TOLD: Final = 300  # characters of an error message that quotes a stranger
NO_FORMAT: Final = (400, 422)  # how servers that know no response_format refuse it
REMEDIES: Final[Mapping[int, str]] = {
    401: "set OPENAI_API_KEY to a key of this endpoint",
    403: "this key may not do that; see what the endpoint allows it",
    404: "--model is not on the endpoint's list of models, or --endpoint has the wrong path (most end in /v1)",
    429: "wait until the endpoint's limit allows more, or raise it there",
}


class Reply(NamedTuple):
    """What came with HTTP 200. problem: why it is no answer at all; '' where `text` is one, be it good or bad."""

    text: str
    model: str
    finish_reason: str | None = None
    problem: str = ""


class Endpoint:
    """The chat endpoint. What waiting may cure, the client retries; what it does not cure ends the run with Failed."""

    def __init__(
        self, url: str, model: str, timeout_s: float, secret: str, scrub: Scrub, say: Callable[[str], None]
    ) -> None:
        self._url, self._model, self._timeout_s, self._scrub, self._say = url, model, timeout_s, scrub, say
        try:
            import openai

            self._client = openai.OpenAI(
                base_url=url,
                api_key=secret or "none",  # the client insists on one; servers without keys do not look at it
                timeout=timeout_s,
                max_retries=RETRIES,
            )
        except ImportError as error:  # also for a SOCKS proxy without its package
            raise BadInput(f"writing a bank needs the openai package ({error}); pip install 'mmvq[bank]'") from None
        except ValueError as error:
            raise BadInput(scrub(f"{url}: {error}; see also HTTP_PROXY and HTTPS_PROXY")) from None
        self._format: dict[str, Any] = {"response_format": {"type": "json_object"}}

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def ask(self, messages: list[dict[str, str]]) -> Reply:
        """One answer. Raises Failed for what no waiting cures."""
        import openai

        create = self._client.chat.completions.with_raw_response.create  # raw: no completion at all is a reply too
        try:
            raw = create(model=self._model, messages=cast(Any, messages), **self._format)
            return _reply(raw.text, self._model, self._scrub)
        except openai.APIStatusError as error:
            status, told = error.status_code, short(self._scrub(str(error)))
            if status not in NO_FORMAT or not self._format:
                other = "try again later" if status >= 500 else "see what the endpoint's manual says of it"
                raise self._failed(told, REMEDIES.get(status, other)) from None
        except openai.APITimeoutError:
            told = f"no answer within {self._timeout_s:g} s, {RETRIES + 1} times"
            raise self._failed(told, "give a longer --timeout-s or a smaller model") from None
        except openai.OpenAIError as error:
            told = f"no connection ({short(self._scrub(str(error.__cause__ or error)))})"
            raise self._failed(told, "is the server running, and --endpoint right?") from None
        self._format = {}
        self._say(f"the endpoint refused the request ({told}); asking without response_format from here on")
        return self.ask(messages)

    def _failed(self, told: str, remedy: str) -> Failed:
        return Failed(self._scrub(f"{self._url}: {told}; {remedy} (the answers so far are kept)"))


def _reply(body: str, asked: str, scrub: Scrub) -> Reply:
    """asked: the model that answered if the endpoint does not say."""
    quote = scrub(body)[:QUOTED]
    try:
        root = json.loads(body)
        choice = root["choices"][0]
        content = choice["message"]["content"]
        said, finish = root.get("model"), choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Reply(quote, asked, problem=f"HTTP 200 with no chat completion in it: {short(quote)}")
    model = short(scrub(said)) if isinstance(said, str) and said.strip() else asked
    finish = short(scrub(finish)) if isinstance(finish, str) else None
    if not isinstance(content, str) or not content.strip():
        return Reply(quote, model, finish, f"no content in the answer: {short(quote)}")
    text = scrub(content.encode(errors="replace").decode())  # half a surrogate pair could not be sent back
    return Reply(text[: LONGEST_ANSWER + 1], model, finish)


def is_base_url(text: str) -> bool:
    """Whether it is http(s)://HOST[:PORT]/PATH with nothing secret in it (no user, password or query)."""
    try:
        url = urlsplit(text)
        (url.hostname or "").encode("idna")
        whole = bool(url.hostname) and url.port != 0
    except ValueError:  # no port, no address, no name
        return False
    extras = url.username or url.password or url.query or url.fragment
    return whole and not extras and url.scheme in ("http", "https") and text.isprintable() and " " not in text


def short(text: str) -> str:
    """One line that is safe to print."""
    line = " ".join(text.split())[:TOLD]
    return "".join(sign if sign.isprintable() else "?" for sign in line)
