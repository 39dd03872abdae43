"""Arrays that are slow to make, kept on disk for the next run: one file each, named by what it was made from.

The name is a digest of the data and of all that decides the result, so a file is never out of date. It is written
whole or not at all: of two runs that make the same at once, both write the same and the later stays. The folder may be
deleted at any time.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmvq_bridge.command import say
from mmvq_bridge.files import atomic


def kept(
    folder: Path | None,
    name: str,
    settings: Mapping[str, Any],
    data: npt.NDArray[Any],
    make: Callable[[], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    """`make()`, or what an earlier call with this name, settings (JSON) and data gave; no folder keeps nothing.

    A file that cannot be read is made anew. One that cannot be written (a full disk) is told and done without.
    """
    if folder is None:
        return make()
    path = folder / f"{name}-{_digest(settings, data)}.npy"
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError) as error:
        say(f"{path}: cannot be read ({error}); made anew")
    made = make()
    try:
        with atomic(path) as part:
            np.save(part, made, allow_pickle=False)
    except OSError as error:
        say(f"{path}: cannot be kept ({error}); going on without, the next run makes it again")
    return made


def _digest(settings: Mapping[str, Any], data: npt.NDArray[Any]) -> str:
    about = json.dumps({"settings": settings, "shape": data.shape, "type": data.dtype.str}, sort_keys=True)
    found = hashlib.sha256(about.encode())
    found.update(np.ascontiguousarray(data).data)
    return found.hexdigest()[:32]
