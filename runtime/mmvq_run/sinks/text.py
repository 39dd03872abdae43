"""Events as a person reads them.

12.0 s  walking 94 %, because wrist swings forward (4.2-5.3 s, +1.9); against it hand nearly still (8.0-9.0 s, -0.6)
"""

from typing import BinaryIO

from mmvq_run.events import Event


class TextLines:
    """One line an event, UTF-8, flushed at once."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, event: Event) -> None:
        """Write and flush a line."""
        self._out.write(as_text(event).encode() + b"\n")
        self._out.flush()


def as_text(event: Event) -> str:
    """The line of an event, without the line feed."""
    words = _WORDS[event["type"]](event)
    which = f"[{event['recording']}] " if "recording" in event else ""
    return f"{which}{event['t']:.1f} s  {words}"


def _session(event: Event) -> str:
    wall = f" from {event['wall']}" if event["wall"] else ""
    return f"session: {event['source']}{wall}, model {event['model']}"


def _device(event: Event) -> str:
    uid = f" {event['uid']}" if event["uid"] else ""
    rate = f", {event['rate_hz']:g} Hz" if event["rate_hz"] and event["state"] in ("connected", "reset") else ""
    return f"device{uid} {event['state']}{rate}"


def _gap(event: Event) -> str:
    return f"gap: {event['lost']} samples lost ({event['seconds']:.2f} s, {event['why']})"


def _window(event: Event) -> str:
    unknown = ", but unlike anything learnt" if event["unknown"] else ""
    patched = f", {event['patched']:.0%} patched" if "patched" in event else ""
    because = f", because {event['in_words']}" if "in_words" in event else ""
    return f"{event['label']} {event['confidence'] * 100:.0f} %{unknown}{patched}{because}"


def _activity(event: Event) -> str:
    if event["phase"] == "start":
        return f"** {event['label']} began at {event['onset']:.1f} s"
    return f"** {event['label']} ended after {event['duration']:.1f} s"


def _end(event: Event) -> str:
    return f"end: {event['windows']} windows, {event['lost']} samples lost, {event['bad_frames']} bad frames"


_WORDS = {
    "session": _session,
    "device": _device,
    "gap": _gap,
    "window": _window,
    "activity": _activity,
    "end": _end,
}
