"""Files read by the importers, and what tests look at in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmvq_bridge.importers.any_file import Options, find_sources, read_source
from mmvq_bridge.recordings import RecordingFile


def reader(folder: Path) -> Callable[..., RecordingFile]:
    """What a file with this content holds. Its name says nothing of the format unless a test gives one."""

    def read(content: str | bytes, name: str = "file.bin", **options: object) -> RecordingFile:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (source,), notices = find_sources([path], folder / "out.parquet")
        assert notices == []
        return read_source(source, Options(**options)).file

    return read


def labels_of(file: RecordingFile) -> list[str | None]:
    """The one label of each recording."""
    found = []
    for recording in file.recordings:
        (index,) = np.unique(recording.label)
        found.append(file.labels[index] if index >= 0 else None)
    return found


def times(file: RecordingFile) -> list[list[float]]:
    return [recording.t.tolist() for recording in file.recordings]
