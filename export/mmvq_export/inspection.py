"""A person's view of a model file: as text in the terminal, and as a page with every code drawn."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx

from mmvq_bridge.command import BadInput
from mmvq_export.anatomy import bytes_by_part, operations
from mmvq_export.metadata import check
from mmvq_run.model import Model, read_verified
from mmvq_run.signature import SIGNATURE
from mmvq_run.sketch import sparks
from mmvq_train.drawings import curves, percent, thumb_colours
from mmvq_train.pages import write_page

COLUMNS: Final = 100
UNNAMED: Final = "unnamed"


@dataclass(frozen=True)
class Inspected:
    """A model file that passed all checks of the runtime, and what it is made of.

    about: its metadata; batch: windows a call; parts: bytes; products, others: arithmetic of a call (`anatomy`);
    spans: start and length of every piece of a window in seconds (T, 2).
    """

    path: str
    about: dict[str, Any]
    size: int
    batch: int
    nodes: int
    parts: dict[str, int]
    products: int
    others: int
    spans: npt.NDArray[np.float32]
    signed: bool

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What there is to know before codes, by name."""
        a, count = self.about, len(self.about["labels"])
        seconds, by_length = a["window"] / a["rate_hz"], np.unique(self.spans[:, 1], return_counts=True)
        pieces = ", ".join(f"{n} of {length:g} s" for length, n in zip(*by_length, strict=True))
        return [
            ("model", f"{a['name']}, run {a['run']}"),
            ("file", f"{self.size / 1000:.1f} kB, {self.nodes} nodes, quantised: {a['quantization']}"),
            ("signature", "there; mmvq-run --verify KEY tells whose" if self.signed else "none"),
            ("input", f"{a['window']} samples at {a['rate_hz']:g} Hz ({seconds:g} s) of {', '.join(a['axes'])} in "
                      f"{a['units']}, every {a['hop_s']:g} s"
                      + (f"; {self.batch} windows a call" if self.batch > 1 else "")),
            ("pieces", f"{len(self.spans)} a window: {pieces}"),
            (f"{count} label{'' if count == 1 else 's'}", ", ".join(a["labels"])),
            ("unknown", f"if the score is over {a['unknown_threshold']:.3g}"),
            ("arithmetic", f"{self.products / 1e6:.2f} M operations in products, {self.others / 1e6:.2f} M numbers "
                           "written by all other nodes, a call"),
            *(("data", _data(one)) for one in a["data"]),
        ]

    @property
    def codes(self) -> list[tuple[str, list["Code"]]]:
        """By what they are of, in the file's order of these; most used first."""
        codes = [_code(index, one, self.about) for index, one in enumerate(self.about["codes"])]
        return [
            (of, sorted(some, key=lambda code: -code.usage)) for of, some in groupby(codes, key=lambda code: code.of)
        ]


@dataclass(frozen=True)
class Code:
    """One shape code: its number in the output `codes`, what pieces it is of, its curves, how much of these get it,
    its tested name or None, the likeliest sub-action and its share."""

    index: int
    of: str
    shape: Sequence[Sequence[float]]
    usage: float
    name: str | None
    likely: tuple[str, float] | None


def inspect(path: Path | str, key: str | None = None) -> Inspected:
    """Look into a model file. BadInput if the runtime would refuse it, or if its metadata do not keep the schema."""
    data, properties = read_verified(path, key)
    model = onnx.load_from_string(data)
    try:
        about = json.loads(properties["mmvq"][0])
        check(about)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: its metadata do not keep the schema ({error}); export it again") from None
    batch = next((given.type.tensor_type.shape.dim[0].dim_value for given in model.graph.input), 0) or 1
    still = np.zeros((batch, about["window"], 3), np.float32)
    still[..., 2] = 1
    if batch == 1:
        spans = Model(path, key).predict(still[0]).attributes[:, 0, :2]
    else:  # a server's, which the runtime does not take
        from mmvq_export.gates import run_file  # only now: it loads torch

        spans = run_file(data, still, batch)["attributes"][0, :, 0, :2]
    return Inspected(
        str(path), about, len(data), batch, len(model.graph.node), bytes_by_part(data), *operations(data), spans,
        SIGNATURE in properties,
    )


def told(found: Inspected) -> Iterator[str]:
    """Lines for a terminal."""
    for name, text in found.facts:
        yield fill(text, COLUMNS, initial_indent=f"{name:<12}", subsequent_indent=" " * 12)
    yield "\nWhat takes what, kB"
    for part, size in found.parts.items():
        yield f"  {size / 1000:7.1f}  {part}"
    yield "\nAgreement with the student in float, on held-out training people"
    for what, value in found.about["parity"].items():
        yield f"  {value:<12.5g} {what}" if isinstance(value, int | float) else f"  {what}: {', '.join(value)}"
    for of, codes in found.codes:
        yield f"\nCodes of {of}: number, shape, share of pieces, name or likeliest sub-action"
        for code in codes:
            words = code.name or UNNAMED
            if code.name is None and code.likely:
                words += f"; likeliest: {code.likely[0]} {percent(code.likely[1])}"
            yield f"  {code.index:>4}  {'  '.join(map(sparks, code.shape))}  {percent(code.usage, 1):>7}  {words}"


def write_inspection(found: Inspected, path: Path | str) -> None:
    """The same as a self-contained page."""
    most = max(found.parts.values())
    groups = [
        (of, [(code, curves(list(zip(code.shape, thumb_colours(len(code.shape)), strict=True)), f"Code {code.index}"))
              for code in codes])
        for of, codes in found.codes
    ]
    write_page(
        path, "model.html.j2", name=found.about["name"], facts=found.facts, parity=found.about["parity"], groups=groups,
        parts=[(part, f"{size / 1000:.1f} kB", size / most) for part, size in found.parts.items()],
    )


def _code(index: int, one: dict[str, Any], about: dict[str, Any]) -> Code:
    length = "any length" if one["length_s"] is None else f"{one['length_s']:g} s"
    of = f"{one['view']}, {length}" if "view" in one else length
    place, share = max(one["sub_actions"].items(), key=lambda item: item[1], default=("", 0.0))
    known = place != "" and share > 0 and int(place) < len(about["sub_actions"])
    likely = (about["sub_actions"][int(place)], share) if known else None
    return Code(index, of, one["shape"], one["usage"], one["name"], likely)


def _data(one: dict[str, Any]) -> str:
    return "; ".join(str(one[key]) for key in ("name", "citation", "licence") if one.get(key))
