"""The student as an ONNX graph: one input, the named outputs of DESIGN 3.5, nothing of this machine in it."""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Final, Literal

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmvq_export.packed import Packed
from mmvq_train.codebook.model import attribute_inputs
from mmvq_train.student.model import Student

OPSET: Final = 20  # the contract's ceiling
OUTPUTS: Final = (
    "probabilities", "unknown_score", "codes", "margins", "attributes", "contributions", "sub_actions",
)  # fmt: skip
Batch = int | Literal["dynamic"]


class Deployed(nn.Module):
    """accel (B, window, 3) in g -> the published outputs. Probabilities come from the very contributions published."""

    bias: Tensor
    temperature: Tensor

    def __init__(self, student: Student, twice: bool = False) -> None:
        """twice: as `Packed` has it."""
        super().__init__()
        self.student = student
        self.networks = Packed(student, twice)
        self.register_buffer("bias", student.bias.detach().clone())
        self.register_buffer("temperature", student.temperature.clone())

    def forward(self, accel: Tensor) -> tuple[Tensor, ...]:
        """In the order of OUTPUTS."""
        pieces = self.student.pieces.joined(accel)
        _, codes, margins = self.student.locate(pieces.shape)
        contributions, actions = self.networks(codes, attribute_inputs(pieces))
        sums = self.student.by_length(contributions)
        logits = sums.sum(1) + self.bias
        return (
            F.softmax(logits / self.temperature, dim=-1),
            self.student.unlikeness(sums),
            codes + self.networks.first_code,
            margins,
            self.student.attributes(pieces),
            contributions,
            F.softmax(actions, dim=-1),
        )


def trace(deployed: Deployed, batch: Batch = 1) -> onnx.ModelProto:
    """Trace by torch.onnx; drop stack traces and paths."""
    count = 2 if batch == "dynamic" else batch
    example = torch.zeros(count, deployed.student.layout.window, 3)
    dynamic = {"accel": {0: torch.export.Dim("batch")}} if batch == "dynamic" else None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.export warns of its own deprecations; a failure still raises
        path = Path(folder) / "traced.onnx"
        torch.onnx.export(
            deployed, (example,), str(path), input_names=["accel"], output_names=list(OUTPUTS),
            opset_version=OPSET, dynamic_shapes=dynamic, external_data=False, dynamo=True, verbose=False,
        )
        model = onnx.load(str(path))
    strip(model)
    return model


def strip(model: onnx.ModelProto) -> None:
    """Remove what names files, people and tools of this machine, and value_info that quantisers stumble over."""
    model.doc_string = ""
    model.producer_name, model.producer_version = "mmvq", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string, graph.name = "", "mmvq_student"
    del graph.value_info[:]
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.functions[:]
