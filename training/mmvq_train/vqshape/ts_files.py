"""Pairs of `.ts` files: the archive gives training and test cases of a set apart."""

from pathlib import Path

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.ts_files import Cases, read_ts


def read_pair(train: Path) -> tuple[Cases, Cases]:
    """NAME_TRAIN.ts and the NAME_TEST.ts beside it. Raises BadInput where there is none, or one of another kind."""
    test = train.with_name(train.name.replace("_TRAIN.", "_TEST."))
    if test == train:
        raise BadInput(f"{train}: give the file whose name ends with _TRAIN.ts or _TRAIN.ts.gz")
    if not test.exists():
        raise BadInput(f"{test}: not there; the test cases belong beside {train.name}")
    first, second = read_ts(train), read_ts(test)
    if (first.labels, first.x.shape[1:]) != (second.labels, second.x.shape[1:]):
        raise BadInput(f"{test}: labels, dimensions or length differ from those of {train.name}")
    return first, second
