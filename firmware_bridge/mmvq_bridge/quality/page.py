"""A file's quality as a page: self-contained, no script, light and dark. Everything from the file is escaped. Pure."""

from html import escape
from string import Template
from typing import Final

from mmvq_bridge import __version__
from mmvq_bridge.findings import by_severity, counted
from mmvq_bridge.quality.figures import Quality
from mmvq_bridge.quality.findings import duration, judge, percent
from mmvq_bridge.quality.look import PAGE
from mmvq_bridge.quality.pictures import days, histogram, sphere

DASH: Final = "–"
Rows = list[tuple[str, str]]


def as_html(quality: Quality) -> str:
    """The page as HTML."""
    calibrated = quality.calibration.applies
    return Template(PAGE).substitute(
        file=escape(quality.name),
        head=escape(" · ".join(filter(None, [quality.name, quality.device, duration(quality.timing.seconds)]))),
        notices="".join(f"<p>{escape(notice)}</p>" for notice in quality.notices),
        findings=_findings(quality),
        days=days(quality),
        rest=_rest(quality),
        dots='<span class="before key">as measured</span>'
        + (' <span class="after key">calibrated</span>' if calibrated else ""),
        figures=_figures(quality),
        version=escape(__version__),
    )


def _findings(quality: Quality) -> str:
    rows = "".join(
        f'<tr class="{finding.severity}"><td>{finding.severity}</td><th scope="row">{escape(finding.kind)}</th>'
        f"<td>{escape(finding.says)}{finding.do and f'<br><em>{escape(finding.do)}</em>'}</td></tr>"
        for finding in by_severity(judge(quality))
    )
    return f'<table class="findings">{rows}</table>'


def _rest(quality: Quality) -> str:
    if not quality.rest.points:
        return "<p>No window of 10 s is still, so there is nothing to draw.</p>"
    shown = f"{counted(len(quality.rest.points), 'point')} for {counted(quality.calibration.windows, 'still window')}"
    return f'<div class="sides">{sphere(quality)}</div><p class="quiet">{shown}</p>{histogram(quality)}'


def _figures(quality: Quality) -> str:
    timing, scale, found = quality.timing, quality.scale, quality.calibration
    rows: Rows = [
        ("recordings, samples", f"{timing.recordings}, {timing.samples:,}"),
        ("from first to last sample", f"{timing.seconds:,.1f} s"),
        (f"rate {'declared' if timing.declared else 'by most steps'}", f"{timing.nominal_hz:g} Hz"),
        ("rate by the clock", _number(timing.true_hz, "Hz", 3)),
        ("slowest and fastest minute", f"{_number(timing.slowest_hz, 'Hz', 2)}, {_number(timing.fastest_hz, 'Hz', 2)}"),
        ("gaps, longest, missing", f"{timing.gaps}, {timing.longest_gap_s:,.1f} s, {timing.missing_s:,.1f} s"),
        ("samples at the time before", f"{timing.repeated:,}"),
        ("gravity at rest, median", _number(scale.gravity, "", 4)),
        ("still windows of 10 s, in", f"{found.windows:,}, {found.hours:g} h"),
        ("error at rest before, after", f"{_number(found.before_mg, 'mg', 2)}, {_number(found.after_mg, 'mg', 2)}"),
        ("calibration applies", "yes" if found.applies else f"no: {found.why_not}"),
        ("not worn", DASH if quality.not_worn_s is None else duration(quality.not_worn_s)),
        ("ENMO, mean but where not worn", _number(quality.movement_mg, "mg", 1)),
    ]
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    axes = "".join(
        f'<tr><th scope="row">{axis.name}</th><td>{axis.low:.3f}</td><td>{axis.high:.3f}</td>'
        f"<td>{percent(axis.clipped)}</td><td>{axis.longest_run}</td>"
        f"<td>{_number(None if axis.step is None else 1000 * axis.step, 'mg', 3)}</td>"
        f"<td>{gain:.5f}</td><td>{1000 * offset:+.2f} mg</td></tr>"
        for axis, gain, offset in zip(scale.axes, found.gain, found.offset, strict=True)
    )
    head = ("axis", "lowest", "highest", "at an end", "in a row", "step", "gain", "offset")
    heads = "".join(f"<th>{name}</th>" for name in head)
    return (
        f'<div class="scroll"><table>{body}</table></div>'
        f'<div class="scroll"><table class="axes"><thead><tr>{heads}</tr></thead>{axes}</table></div>'
    )


def _number(value: float | None, unit: str, digits: int) -> str:
    return DASH if value is None else f"{value:.{digits}f} {unit}".strip()
