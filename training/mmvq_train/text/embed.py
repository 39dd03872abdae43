"""Sentence embeddings of a text bank, and the file that keeps them beside it.

    <bank>.safetensors: `rows` float32 (N, D), one a distinct text, of length 1;
    metadata["mmvq"], JSON: {"encoder": .., "text_sha256": .., "weights_sha256": .., "texts": [N]}

Rows are found by their text, so that the file of a bank serves any selection of its labels, and a bank whose text
was changed since is refused by the very text that is new. `mmvq-bank embed BANK` makes the file.

Training needs no encoder where such a file lies beside the bank. Without one it takes MiniLM if that is installed,
and else hashed character n-grams, which know spelling and no meaning; the encoder's name says which.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic
from mmvq_train.text.bank import Bank, TextKind, label_phrases
from mmvq_train.text.encoders import HASHED, MINILM, Rows, encode

METADATA: Final = "mmvq"
KEYS: Final = ("texts", "encoder", "text_sha256", "weights_sha256")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """rows: float32 (N, D) of length 1, one for each of the N distinct `texts`; weights_sha256: '' for an encoder that
    has no weights."""

    texts: tuple[str, ...]
    rows: Rows
    encoder: str
    weights_sha256: str

    @cached_property
    def _row(self) -> dict[str, int]:
        return {text: i for i, text in enumerate(self.texts)}

    def of(self, texts: Sequence[str]) -> Rows:
        """float32 (n, D): the rows of these texts, each of them one of the bank's."""
        return self.rows[[self._row[text] for text in texts]]

    def lacks(self, texts: Sequence[str]) -> str | None:
        """The first of these texts that has no row."""
        return next((text for text in texts if text not in self._row), None)


def embeddings_for(bank: Bank) -> tuple[Embeddings, str | None]:
    """The embeddings beside the bank's own file, or new ones that need no download; and a notice where those are not
    what one would expect. Raises as `embeddings_beside` does."""
    beside = embeddings_beside(bank)
    if beside is not None:
        return beside, None
    try:
        return embed_bank(bank, download=False), None
    except BadInput as error:
        return embed_bank(bank, HASHED), f"the bank is embedded by spelling alone ({HASHED}): {error}"


def label_embeddings(bank: Bank, embeddings: Embeddings, kinds: Sequence[TextKind]) -> Rows:
    """What says what an activity is: float32 (C, kinds, D), of every kind the mean of its texts. BadInput names an
    activity that has none of a kind."""
    return np.stack([
        [embeddings.of(texts).mean(axis=0) for texts in of_kind] for of_kind in label_phrases(bank, kinds)
    ])


def embeddings_beside(bank: Bank) -> Embeddings | None:
    """Those beside the bank's own file, if there are any. BadInput when they are damaged or made from other text."""
    path = embeddings_path(bank.source) if bank.source else None
    return load_embeddings(bank, path) if path is not None and path.exists() else None


def embed_bank(bank: Bank, encoder: str = MINILM, download: bool = True) -> Embeddings:
    """Embed all texts of a bank; encoder and download as `encode` takes them, and it raises what that does."""
    rows, name, weights_sha256 = encode(bank.texts, encoder, download)
    return Embeddings(bank.texts, rows, name, weights_sha256)


def load_embeddings(bank: Bank, path: Path | str) -> Embeddings:
    """Read the rows of this bank's texts. BadInput when the file is damaged or lacks a text of the bank."""
    remedy = f"make it anew: mmvq-bank embed {bank.source or bank.name}"
    try:
        with safe_open(str(path), framework="numpy") as file:
            meta = json.loads((file.metadata() or {})[METADATA])
            rows = file.get_tensor("rows")
        texts, encoder, text_sha256, weights_sha256 = (meta[key] for key in KEYS)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BadInput(f"{path}: not an embeddings file ({error}); {remedy}") from None
    if not isinstance(texts, list) or not _are_texts([*texts, encoder, text_sha256, weights_sha256]):
        raise BadInput(f"{path}: metadata must be texts; {remedy}")
    if rows.dtype != np.float32 or rows.ndim != 2 or len(rows) != len(texts):
        raise BadInput(f"{path}: 'rows' must be float32 with one row for each of its texts; {remedy}")
    if _text_sha256(texts) != text_sha256:
        raise BadInput(f"{path}: text_sha256 is not that of its texts; {remedy}")
    if not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3):  # also catches what is not finite
        raise BadInput(f"{path}: rows are not of length 1; {remedy}")
    found = Embeddings(tuple(texts), rows, encoder, weights_sha256)
    new = found.lacks(bank.texts)
    if new is not None:
        raise BadInput(f"{path}: stale, it was made from other text: the bank's {new!r} is not in it; {remedy}")
    return Embeddings(bank.texts, found.of(bank.texts), encoder, weights_sha256)


def save_embeddings(embeddings: Embeddings, path: Path | str) -> None:
    """Write the embeddings, whole or not at all; the same bank and encoder give the same bytes."""
    texts = embeddings.texts
    values = (list(texts), embeddings.encoder, _text_sha256(texts), embeddings.weights_sha256)
    # One key: safetensors writes several in an order that differs from time to time.
    meta = {METADATA: json.dumps(dict(zip(KEYS, values, strict=True)), ensure_ascii=False)}
    with atomic(path) as part:
        save_file({"rows": embeddings.rows}, str(part), metadata=meta)


def embeddings_path(bank_path: Path | str) -> Path:
    """Where the embeddings of a bank file lie: beside it, `.safetensors` instead of `.json`."""
    return Path(bank_path).with_suffix(".safetensors")


def _are_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _text_sha256(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts), ensure_ascii=False).encode()).hexdigest()
