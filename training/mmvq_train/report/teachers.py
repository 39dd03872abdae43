"""Student and teachers side by side, drawn: coefficients, confusions, likeness of windows, what disturbances cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from markupsafe import Markup

from mmvq_train.compare import DISTURBANCES, DISTURBED_WINDOWS, Compared
from mmvq_train.drawings import abridged, heat_map, hue, texture, trends

Points = Sequence[tuple[float, float]]


def side_by_side(
    compared: Mapping[str, Compared], labels: Sequence[str], logged: Mapping[str, Points]
) -> dict[str, Any]:
    """What the page shows of `compared`, student first. logged: what the student's training noted, by epoch."""
    counts = torch.bincount(compared["student"].of, minlength=len(labels)).tolist()
    groups = [(abridged(label), count) for label, count in zip(labels, counts, strict=True) if count]
    colours = {name: hue(i, len(compared)) for i, name in enumerate(compared)}
    teachers = [name for name in compared if name != "student"]
    alphas = [
        (name, colours[name], logged[f"alpha_{i}"]) for i, name in enumerate(teachers) if f"alpha_{i}" in logged
    ]
    return {
        "windows": DISTURBED_WINDOWS,
        "alphas": trends(alphas, "What each teacher counts, over the epochs", (0.0, 1.0)) if alphas else None,
        "disturbed": [(kind, unit, _trend(kind, compared, colours)) for kind, (_, _, unit) in DISTURBANCES.items()],
        "likeness": [(name, texture(one.likeness, groups, f"Windows alike to {name}"))
                     for name, one in compared.items()],
        "confusions": [(name, heat_map(compared[name].accuracy["confusion"], labels, f"Confusion matrix of {name}"))
                       for name in teachers],
    }


def _trend(kind: str, compared: Mapping[str, Compared], colours: Mapping[str, str]) -> Markup:
    lines = [(name, colours[name], sorted(one.disturbed[kind].items())) for name, one in compared.items()]
    return trends(lines, f"Macro-F1 under {kind}", (0.0, 1.0))
