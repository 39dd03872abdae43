"""What a model file says of itself: the JSON of DESIGN 3.5, a signature if asked for, the checksum over the whole file.

`metadata.schema.json` beside this file is the JSON as a schema, which nothing is written or shown without keeping.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import onnx

from mmvq_bridge.command import BadInput
from mmvq_run.signature import SIGNATURE, SIGNATURE_DIGITS, cryptography_or_advice, read_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mmvq_train.rundir import TrainedRun

SCHEMA: Final = json.loads((Path(__file__).parent / "metadata.schema.json").read_text(encoding="utf-8"))
ZEROS: Final = "0" * 64
# What the contract tells of a code: codes.json says more (the test behind its name), which no consumer asks for.
CODE: Final = ("shape", "length_s", "view", "usage", "sub_actions", "name")
# Enter at .6: more likely than everything else together, with a margin; leave .15 lower, as silero-vad does.
JUDGE: Final = {"enter": 0.6, "leave": 0.45, "min_duration_s": 5.0, "refractory_s": 0.0}


def describe(run: "TrainedRun", quantization: str, parity: dict[str, Any]) -> dict[str, Any]:
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


def check(about: dict[str, Any]) -> None:
    """ValueError, with the place, if the JSON does not keep the schema."""
    wrong = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(SCHEMA).iter_errors(about))
    if wrong is not None:
        raise ValueError(f"{wrong.json_path[2:] or 'it'}: {wrong.message[:160]}")


def private_key(path: str) -> "Ed25519PrivateKey":
    """Of a PEM file, as `openssl genpkey -algorithm ed25519` writes it. BadInput if it is none."""
    cryptography_or_advice("--sign")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_pem(path, "--sign"), password=None)
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{path}: no Ed25519 key without a passphrase; openssl genpkey -algorithm ed25519 makes one")
    return key


def seal(model: onnx.ModelProto, about: dict[str, Any], key: "Ed25519PrivateKey | None" = None) -> bytes:
    """The file's bytes: metadata set, signed if there is a key, then the SHA-256 of those bytes (its own digits zero).

    What is signed are the bytes with signature and checksum zero.
    """
    check(about)
    del model.metadata_props[:]
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    blank = {SIGNATURE: "0" * SIGNATURE_DIGITS} if key is not None else {}
    for name, value in {"mmvq": text, **blank, "mmvq.sha256": ZEROS}.items():
        model.metadata_props.add(key=name, value=value)
    data = model.SerializeToString(deterministic=True)
    if key is not None:
        signature = key.sign(data).hex().encode()
        place = data.rindex(blank[SIGNATURE].encode(), 0, data.rindex(b"mmvq.sha256"))
        data = data[:place] + signature + data[place + SIGNATURE_DIGITS :]
    place = data.rindex(ZEROS.encode())
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[:place] + digest + data[place + len(ZEROS) :]
