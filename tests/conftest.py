"""A small recording file cut from the embedded ones, one small finished run, and a browser for pages."""

import re
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmvq_bridge.recordings import Recording, RecordingFile, read_recordings, write_recordings

# A job in a script's background ignores Ctrl-C, and so would every command that it starts: tests that send it would
# wait in vain. With a handler of our own here, commands start with the default again.
signal.signal(signal.SIGINT, signal.default_int_handler)

PEOPLE = ("1600", "1601", "1602", "1603")
LABELS = ("clapping", "jogging", "sitting", "walking")
# A run of seconds: 4 s windows, few codes, narrow nets, images of 16 pixels.
TINY = shlex.split(
    "--window-s 4 --hop-s 2 --train-hop-s 1 --accelerator cpu --pieces.lengths-s 1 3 --pieces.hops-s 1.5 1 "
    "--pieces.views axes "
    "--codebook.size 8 --codebook.dim 4 --codebook.epochs 4 --codebook.batch 32 "
    "--teachers.epochs 1 --teachers.depth 10 --teachers.image 16 --teachers.cache None --workspace.dim 16 "
    "--student.epochs 12 --student.batch 32 --student.learning-rate 0.01 --student.width 128 --student.embedding 8 "
    "--student.mixed 0 --student.weight-decay 0.1"
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, and what it wrote."""

    status: int
    out: str
    err: str


def cut(people: Sequence[str] = PEOPLE, labels: Sequence[str] = LABELS) -> RecordingFile:
    """Some people and labels of the embedded recordings."""
    from mmvq_train.embedded import RECORDINGS

    whole = read_recordings(RECORDINGS)
    recordings = tuple(
        Recording(r.id, r.subject, r.t, r.xyz, r.label * 0 + labels.index(name))
        for r in whole.recordings
        if r.subject in people and (name := whole.labels[int(r.label[0])]) in labels
    )
    return RecordingFile("", recordings, tuple(labels), whole.rate_hz, True, whole.meta)


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people, four labels, a minute each."""
    path = tmp_path_factory.mktemp("data") / "small.parquet"
    write_recordings(path, cut())
    return path


@pytest.fixture(scope="session")
def tiny_run(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests leave it as it is."""
    from mmvq_train.cli import main

    out = tmp_path_factory.mktemp("runs") / "tiny"
    assert status(main, "--data", small_file, "--out", out, *TINY) == 0
    return out


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """A command's entry point in this process: command(main, words...) -> Ended."""

    def call(main: Callable[[Sequence[str]], int], *words: object) -> Ended:
        capfd.readouterr()
        code = status(main, *words)
        return Ended(code, *capfd.readouterr())

    return call


def status(main: Callable[[Sequence[str]], int], *words: object) -> int:
    """The exit status of an entry point; option parsers end by themselves."""
    try:
        return main([str(word) for word in words])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)


def lines(text: str) -> list[str]:
    """Lines of stderr without progress bars and colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.split("\n") if line and "\r" not in line]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium or google-chrome on the path to open the pages with")
    alone = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=alone)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Opens a page: itself, and what it asked for or complained of besides being opened."""
    pages = []

    def open_page(path: Path, width: int = 1280, **options: Any) -> tuple[Any, list[str]]:
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        pages.append(page)
        heard: list[str] = []
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url))
        page.goto(path.as_uri())
        heard.remove(path.as_uri())
        return page, heard

    yield open_page
    for page in pages:
        page.close()
