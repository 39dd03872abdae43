"""Edge Impulse's data acquisition format, as JSON or CBOR, and the `info.labels` of its exports.

    {"protected": {..}, "signature": "..",
     "payload": {"device_name": "..", "device_type": "..", "interval_ms": 16,
                 "sensors": [{"name": "accX", "units": "m/s2"}, ..], "values": [[-9.81, 0.03, 1.21], ..]}}

A file is a recording. Its label is the beginning of its name, up to the first dot, as Edge Impulse has it
(walking.json.2abc.json), unless an `info.labels` beside it or in a folder above says otherwise:

    {"version": 1, "files": [{"path": "training/walking.json.2abc.json", "category": "training",
                              "label": {"type": "label", "label": "walking"}}, ..]}

The type may be "unlabeled" as well, or "multi-label" with stretches in milliseconds. Signatures are not looked at.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.labels import Stretch, labelled, whole
from mmvq_bridge.importers.rows import columns_of_axes
from mmvq_bridge.importers.units import in_g
from mmvq_bridge.recordings import RATES_HZ, Floats, Recording, RecordingFile
from mmvq_bridge.stream.records import printable

INFO: Final = "info.labels"
UNITS: Final = {"m/s2": "ms2", "m/s^2": "ms2", "m/s²": "ms2", "g": "g", "mg": "counts:1000"}
CBOR_MAPS: Final = tuple(bytes([first]) for first in range(0xA0, 0xC0))  # what a map may begin with
NUMBERS: Final = (int, float)  # not bool, which is an int to Python
SHOWN: Final = 60  # characters of what a file holds that a message shows


def is_edge_impulse(head: bytes) -> bool:
    """Whether a file with these first bytes is one."""
    is_json = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    return b'"payload"' in head if is_json else head[:1] in CBOR_MAPS and b"\x67payload" in head


def by_name(path: Path) -> list[Stretch]:
    """The label that Edge Impulse reads from a file's name: what comes before the first dot, if anything does."""
    label = path.name.partition(".")[0].strip()
    return whole(label) if label else []


def read_edge_impulse(path: Path, units: str = "auto", stretches: Sequence[Stretch] | None = None) -> RecordingFile:
    """A file's recording. units: of acceleration, where the file names none that is known (a data forwarder does not);
    stretches: its labels by `read_info`, or None to label it by its name.

    BadInput for whatever is not as the format has it.
    """
    payload = _whole(path, "payload", dict)
    interval_ms, sensors = payload.get("interval_ms"), payload.get("sensors")
    if type(interval_ms) not in NUMBERS or not 1000 / RATES_HZ[1] <= interval_ms <= 1000 / RATES_HZ[0]:
        raise BadInput(f"{path}: interval_ms is {str(interval_ms)[:SHOWN]}; it lies between 0.1 and 1000")
    if not isinstance(sensors, list) or not all(isinstance(sensor, dict) for sensor in sensors):
        raise BadInput(f"{path}: sensors is no list of names and units; export it again")
    names = [str(sensor.get("name")) for sensor in sensors]
    axes = columns_of_axes(names)
    if axes is None:
        raise BadInput(f"{path}: no sensors accX, accY and accZ (it has {printable(', '.join(names))[:SHOWN]})")
    values = _values(payload.get("values"), len(sensors), path)[:, axes]
    told = {str(sensors[axis].get("units")).strip() for axis in axes}
    known = UNITS.get(told.pop()) if len(told) == 1 else None
    xyz, notices = in_g(values, known or units, path, lambda row: f"values[{row}]")
    t = np.arange(len(xyz)) * interval_ms / 1000
    recording = Recording(0, "", t, xyz.astype(np.float32), np.full(len(t), -1, np.int32))
    device = printable(" ".join(str(payload[key]) for key in ("device_type", "device_name") if key in payload)[:200])
    meta = {"mmvq.device": device} if device else {}
    rate_hz = float(f"{1000 / interval_ms:.5g}")
    file = RecordingFile(str(path), (recording,), (), rate_hz, True, meta, tuple(notices))
    return labelled(file, by_name(path) if stretches is None else stretches)


def read_info(folder: Path) -> dict[Path, list[Stretch]]:
    """What the `info.labels` in a folder says of each file: stretches with labels, none for an unlabelled file."""
    path = folder / INFO
    found = {}
    for number, entry in enumerate(_whole(path, "files", list), 1):
        try:
            found[(folder / entry["path"]).resolve()] = _stretches(entry["label"])
        except (KeyError, TypeError, ValueError):
            raise BadInput(f"{path}: file {number} of it has no path and label as an export has them") from None
    return found


def _stretches(label: Any) -> list[Stretch]:
    """KeyError, TypeError or ValueError if it is no label."""
    if isinstance(label, str):
        return whole(_text(label))
    kind = label["type"]
    if kind == "unlabeled":
        return []
    if kind == "multi-label":  # both ends are within: the next one starts a millisecond later
        return [
            Stretch(float(part["startIndex"]) / 1000, (float(part["endIndex"]) + 1) / 1000, _text(part["label"]))
            for part in label["labels"]
        ]
    if kind != "label":
        raise ValueError(kind)
    return whole(_text(label["label"]))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value.strip()


def _whole(path: Path, key: str, kind: type) -> Any:
    """The part `key` of a JSON or CBOR file, of type `kind`."""
    data = path.read_bytes()
    if data[:1] in CBOR_MAPS:
        found = _of_cbor(data, path)
    else:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: no whole JSON ({error}); export it again") from None
    part = found.get(key) if isinstance(found, Mapping) else None
    if not isinstance(part, kind):
        raise BadInput(f"{path}: it has no {key!r} as files of Edge Impulse have it; export it again")
    return part


def _of_cbor(data: bytes, path: Path) -> Any:
    try:
        import cbor2
    except ImportError:
        raise BadInput(f"{path}: CBOR; reading it needs cbor2: pip install 'mmvq[devices]'") from None
    try:
        return cbor2.loads(data)
    except cbor2.CBORDecodeError as error:
        raise BadInput(f"{path}: no whole CBOR ({error}); export it again") from None


def _values(values: Any, sensors: int, path: Path) -> Floats:
    """values as numbers (n, sensors)."""
    rows = values if isinstance(values, list) else []
    for number, row in enumerate(rows):
        numbers = isinstance(row, list) and all(type(value) in NUMBERS for value in row)
        if not numbers or len(row) != sensors:
            raise BadInput(f"{path}: values[{number}] is {str(row)[:SHOWN]}, not {sensors} numbers; export it again")
    if len(rows) < 2:
        raise BadInput(f"{path}: values holds no samples; export it again")
    try:
        return np.array(rows, np.float64)
    except OverflowError:
        raise BadInput(f"{path}: values has a number that is none of a sensor's; export it again") from None
