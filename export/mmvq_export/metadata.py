"""What a model file says of itself: the JSON of DESIGN 3.5 and the checksum over the whole file."""

import hashlib
import json
from typing import Any, Final

import onnx

from mmvq_train.rundir import TrainedRun

ZEROS: Final = "0" * 64
# What the contract tells of a code: codes.json says more (the test behind its name), which no consumer asks for.
CODE: Final = ("shape", "length_s", "view", "usage", "sub_actions", "name")
# Enter at .6: more likely than everything else together, with a margin; leave .15 lower, as silero-vad does.
JUDGE: Final = {"enter": 0.6, "leave": 0.45, "min_duration_s": 5.0, "refractory_s": 0.0}


def describe(run: TrainedRun, quantization: str, parity: dict[str, Any]) -> dict[str, Any]:
    """The property `mmvq`, as a dict."""
    config, student = run.config, run.student
    return {
        "schema": 1,
        "name": run.data["name"],
        "run": run.path.resolve().name,
        "labels": list(run.labels),
        "rate_hz": config.rate_hz,
        "window": config.window,
        "hop_s": config.hop,
        "units": "g",
        "axes": "xyz",
        "bias": student.bias.tolist(),
        "temperature": float(student.temperature),
        "unknown_threshold": float(student.threshold),
        "sub_actions": list(run.sub_actions),
        "codes": [_told(code) for code in run.codes],
        "judge": JUDGE,
        "data": [run.data],
        "quantization": quantization,
        "parity": parity,
    }


def _told(code: dict[str, Any]) -> dict[str, Any]:
    """Two decimals draw a shape; of 160 codes the third would be 5 kB."""
    curves = [[round(value, 2) for value in curve] for curve in code["shape"]]
    return {key: code[key] for key in CODE if key in code} | {"shape": curves}


def seal(model: onnx.ModelProto, about: dict[str, Any]) -> bytes:
    """The file's bytes: metadata set, then the SHA-256 of those bytes (its own digits zero) written into them."""
    del model.metadata_props[:]
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for key, value in (("mmvq", text), ("mmvq.sha256", ZEROS)):
        model.metadata_props.add(key=key, value=value)
    data = model.SerializeToString(deterministic=True)
    place = data.rindex(ZEROS.encode())
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[:place] + digest + data[place + len(ZEROS) :]
