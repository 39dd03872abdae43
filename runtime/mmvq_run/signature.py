"""Who made a model file: an Ed25519 signature (RFC 8032) in its property `mmvq.signature`, 128 hex digits.

Signed are the file's bytes with the digits of signature and checksum replaced by zeros. Keys are PEM files as OpenSSL
writes them; the arithmetic is that of the package cryptography, which is needed only here.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from mmvq_bridge.command import BadInput
from mmvq_run.onnx_file import CHECKSUM, DIGITS

SIGNATURE: Final = "mmvq.signature"
SIGNATURE_DIGITS: Final = 128
LARGEST_KEY: Final = 1 << 16  # bytes of a PEM file


def verify(data: bytes, properties: dict[str, tuple[bytes, int]], key: str, path: str) -> None:
    """BadInput if the model file `path`, of bytes `data`, is not signed with the private half of the PEM file `key`."""
    cryptography_or_advice("--verify")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(read_pem(key, "--verify"))
    except ValueError:
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise BadInput(f"{key}: no Ed25519 public key; openssl pkey -in KEY -pubout writes one")
    if SIGNATURE not in properties:
        raise BadInput(f"{path}: not signed; sign it with mmvq-export --sign, or leave --verify out")
    said, at = properties[SIGNATURE]
    try:
        if len(said) != SIGNATURE_DIGITS:
            raise ValueError
        signed = data
        for start, digits in ((at, SIGNATURE_DIGITS), (properties[CHECKSUM][1], DIGITS)):
            signed = signed[:start] + b"0" * digits + signed[start + digits :]
        public.verify(bytes.fromhex(said.decode("ascii")), signed)
    except (InvalidSignature, ValueError):
        raise BadInput(f"{path}: its signature is not of {key}; use the file as its maker published it") from None


def cryptography_or_advice(option: str) -> None:
    """BadInput where the package is missing."""
    if find_spec("cryptography") is None:
        raise BadInput(f"{option} needs the package cryptography; pip install 'mmvq[sign]'")


def read_pem(path: str, option: str) -> bytes:
    """The file's bytes. BadInput if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_KEY)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give {option} a PEM file") from None
