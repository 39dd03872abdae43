"""Events as a page is made of them, and the page taken apart."""

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mmvq_bridge.command import BadInput
from mmvq_run.report.cli import work

VOID = {"meta", "link", "br", "hr", "img", "input"}


def event(kind: str, t: float, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "type": kind, "t": t, **fields}


def session(**fields: Any) -> dict[str, Any]:
    return event("session", 0.0, **{"wall": "2026-11-22T10:00:00Z", "model": "tiny", "source": "test"} | fields)


def window(start: float, label: str = "walking", confidence: float = 0.9, **fields: Any) -> dict[str, Any]:
    """A window of 10 seconds."""
    more = {"unknown": False, "top": [[label, confidence]], "because": [], "patched": 0.1} | fields
    return event("window", start + 10, start=start, end=start + 10, label=label, confidence=confidence, **more)


def piece(words: str | None, contribution: float, codes: Sequence[int] = (17, 3, 40)) -> dict[str, Any]:
    return {"t": 1.0, "length": 1.0, "codes": list(codes), "sub_action": words, "p": 0.7, "contribution": contribution}


def started(t: float, label: str, onset: float) -> dict[str, Any]:
    return event("activity", t, phase="start", label=label, onset=onset)


def ended(t: float, label: str, onset: float) -> dict[str, Any]:
    return event("activity", t, phase="end", label=label, onset=onset, duration=t - onset)


def end(t: float, bad_frames: int = 0) -> dict[str, Any]:
    return event("end", t, windows=0, lost=0, bad_frames=bad_frames)


def written(folder: Path, *events: dict[str, Any] | str) -> Path:
    """A file of events; texts are lines as they stand."""
    path = folder / "day.jsonl"
    lines = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) + "\n" for one in events]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def page_of(folder: Path, *events: dict[str, Any] | str) -> "Page":
    path = written(folder, *events)
    assert work([str(path)]) == 0
    return Page(path.with_suffix(".html").read_text(encoding="utf-8"))


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        work([str(path)])
    assert not path.with_suffix(".html").exists()
    return str(refused.value)


class Page(HTMLParser):
    """A page taken apart; fails on tags that do not close in order, and on anything that would be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.ids: list[str] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert len(values) == len(attrs), f"<{tag}> has an attribute twice"
        assert "src" not in values and (values.get("href") or "#").startswith("#")
        self.ids += [str(values["id"])] if "id" in values else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open and "script" not in self._open:
            self._text.append(data)

    @property
    def text(self) -> str:
        """What can be read, with plain spaces."""
        return " ".join("".join(self._text).replace("\u202f", " ").split())

    def rows(self, css: str) -> list[list[str]]:
        """The cells of a table's body."""
        table = re.search(rf'<table class="{css}">.*?<tbody>(.*?)</tbody>', self.html, re.S)
        assert table, css
        plain = [re.sub(r"<[^>]*>", "", cell).replace("\u202f", " ") for cell in re.split(r"</t[hd]>", table[1])]
        rows, row = [], []
        for cell, source in zip(plain, re.split(r"</t[hd]>", table[1]), strict=True):
            if "<tr>" in source and row:
                rows.append(row)
                row = []
            row.append(cell)
        return [*rows, row[:-1] or row]

    @property
    def entries(self) -> list[str]:
        """The lines of activities, in their order."""
        found = re.findall(r"<summary>(.*?)</summary>", self.html[self.html.index('id="activities"') :], re.S)
        return [" ".join(re.sub(r"<[^>]*>", "", one).replace("\u202f", " ").split()) for one in found]

    def body(self, place: int) -> "Page":
        """What an entry holds."""
        start = self.html.index(f'id="e{place}">') + len(f'id="e{place}">')
        return Page(self.html[start : self.html.index("</div></details>", start)])
