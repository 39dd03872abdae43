"""The text side of training: the bank of sub-actions, their embeddings, and the action codebook made from them."""

from mmvq_train.text.bank import (
    Activity,
    Bank,
    SubAction,
    auto_bank,
    check_labels,
    load_bank,
    resolve_bank,
    save_bank,
    shipped_bank,
    shipped_banks,
)
from mmvq_train.text.dedupe import ActionCodebook, Merged, build_action_codebook, checked_size, default_size
from mmvq_train.text.embed import (
    Embeddings,
    embed_bank,
    embeddings_beside,
    embeddings_for,
    embeddings_path,
    load_embeddings,
    save_embeddings,
)

__all__ = [
    "ActionCodebook",
    "Activity",
    "Bank",
    "Embeddings",
    "Merged",
    "SubAction",
    "auto_bank",
    "build_action_codebook",
    "check_labels",
    "checked_size",
    "default_size",
    "embed_bank",
    "embeddings_beside",
    "embeddings_for",
    "embeddings_path",
    "load_bank",
    "load_embeddings",
    "resolve_bank",
    "save_bank",
    "save_embeddings",
    "shipped_bank",
    "shipped_banks",
]
