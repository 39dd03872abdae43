"""What the runtime promises of any file that it is given, and true files to begin with; see bridge_promises.py."""

import io
import json
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import tiny_model
from stream_promises import talks, tiny
from wearing import capture, play

sys.path.insert(0, str(Path(__file__).parent.parent / "bridge"))

from bridge_promises import Target, wires, written

from mmvq_bridge.command import BadInput, Failed
from mmvq_bridge.importers.device_file import GENEACTIV_CSV, read_device_file
from mmvq_bridge.recordings import LIMIT_G, RATES_HZ
from mmvq_bridge.stream.records import LONGEST_PAYLOAD, MAGIC, Kind, encode, parse_opening, read_capture
from mmvq_run.events import as_json
from mmvq_run.judge import parse_rules, read_rules
from mmvq_run.metadata import parse_metadata
from mmvq_run.model import PACKAGED, Model, read_verified
from mmvq_run.onnx_file import CHECKSUM, DIGITS, checksum, kinds, read_properties
from mmvq_run.report.read import EventFile
from mmvq_run.sources.content import LONGEST_HEADER, Content, tell, tell_pipe
from mmvq_run.sources.listener import LONGEST_TOKEN, read_token

DEMO: Final = PACKAGED.with_name("demo.mmvqcap")
LABELS: Final = tuple(tiny_model.LABELS)


def check_opening(data: bytes) -> None:
    """ValueError, or a source and a wall time that can be shown."""
    try:
        opening = parse_opening(data)
    except ValueError:
        return
    assert opening.source.isprintable()
    assert opening.wall is None or opening.wall[:2].isdigit()


def check_capture(data: bytes) -> None:
    """BadInput, or the very records that are there, in turn, as far as they are whole."""
    said: list[str] = []
    records = []
    try:
        for record in read_capture(io.BytesIO(data), "a capture", said.append):
            records.append(record)
    except BadInput:
        pass
    else:
        assert records or said
    assert data.startswith(b"".join(map(encode, records)))
    assert [record.host_ns for record in records] == sorted(record.host_ns for record in records)
    assert all(len(record.payload) <= LONGEST_PAYLOAD for record in records)
    assert not records or records[0].kind == Kind.OPENED


def check_content(data: bytes) -> None:
    """A kind of content, or BadInput; what comes bit by bit is known after a header's length at the latest."""
    content = None
    try:
        content = tell(data, "a file")
    except BadInput as error:
        assert "a file" in str(error)
    try:
        early = tell_pipe(data)
    except BadInput:
        assert content is Content.DEVICE
        return
    assert early is not None or len(data) < LONGEST_HEADER
    whole = b"\n" in data  # of a first line that is not whole, the pipe has to guess
    assert early in (content, None) or not whole or content in (Content.STREAM, None)


def check_device_csv(data: bytes) -> None:
    """BadInput, or a recording as its class says."""
    try:
        file = _of_file(read_device_file, GENEACTIV_CSV + data)
    except BadInput:
        return
    (recording,) = file.recordings
    assert RATES_HZ[0] <= file.rate_hz <= RATES_HZ[1]
    assert (np.diff(recording.t) >= 0).all()
    assert recording.xyz.shape == (len(recording.t), 3)
    assert np.abs(recording.xyz).max() <= LIMIT_G
    assert all(notice.isprintable() for notice in file.notices)


def check_onnx(data: bytes) -> None:
    """ValueError, or properties that stand where they are said to."""
    try:
        properties, found = read_properties(data), kinds(data)
    except ValueError:
        return
    assert all(isinstance(kind, str) for kind in found)
    for value, at in properties.values():
        assert data[at : at + len(value)] == value
        assert len(checksum(data, at)) == DIGITS


def check_metadata(data: bytes) -> None:
    """ValueError, or metadata of which every number is finite and every name can be shown."""
    try:
        found = parse_metadata(data)
    except ValueError:
        return
    curves = [value for shape in found.code_shapes for curve in shape for value in curve]
    numbers = (found.rate_hz, found.hop_s, found.temperature, found.unknown_threshold, *found.bias, *curves)
    assert all(map(math.isfinite, numbers))
    named = (found.name, *found.labels, *found.sub_actions, *found.code_views)
    assert all(name.isprintable() for name in named)
    assert len(found.bias) == len(found.labels)
    assert found.temperature > 0


def check_rules(data: bytes) -> None:
    """BadInput from a file, ValueError from an object; or durations that end, and leave not above enter."""
    try:
        rules = _of_file(lambda path: read_rules(path, LABELS), data)
    except BadInput:
        return
    assert rules == parse_rules(json.loads(data), LABELS)
    for label in LABELS:
        rule = rules.of(label)
        assert 0 <= rule.leave <= rule.enter <= 1
        assert all(math.isfinite(s) and s >= 0 for s in (rule.min_duration_s, rule.refractory_s))


def check_model(data: bytes) -> None:
    """BadInput, or the file's own bytes with a checksum that fits. Half of the files get a checksum that does."""
    if len(data) % 2:
        data = sealed(data)
    try:
        found, properties = _of_file(read_verified, data)
    except BadInput:
        return
    assert found == data
    digits, at = properties[CHECKSUM]
    assert digits.decode().lower() == checksum(data, at)


def check_graph(data: bytes) -> None:
    """BadInput, also where somebody has sealed the file with a checksum that fits; or a model that answers or fails."""
    try:
        model = _of_file(Model, sealed(data))
    except BadInput:
        return
    with suppress(Failed):
        assert np.isfinite(model.predict(np.ones((model.metadata.window, 3), np.float32)).probabilities).all()


def check_token(data: bytes) -> None:
    """BadInput, or hex digits that a wearable can send."""
    try:
        token = _of_file(read_token, data)
    except BadInput:
        return
    assert bytes.fromhex(token)
    assert token.isascii() and token == token.lower()
    assert len(token) <= LONGEST_TOKEN


def check_report(data: bytes) -> None:
    """BadInput, or events of the kinds that a report takes."""

    def read(path: str) -> None:
        file = EventFile(Path(path))
        for where, key, _ in file:
            assert where.startswith(path)
            assert all(part is None or isinstance(part, str) for part in key)

    try:
        _of_file(read, data)
    except BadInput:
        return


def sealed(data: bytes) -> bytes:
    """A model file with its checksum made right, if it has one."""
    try:
        digits, at = read_properties(data)[CHECKSUM]
    except (ValueError, KeyError):
        return data
    return data[:at] + checksum(data, at).encode() + data[at + DIGITS :] if len(digits) == DIGITS else data


def _of_file(read: Callable[[str], Any], data: bytes) -> Any:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        return read(str(path))


def device_csv() -> list[bytes]:
    """What a GENEActiv's software exports, behind its first words."""
    head = b",\nDevice Unique Serial Code,012345\nMeasurement Frequency,50.0 Hz\n" + b"a,b\n" * 96
    rows = (f"2023-06-01 10:00:{i // 50:02}:{i % 50 * 20:03},0.0122,-1.0139,0.{i:04},0,0,25.1\n" for i in range(60))
    return [head + "".join(rows).encode(), head]


def captures() -> list[bytes]:
    """Captures of all talks, and the start of the packaged one, without the magic."""
    demo = read_capture(io.BytesIO(DEMO.read_bytes()[len(MAGIC) :]), "demo", print)
    some = [record for record, _ in zip(demo, range(40), strict=False)]
    return [capture(told)[len(MAGIC) :] for told in [*(told[:40] for told in talks()), some]]


def metadata() -> list[bytes]:
    """The tiny model's, and the packaged model's with few codes."""
    packaged = json.loads(read_properties(PACKAGED.read_bytes())["mmvq"][0])
    packaged["codes"] = packaged["codes"][:2]
    return [json.dumps(some).encode() for some in (tiny_model.metadata(), packaged)]


def rules() -> list[bytes]:
    """What a person may want."""
    return [
        b"{}", json.dumps(tiny_model.metadata()["judge"]).encode(),
        b'{"enter": 0.6, "min_duration_s": 5, "activities": {"jogging": {"enter": 0.8, "refractory_s": 60}}}',
    ]  # fmt: skip


def told() -> list[bytes]:
    """Events of the talks, line by line, as they are and with what sinks and many wearables add."""
    kept = []
    for records in talks():
        events = play(tiny(), records, explain="top")
        kept.append("\n".join(map(as_json, events)))
        more = ({"id": f"{i}-a", **event, "device": "0abc", "recording": 3} for i, event in enumerate(events[:6]))
        kept.append("\n".join(map(as_json, more)) + "\n")
    return [text.encode() for text in kept]


TARGETS: Final = {
    "opening": Target(check_opening, lambda: [
        b'{"source": "/dev/ttyUSB0", "wall": "2026-11-22T10:00:00.5Z"}',
        b'{"source": "a", "wall": null, "arrival": false}',
    ]),
    "capture": Target(check_capture, captures),
    "content": Target(check_content, lambda: [
        *wires(), written(".csv"), written(".parquet"), *(MAGIC + told for told in captures()), b"1,2,3\n" * 9,
    ]),
    "device_csv": Target(check_device_csv, device_csv),
    "onnx": Target(check_onnx, lambda: [tiny_model.build()]),
    "metadata": Target(check_metadata, metadata),
    "model": Target(check_model, lambda: [tiny_model.build(), tiny_model.build() + b"\x08\x08"]),
    "graph": Target(check_graph, lambda: [tiny_model.build()]),
    "rules": Target(check_rules, rules),
    "token": Target(check_token, lambda: [b"c0ffee\n", b"C0FFEE", bytes(3)]),
    "report": Target(check_report, told),
}  # fmt: skip
