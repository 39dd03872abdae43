"""Embeddings in two dimensions, to look at. Three ways, as each shows something else and none shows all.

PCA keeps the two directions of most variance (distances mean something, groups may overlap); t-SNE and UMAP keep
neighbours together (groups mean something, distances between them do not).
"""

import warnings
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from mmvq_bridge.command import BadInput

NEIGHBOURS: Final = 15  # UMAP's and t-SNE's own defaults suit thousands of points; a bank has a hundred
Rows = npt.NDArray[np.float32]


def flatten(rows: Rows, seed: int = 0) -> dict[str, Rows]:
    """Rows (n, D) of length 1, n at least 5, as (n, 2) by PCA, t-SNE and UMAP; the same rows give the same pictures.

    Raises BadInput where umap-learn is missing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import warns of tensorflow, which nothing here needs
            from umap import UMAP
    except ImportError as error:
        raise BadInput(f"the report's pictures need umap-learn ({error}); pip install 'mmvq[bank]'") from None
    near = min(NEIGHBOURS, len(rows) - 2)
    tsne = TSNE(2, perplexity=near, metric="cosine", init="random", random_state=seed)
    # n_jobs=1 as with a seed it is anyhow, and says so at length.
    umap = UMAP(n_neighbors=near, metric="cosine", init="random", random_state=seed, n_jobs=1)
    with threadpool_limits(1):  # for so few rows, threads wait for one another more than they work
        return {
            "PCA": PCA(2, random_state=seed).fit_transform(rows),
            "t-SNE": tsne.fit_transform(rows),
            "UMAP": np.asarray(umap.fit_transform(rows)),
        }
