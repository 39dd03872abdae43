"""Ids of events, by which whoever receives one twice knows it again.

    5f3a9c01d2b4-17-9c1e22d0
    session      |  event          hex digits of SHA-256

session: of the stream's `session` event; 17: this is the stream's 17th event after it; event: of the event itself, so
that the same session told again with other options (a hop, more reasons) never passes for what was told before. A
replay of a capture gives the same ids as the live run; a number left out tells of an event that was lost.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from mmvq_run.events import Event, as_json

SESSION_DIGITS: Final = 12  # 48 bits: of a million sessions in one database, two meet with odds of 1 to 500
EVENT_DIGITS: Final = 8

Stream = tuple[str | None, int | None]  # device, recording: each has a session and a count of its own


@dataclass(frozen=True)
class Numbered:
    """An event as sinks keep it. line: its JSON with "id" first, UTF-8, no line feed; t: seconds of stream time."""

    id: str
    session: str
    device: str | None
    recording: int | None
    type: str
    t: float
    line: bytes


class Numbering:
    """Gives ids to the events of one run, in the order in which they are told."""

    def __init__(self) -> None:
        self._streams: dict[Stream, tuple[str, int]] = {}  # session's digits, events since

    def number(self, event: Event) -> Numbered:
        """The event with its id."""
        text = as_json(event)
        digest = sha256(text.encode()).hexdigest()
        device, recording = stream = event.get("device"), event.get("recording")
        if event["type"] == "session" or stream not in self._streams:
            self._streams[stream] = digest[:SESSION_DIGITS], 0
        session, number = self._streams[stream]
        self._streams[stream] = session, number + 1
        name = f"{session}-{number}-{digest[:EVENT_DIGITS]}"
        line = f'{{"id":"{name}",{text[1:]}'.encode()
        return Numbered(name, session, device, recording, event["type"], event["t"], line)
