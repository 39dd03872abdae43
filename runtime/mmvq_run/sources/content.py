"""What a file holds, told by its first bytes and never by its suffix. Pure."""

from enum import Enum
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_bridge.frames import Decoder
from mmvq_bridge.importers.device_file import DEVICE_FILES
from mmvq_bridge.recordings import is_recording_header
from mmvq_bridge.stream.records import MAGIC
from mmvq_bridge.stream.wire import columns_of_lines

HEAD: Final = 65_536  # bytes that are looked at
ACCEPTED: Final = (
    "captures of --record, protocol 1 frames, Parquet or CSV recordings, CSV lines (t_ms,)x,y,z, "
    "and files of GENEActiv, Axivity and ActiGraph devices"
)
LONGEST_HEADER: Final = 1000  # bytes of a CSV recording's first line


class Content(Enum):
    """What `mmvq-run` can read."""

    CAPTURE = "capture"
    RECORDING = "recording"
    STREAM = "stream"  # protocol frames or CSV lines
    DEVICE = "device"  # a file of DEVICE_FILES


def tell(head: bytes, path: str) -> Content:
    """The content by its first `HEAD` bytes. BadInput for what cannot be read; `path` serves the message."""
    if head.startswith(MAGIC):
        return Content.CAPTURE
    if head.startswith(b"PAR1") or is_recording_header(_first_line(head)):
        return Content.RECORDING
    if head.startswith(tuple(DEVICE_FILES)):
        return Content.DEVICE
    if Decoder().feed(head) or columns_of_lines(head + b"\n" * (len(head) < HEAD)):
        return Content.STREAM
    what = "empty" if not head else "neither a recording nor a stream"
    raise BadInput(f"{path}: {what}; mmvq-run reads {ACCEPTED}")


def tell_pipe(head: bytes) -> Content | None:
    """The content of what comes bit by bit, by what came so far; None while it may be several things.

    BadInput for a file of DEVICE_FILES: what reads those wants a file.
    """
    for magic, content in ((MAGIC, Content.CAPTURE), (b"PAR1", Content.RECORDING)):
        if head.startswith(magic):
            return content
        if magic.startswith(head):
            return None
    for magic, name in DEVICE_FILES.items():
        if head.startswith(magic):
            raise BadInput(f"stdin: {name}, which is read from a file only; give its path with --input")
        if magic.startswith(head):
            return None
    if is_recording_header(_first_line(head)) and b"\n" in head:
        return Content.RECORDING
    text = head.removeprefix(b"\xef\xbb\xbf")
    may_become_header = b"\n" not in head and len(head) < LONGEST_HEADER and text.isascii() and text[:1].isalpha()
    return None if may_become_header else Content.STREAM


def _first_line(head: bytes) -> str:
    return head.split(b"\n", 1)[0].decode("utf-8-sig", "replace")
