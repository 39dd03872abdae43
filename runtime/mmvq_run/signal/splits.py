"""Who trains and who tests: always whole subjects, so that nobody is on both sides."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmvq_bridge.command import BadInput


@dataclass(frozen=True)
class Split:
    """Subjects that train, that are held out of training for calibration, and that test."""

    train: tuple[str, ...]
    calibrate: tuple[str, ...]
    test: tuple[str, ...]


def subject_folds(subjects: Sequence[str], count: int = 5) -> dict[str, tuple[str, ...]]:
    """Subjects sorted by (length, name), dealt out in turn: fold = rank mod `count`."""
    ordered = sorted(set(subjects), key=lambda s: (len(s), s))
    return {str(k): tuple(ordered[k::count]) for k in range(min(count, len(ordered)))}


def load_folds(path: Path | str) -> dict[str, tuple[str, ...]]:
    """Read `{"folds": {"0": [subject, ...], ...}}`. Raises BadInput for anything else."""
    try:
        raw = json.loads(Path(path).read_text(encoding="utf-8"))
        folds = {str(k): tuple(str(s) for s in v) for k, v in raw["folds"].items()}
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}; give a split file or leave --split out") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f'{path}: not a split file; it holds {{"folds": {{"0": ["subject", ...], ...}}}}') from None
    seen: dict[str, str] = {}
    for fold, members in folds.items():
        for subject in members:
            if subject in seen:
                raise BadInput(f"{path}: subject {subject} is in folds {seen[subject]} and {fold}; one fold each")
            seen[subject] = fold
    return folds


def split_by_subject(folds: Mapping[str, Sequence[str]], fold: int, subjects: Sequence[str]) -> Split:
    """Fold `fold` tests; every eighth of the others (one at least) is held out for calibration.

    Subjects that no fold names are left out. With a single training subject nobody is held out (`calibrate` is
    empty). Raises BadInput if the fold is missing or a side would be empty.
    """
    if str(fold) not in folds:
        raise BadInput(f"fold {fold} is not in the split (it has {', '.join(sorted(folds))}); choose one with --fold")
    present = set(subjects)
    test = tuple(s for s in folds[str(fold)] if s in present)
    rest = [s for k in sorted(folds) if k != str(fold) for s in folds[k] if s in present]
    rest.sort(key=lambda s: (len(s), s))
    if not test or not rest:
        raise BadInput(
            f"fold {fold} leaves {len(rest)} subjects to train and {len(test)} to test, and each side needs one: "
            "check --split against the column subject"
        )
    calibrate = tuple(rest[4::8]) or tuple(rest[1:][-1:])
    return Split(tuple(s for s in rest if s not in calibrate), calibrate, test)
