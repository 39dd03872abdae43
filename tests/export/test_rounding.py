"""Weights rounded to steps, so that what they say stays nearest to what they said."""

from pathlib import Path

import torch
from onnx import TensorProto

from mmvq_export.export import export_run
from mmvq_export.rounding import narrowed, rounded, seen, shifted
from mmvq_export.trace import Deployed
from mmvq_train.rundir import load_run


def test_weights_become_steps_that_say_nearly_the_same() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 8, 20)
    given = torch.randn(3, 500, 6) @ torch.randn(3, 6, 20) + 0.1 * torch.randn(3, 500, 20)  # channels that go together
    wanted = given @ weight.mT
    found = rounded(weight, given, wanted, 15)
    step = found.abs().amax(2, keepdim=True) / 15
    torch.testing.assert_close(found / step, (found / step).round(), atol=1e-3, rtol=0)
    plain = weight.abs().amax(2, keepdim=True) / 15
    off = [(given @ one.mT - wanted).square().mean() for one in (found, (weight / plain).round() * plain)]
    assert off[0] < off[1] / 3


def test_weights_make_up_for_features_that_are_rounded() -> None:
    torch.manual_seed(0)
    weight, true = torch.randn(1, 4, 10), torch.randn(1, 500, 10)
    given = seen(true, (-5, 5)) + 0.2 * true  # as if all were a fifth too large
    found = rounded(weight, given, true @ weight.mT, 127)
    off = [(given @ one.mT - true @ weight.mT).square().mean() for one in (found, weight)]
    assert off[0] < off[1] / 10


def test_a_channel_that_is_never_used_is_no_trouble() -> None:
    found = rounded(torch.zeros(1, 2, 3), torch.zeros(1, 5, 3), torch.zeros(1, 5, 2), 64)
    assert torch.equal(found, torch.zeros(1, 2, 3))


def test_values_have_one_of_256_steps_over_their_range() -> None:
    x = torch.linspace(-1, 3, 1000)
    assert len(seen(x, (-1, 3)).unique()) == 256
    assert float((seen(x, (-1, 3)) - x).abs().max()) <= 4 / 255 * 0.5001
    assert float(seen(x, (-1, 1)).max()) <= 1.01
    assert torch.equal(seen(torch.zeros(4), (0, 0)), torch.zeros(4))


def test_a_few_large_values_do_not_take_the_steps_of_all_others() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(10_000, 4), torch.randn(4, 3)
    assert narrowed(x.clamp(-2, 2), lambda v: v @ weight) == (-2, 2)
    x[:5] *= 4
    low, high = narrowed(x, lambda v: v @ weight)
    assert low > x.min() or high < x.max()
    whole = float(x.min()), float(x.max())
    off = [((seen(x, within) - x) @ weight).square().mean() for within in ((low, high), whole)]
    assert off[0] < off[1]


def test_attributes_that_are_read_twice_are_rounded_half_as_much(tiny_run: Path) -> None:
    run = load_run(tiny_run)
    deployed = Deployed(run.student, twice=True).eval()
    packed, x = deployed.networks, torch.from_numpy(run.calibration["x"])
    tokens = run.student.tokens(run.student.pieces.joined(x))
    with torch.no_grad():
        packed.table.zero_()  # what is looked up is read once
        true, within = packed.first(packed.features(*tokens)), (-4.0, 4.0)
        once = packed.first(seen(packed.features(*tokens), within))
        twice = packed.first(seen(shifted(packed, tokens, within), within))
        assert float((twice - once).mean().abs()) < 1e-3  # the bias takes the shift back
        assert (twice - true).square().mean() < 0.4 * (once - true).square().mean()


def test_an_int8_file_looks_codes_up_in_bytes_that_the_first_layer_reads(tiny_run: Path) -> None:
    model = export_run(tiny_run, "int8", "x86", 1).model
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    source = {node.output[0]: node for node in model.graph.node}
    given = (source.get(node.input[0]) for node in model.graph.node if node.op_type == "Conv")
    first = next(node for node in given if node is not None and node.op_type == "DequantizeLinear")
    passed, names = list[str](), [first.input[0]]
    while names:
        name = names.pop()
        if name in source and source[name].op_type != "QuantizeLinear":
            passed.append(source[name].op_type)
            names.extend(source[name].input if source[name].op_type == "Concat" else source[name].input[:1])
        elif name in kinds:
            assert kinds[name] == TensorProto.UINT8
            passed.append("table")
    assert "table" in passed and "Concat" in passed
    assert not set(passed) & {"DequantizeLinear", "QuantizeLinear"}
