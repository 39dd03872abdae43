"""What report.html maps: codes against wearers, activities and sub-actions, and evidence over time and length.

Numbers are of matrices.py, drawings of maps.py; here is what is shown, in which order, how dark, and in which words.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mmvq_train.drawings import number, percent
from mmvq_train.report.maps import SHADES, Panel, Row, cell_map, scale, shade_map, time_columns
from mmvq_train.report.matrices import Ints, Use, by_peak, evidence, meaning, shares, usage
from mmvq_train.report.reasons import Tested

MOST_WEARERS: Final = 24  # columns of a map: those with the most windows
FEWEST_PIECES: Final = 10  # that got a code, before what they are pieces of tells anything
LIFTS: Final = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0)  # times the average: where each of the shades begins
LONE: Final = 10  # columns that would fill a window, where a length has but one piece
TOLD: Final = 3  # sub-actions in a row's tooltip


def wearer_maps(t: Tested) -> dict[str, Any]:
    """Codes × wearers of every length: share of the wearer's pieces, most used code first."""
    wearers, group, windows = np.unique(t.windows.subject, return_inverse=True, return_counts=True)
    most = np.sort(np.argsort(-windows, kind="stable")[:MOST_WEARERS])
    names = [str(name) or "no name" for name in wearers[most]]
    uses = [Use(use.count[most]) for use in _usage(t, group, len(wearers))]
    top = max(float(use.share.max()) for use in uses)
    maps = []
    for i, use in enumerate(uses):
        users = (use.count > 0).sum(0)  # (K,)
        order = [k for k in np.argsort(-use.share.mean(0), kind="stable").tolist() if users[k]]
        rows = _rows(t, i, order, use.count.sum(0))
        told = [[f"code {row.index}, wearer {name}: {_counted(use, g, k)}" for g, name in enumerate(names)]
                for row, k in zip(rows, order, strict=True)]
        # A code that half of all pieces get would wash out the others: darkness is the root of the share.
        maps.append({
            "length": t.student.layout.called(i),
            "shown": len(order),
            "everyone": int((users == len(names)).sum()),
            "one": int((users == 1).sum()),
            "drawing": cell_map(np.sqrt(use.share.T[order] / top), rows, names, told, _title(t, i, "wearer")),
        })
    steps = [(d, percent(top * d * d, 1)) for d in (0.25, 0.5, 0.75, 1.0)]
    return {
        "maps": maps, "wearers": len(names), "all": len(wearers), "scale": scale(steps, "Share of a wearer's pieces"),
    }


def activity_maps(t: Tested) -> dict[str, Any]:
    """Codes × activities of every length: where a code is used, activities weighing the same; in order of the activity
    that uses a code most."""
    uses = _usage(t, t.windows.y.numpy(), len(t.labels))
    enough = [use.count.sum(0) >= FEWEST_PIECES for use in uses]
    top = _tenths(max((float(u.spread[e].max()) for u, e in zip(uses, enough, strict=True) if e.any()), default=1.0))
    maps = []
    for i, use in enumerate(uses):
        order = by_peak(use.spread, enough[i])
        rows = _rows(t, i, order, use.count.sum(0))
        told = [[f"code {row.index}, {label}: {_counted(use, c, k)}, {percent(float(use.spread[k, c]))} of the row"
                 for c, label in enumerate(t.labels)] for row, k in zip(rows, order, strict=True)]
        maps.append({
            "length": t.student.layout.called(i),
            "shown": len(order),
            "few": int((use.count.sum(0) > 0).sum()) - len(order),
            "drawing": cell_map(use.spread[order] / top, rows, t.labels, told, _title(t, i, "activity")),
        })
    steps = [(d, percent(top * d)) for d in (0.25, 0.5, 0.75, 1.0)]
    present = int(t.windows.y.unique().numel())
    return {"maps": maps, "even": 1 / present, "fewest": FEWEST_PIECES, "scale": scale(steps, "Share of a row")}


def sub_action_maps(t: Tested) -> dict[str, Any] | None:
    """Codes × sub-actions of every length: how many times likelier than in all pieces. None without text."""
    if not t.with_text:
        return None
    layout, actions = t.student.layout, len(t.entries)
    maps = []
    for i, m in enumerate(meaning(t.judged.codes, t.judged.sub_actions, layout.counts, t.student.size)):
        # What is rarer than by chance is no sub-action of the code, however large its lift.
        lift = np.where((m.probability >= 1 / actions) & (m.lift >= LIFTS[0]), m.lift, 0.0)
        order = by_peak(lift, m.pieces >= FEWEST_PIECES)
        level = np.digitize(lift[order], LIFTS)
        beyond = [
            [f"{j} {t.entries[j]}, {percent(float(m.probability[k, j]))}, {number(float(lift[k, j]), 1)} times"
             for j in np.argsort(-lift[k], kind="stable")[:TOLD] if lift[k, j] > 0]
            for k in order
        ]
        rows = _rows(t, i, order, m.pieces, ["; ".join(words) or "no sub-action above the average" for words in beyond])
        names = [t.codes[row.index].name for row in rows]
        tested = [(r, t.entries.index(name)) for r, name in enumerate(names) if name in t.entries]
        maps.append({
            "length": layout.called(i),
            "shown": len(order),
            "telling": int((level > 0).any(1).sum()),
            "drawing": shade_map(
                level, rows, [str(j) for j in range(actions)], t.entries, tested, _title(t, i, "sub-action")
            ),
        })
    steps = [((n + 1) / SHADES, f"{least:g} ×") for n, least in enumerate(LIFTS)]
    return {"maps": maps, "entries": t.entries, "least": LIFTS[0], "scale": scale(steps, "Times the average")}


def evidence_charts(t: Tested) -> dict[str, Any]:
    """Where the evidence for the said label lies: mean |contribution| by start and length, and each length's share."""
    layout = t.student.layout
    weight = evidence(t.judged.contributions, t.judged.logits.argmax(-1))
    spans = layout.spans_s().astype(float)
    bounds, seconds = np.cumsum(layout.counts)[:-1], layout.window / layout.rate_hz
    panels = []
    for i, (value, span) in enumerate(zip(np.split(weight, bounds), np.split(spans, bounds), strict=True)):
        name = layout.called(i)
        told = [f"{name} from {start:.1f} s: {number(float(v))}" for start, v in zip(span[:, 0], value, strict=True)]
        # A column reaches to the next; a lone piece, the whole window, still gets a column, not a wall.
        wide = float(np.diff(span[:, 0]).min(initial=min(span[0, 1], seconds / LONE)))
        panels.append(Panel(name, number(float(value.mean())), span[:, 0], wide, value, told))
    rows = [
        {"length": layout.called(i), "pieces": count, "share": float(share)}
        for i, (count, share) in enumerate(zip(layout.counts, shares(weight, layout.counts), strict=True))
    ]
    title = "Mean size of a contribution by start and length of its piece"
    return {"drawing": time_columns(panels, seconds, title), "rows": rows}


def _usage(t: Tested, group: Ints, groups: int) -> list[Use]:
    return usage(t.judged.codes, t.student.layout.counts, t.student.size, group.astype(np.int64), groups)


def _counted(use: Use, group: int, code: int) -> str:
    whole = use.pieces[group]
    return f"{use.count[group, code]} of {whole} pieces ({percent(float(use.share[group, code]), 1)})"


def _rows(t: Tested, length: int, order: Sequence[int], pieces: Ints, more: Sequence[str] = ()) -> list[Row]:
    """The codes `order` of a length as rows of a map; pieces (K,): how many got each code; more: for the tooltips."""
    out = []
    for n, k in enumerate(order):
        index = length * t.student.size + k
        told = f"code {index}, {t.codes[index].name or 'unnamed'}, {pieces[k]} pieces"
        out.append(Row(index, t.codes[index].shape, f"{told}: {more[n]}" if more else told))
    return out


def _title(t: Tested, length: int, columns: str) -> str:
    return f"Codes of {t.student.layout.called(length)} by {columns}"


def _tenths(share: float) -> float:
    """The next tenth, so that maps of several runs are shaded alike."""
    return max(0.1, math.ceil(10 * share - 1e-9) / 10)
