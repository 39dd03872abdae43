"""What CSV lines tell of time and losses; they have neither numbers nor checksums."""

from typing import Final

import numpy as np

from mmvq_bridge.doctor.heard import Floats, Lines
from mmvq_bridge.doctor.timing import SURE, drift, jitter, low_rate, pace_of, wrong_pace
from mmvq_bridge.findings import Finding, Severity, counted, fault, fine, share, unknown, warning
from mmvq_bridge.stream.lines import LISTEN_S, LISTEN_SAMPLES, RATES_HZ, rate_of_arrivals, rate_of_times

FEW: Final = 0.001  # of lines: more that are none are no accident
GAP_STEPS: Final = 1.5  # of the usual step: one line is missing
MS: Final = 1.0  # t_ms in whole numbers is that far from the truth
UNEVEN: Final = 0.2  # of a step: a loop that also prints, or waits


def rate_of(lines: Lines) -> float:
    """Lines a second, by their own times or by arrival; 0 if it cannot be known."""
    if lines.t_ms is not None:
        return rate_of_times(lines.t_ms / 1000)
    if len(lines.arrival) < 3 or lines.arrival[-1] <= lines.arrival[0]:
        return 0.0
    return rate_of_arrivals(lines.arrival)[0]


def line_findings(lines: Lines) -> list[Finding]:
    """All that lines tell but the meaning of their numbers."""
    rate = rate_of(lines)
    if not rate:
        return [*_bad(lines), unknown("rate", "rate: too few lines, or t_ms stands still", "listen for longer")]
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        says = f"{rate:.4g} Hz, and mmvq-run takes {RATES_HZ[0]:g} to {RATES_HZ[1]:g}"
        return [*_bad(lines), fault("rate", says, "t_ms is in milliseconds, and a line is one sample")]
    timed = _by_arrival(lines) if lines.t_ms is None else _by_t_ms(lines, lines.t_ms, rate)
    return [*_bad(lines), *timed, *low_rate(rate)]


def _bad(lines: Lines) -> list[Finding]:
    strange = int((~np.isfinite(lines.xyz)).any(axis=1).sum())
    findings = []
    if strange:
        says = f"{counted(strange, 'line')} with nan or inf"
        findings.append(fault("nan", says, "a division by zero, or a sensor that did not answer"))
    whole = len(lines.xyz) + len(lines.bad)
    if not lines.bad:
        return [*findings, fine("damaged", f"all {counted(whole, 'line')} are numbers")]
    quote = lines.bad[0].decode("ascii", "replace").strip()[:60]
    says = f"{counted(len(lines.bad), 'line')} of {whole:,} are none ({share(len(lines.bad), whole)}), first {quote!r}"
    severity = Severity.FAULT if len(lines.bad) > FEW * whole else Severity.WARNING
    do = "print nothing but samples; if they are torn, the line is too slow or its buffer too small"
    return [*findings, Finding("damaged", severity, says, do)]


def _by_arrival(lines: Lines) -> list[Finding]:
    rate, error = rate_of_arrivals(lines.arrival)
    says = f"{rate:.2f} ± {SURE * error:.2f} Hz by arrival"
    pace = pace_of(np.arange(len(lines.arrival)) / rate, lines.arrival)
    do = "print t_ms,x,y,z for exact times; without, nobody can tell a lost line from a late one"
    if len(lines.arrival) < LISTEN_SAMPLES or lines.arrival[-1] - lines.arrival[0] < LISTEN_S:
        do = f"listen for longer: a rate by arrival takes {LISTEN_S:g} s"
        return [unknown("rate", f"{says}, roughly", do), jitter(pace)]
    return [fine("rate", says, do), jitter(pace)]


def _by_t_ms(lines: Lines, t_ms: Floats, rate: float) -> list[Finding]:
    period_ms = 1000 / rate
    steps = np.diff(t_ms)
    back = np.flatnonzero(steps < 0)
    if len(back):
        says = f"t_ms ran backwards {counted(len(back), 'time')}, first from {t_ms[back[0]]:g} to {t_ms[back[0] + 1]:g}"
        do = "the board restarted, or its milliseconds overflow: look for crashes, print them as 32 bits unsigned"
        return [fault("reset", says, do)]
    if wrong := wrong_pace(t_ms / 1000, lines.arrival, "t_ms", {}):
        return wrong
    findings = [fine("rate", f"{rate:.2f} Hz by t_ms")]
    gaps = steps[steps > GAP_STEPS * period_ms + MS]
    if len(gaps):
        lost = int((np.rint(gaps / period_ms) - 1).sum())
        says = f"t_ms leaves out {counted(lost, 'line')} in {counted(len(gaps), 'place')}"
        do = "the loop waits for something, or lines are lost: print fewer digits, faster, or speak protocol 1"
        severity = Severity.FAULT if lost > FEW * len(t_ms) else Severity.WARNING
        findings.append(Finding("gaps", severity, says, do))
    uneven = np.percentile(np.abs(steps[steps <= GAP_STEPS * period_ms + MS] - period_ms), 95)
    if uneven > UNEVEN * period_ms + MS:
        says = f"steps of t_ms are uneven by {uneven:.1f} ms (95 %) of {period_ms:.1f}"
        findings.append(warning("uneven", says, "sample on a timer or data-ready, not after a delay"))
    pace = pace_of(t_ms / 1000, lines.arrival)
    return [*findings, drift(pace, float(t_ms[-1] - t_ms[0]) / 1000, "t_ms"), jitter(pace)]
