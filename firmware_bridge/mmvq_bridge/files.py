"""Files that are either whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it there on success, remove it on failure.

    with atomic("model.onnx") as part:
        part.write_bytes(data)
    """
    import tempfile  # a megabyte of code that only those who write have need of

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: numpy and others choose a format by it.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
