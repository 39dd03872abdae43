"""All questions, asked in the order in which an answer makes sense."""

from mmvq_bridge.doctor.answers import answers
from mmvq_bridge.doctor.boots import boots
from mmvq_bridge.doctor.heard import Heard
from mmvq_bridge.doctor.lines import line_findings, rate_of
from mmvq_bridge.doctor.losses import losses
from mmvq_bridge.doctor.rest import rest
from mmvq_bridge.doctor.samples import LEAST, Measured, byte_order, measured, samples
from mmvq_bridge.doctor.speech import Line, speech
from mmvq_bridge.doctor.timing import MODEL_HZ, timing
from mmvq_bridge.findings import Finding, counted, fault, unknown


def examine(heard: Heard, line: Line, up: str | None = None) -> list[Finding]:
    """What can be said of a device by what was heard of it; `up` is the axis that pointed up, one of rest.AXES."""
    findings = [*speech(heard, line), *boots(heard)]
    if heard.lines is not None:
        rate = rate_of(heard.lines) or MODEL_HZ
        return [*findings, *line_findings(heard.lines), *_content(measured(heard, rate), up)]
    if heard.speaks != "frames":
        return findings
    findings += answers(heard)
    if not heard.frames:
        says = f"no DATA in {heard.seconds:.1f} s"
        do = "a device streams from boot: does the sensor answer, is it awake, is it read?"
        return [*findings, fault("data", says, do)]
    rate = heard.hello.rate_mhz / 1000 if heard.hello is not None else MODEL_HZ
    return [*findings, *losses(heard), *timing(heard), *_content(measured(heard, rate), up)]


def _content(of: Measured, up: str | None) -> list[Finding]:
    if len(of.values) < LEAST:
        says = f"{counted(len(of.values), 'sample')} are too few to judge axes, scale and noise"
        return [unknown("samples", says, "listen for longer")]
    if wrong := byte_order(of):  # of such samples nothing else can be said
        return wrong
    return [*samples(of), *rest(of, up)]
