"""What a file's figures mean, and what to do about them. Pure."""

from typing import Final

from mmvq_bridge.findings import Finding, Severity, by_severity, counted
from mmvq_bridge.quality.calibration import GOOD_MG
from mmvq_bridge.quality.figures import HOUR_S, Quality
from mmvq_bridge.quality.scale import AT_REST
from mmvq_bridge.quality.still import SHORT_S, STILL_G

OFF: Final = 0.05  # of the rate: true devices are up to 3 % off
UNSTEADY: Final = 0.03  # of the rate, between minutes
MUCH: Final = 0.01  # of the time missing, or of samples at one time
CLIPPED: Final = 0.001  # of the samples: once in a while a knock is expected
MOSTLY: Final = 0.5  # of the time not worn


def lines(quality: Quality) -> list[str]:
    """A line a finding for the terminal, the worst first."""
    return [
        f"{finding.severity:8} {finding.kind:11} {finding.says}{finding.do and '; ' + finding.do}"
        for finding in by_severity(judge(quality))
    ]


def judge(quality: Quality) -> list[Finding]:
    """All there are, also those that all is well."""
    every = [_rate, _gaps, _repeats, _unit, _dead, _range, _step, _calibration, _wear, _movement]
    return [finding for look in every for finding in look(quality)]


def duration(seconds: float) -> str:
    """As long as it is, in two units at most."""
    for unit, length, small, small_length in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        count, rest = divmod(round(seconds / small_length), length // small_length)
        if count:
            return f"{count} {unit} {rest} {small}" if rest else f"{count} {unit}"
    return f"{seconds:.1f} s"


def percent(share: float) -> str:
    """A share, small ones with more digits."""
    return f"{100 * share:.1f} %" if share >= 0.01 or share == 0 else f"{100 * share:.2g} %"


def _rate(quality: Quality) -> list[Finding]:
    timing = quality.timing
    said = f"{duration(timing.seconds)}, {timing.nominal_hz:g} Hz {'declared' if timing.declared else 'by most steps'}"
    if timing.true_hz is None:
        return [Finding("rate", Severity.UNKNOWN, f"{said}; too few samples to measure it")]
    said += f", {timing.true_hz:.2f} Hz by its clock"
    found = []
    off = timing.true_hz / timing.nominal_hz - 1
    if abs(off) > OFF:
        do = "times count here, and the rate does not: find out which of them is wrong"
        found.append(Finding("rate", Severity.WARNING, f"{said}: {100 * off:+.0f} %, and 3 % are usual", do))
    if timing.slowest_hz is not None and timing.fastest_hz is not None:
        between = f"between {timing.slowest_hz:.2f} and {timing.fastest_hz:.2f} Hz from minute to minute"
        if timing.fastest_hz - timing.slowest_hz > UNSTEADY * timing.true_hz:
            do = "samples are lost, or times were made up on arrival: let the device stamp them"
            found.append(Finding("rate", Severity.WARNING, f"{between}: unsteady", do))
        else:
            said += f", {between}"
    return found or [Finding("rate", Severity.FINE, said)]


def _gaps(quality: Quality) -> list[Finding]:
    timing = quality.timing
    if not timing.gaps:
        return [Finding("gaps", Severity.FINE, "nothing is missing")]
    missing = timing.missing_s / timing.seconds
    said = (
        f"{percent(missing)} of the time is missing, in {counted(timing.gaps, 'gap')}, the longest of "
        f"{duration(timing.longest_gap_s)}"
    )
    if missing <= MUCH:
        return [Finding("gaps", Severity.FINE, said)]
    return [Finding("gaps", Severity.WARNING, said, "windows that a gap touches are left out")]


def _repeats(quality: Quality) -> list[Finding]:
    share = quality.timing.repeated / quality.timing.samples
    if share <= MUCH:
        return []
    said = f"{percent(share)} of the samples have the time of the one before"
    return [Finding("rate", Severity.WARNING, said, "write times in milliseconds, with digits behind the point")]


def _unit(quality: Quality) -> list[Finding]:
    scale = quality.scale
    if scale.gravity is None:
        do = "lay the device down for some seconds and record again"
        return [Finding("unit", Severity.UNKNOWN, "it never rests for 1 s, so whether 1 g is 1 cannot be told", do)]
    said = f"{scale.gravity:.3f} at rest"
    if scale.is_g:
        return [Finding("unit", Severity.FINE, f"{said}, and 1 g is expected")]
    if quality.calibration.applies:
        return [Finding("unit", Severity.FINE, f"{said}, which calibration mends")]
    if scale.unit is None:
        do = "calibrate the device, or ask its maker; labels will be wrong"
        expected = f"{AT_REST[0]} to {AT_REST[1]} g"
        return [Finding("unit", Severity.FAULT, f"{said}, not {expected}, and no unit explains it", do)]
    one_g = f"{scale.unit.divisor:.6g}"
    do = f"divide by {one_g} (import CSV with --units counts:{one_g}); of a device file, see its range setting"
    return [Finding("unit", Severity.FAULT, f"{said}, not 1: {scale.unit.what}", do)]


def _dead(quality: Quality) -> list[Finding]:
    if quality.timing.seconds < SHORT_S:
        return []
    return [
        Finding("axis", Severity.FAULT, f"{axis.name} is {axis.low:g} throughout", "the sensor or its wiring is broken")
        for axis in quality.scale.axes
        if axis.dead
    ]


def _range(quality: Quality) -> list[Finding]:
    axes = quality.scale.axes
    clipped = [axis for axis in axes if axis.clipped > CLIPPED]
    if not clipped:
        said = ", ".join(f"{axis.name} {axis.low:.2f} to {axis.high:.2f}" for axis in axes)
        few = sum(axis.clipped for axis in axes)
        clips = f"at an end of that in {percent(few)} of the samples" if few else "nothing is clipped"
        return [Finding("range", Severity.FINE, f"{said}; {clips}")]
    said = ", ".join(
        f"{axis.name} is at an end of {axis.low:.2f} to {axis.high:.2f} in {percent(axis.clipped)} of the samples, "
        f"up to {axis.longest_run} in a row"
        for axis in clipped
    )
    return [Finding("range", Severity.WARNING, f"{said}: more was to be measured", "set the device to a larger range")]


def _step(quality: Quality) -> list[Finding]:
    steps = [axis.step for axis in quality.scale.axes if axis.step is not None]
    if not steps:
        return []
    # The deviation of what flickers between two steps is half of one: no rest is seen where that is over STILL_G.
    said = f"{1000 * max(steps):.3g} mg a step"
    if max(steps) / 2 <= STILL_G:
        return [Finding("resolution", Severity.FINE, said)]
    return [Finding("resolution", Severity.WARNING, f"{said}: rest is hardly seen", "set the device to a finer range")]


def _calibration(quality: Quality) -> list[Finding]:
    found = quality.calibration
    searched = f"{counted(found.windows, 'still window')} in {duration(HOUR_S * found.hours)}"
    if found.applies:
        gain = ", ".join(f"{value:.4f}" for value in found.gain)
        offset = ", ".join(f"{1000 * value:+.1f}" for value in found.offset)
        errors = f"error at rest {found.before_mg:.1f} mg, calibrated {found.after_mg:.1f} mg"
        return [Finding("calibration", Severity.FINE, f"{errors}: gain {gain}, offset {offset} mg ({searched})")]
    if found.before_mg is None or quality.scale.unit is not None:
        return [Finding("calibration", Severity.UNKNOWN, f"left as it is ({searched}): {found.why_not}")]
    said = f"left as it is, with an error at rest of {found.before_mg:.1f} mg ({searched}): {found.why_not}"
    return [Finding("calibration", Severity.FINE if found.before_mg < GOOD_MG else Severity.WARNING, said)]


def _wear(quality: Quality) -> list[Finding]:
    if quality.not_worn_s is None:
        return [Finding("wear", Severity.UNKNOWN, "an hour in one piece is needed to tell whether it was worn")]
    if quality.not_worn_s == 0:
        return [Finding("wear", Severity.FINE, "never lay still for an hour, as it does when not worn")]
    pieces = sum(len(one.not_worn) for one in quality.wearing)
    share = quality.not_worn_s / (quality.timing.seconds - quality.timing.missing_s)
    said = f"not worn for {duration(quality.not_worn_s)}, {percent(share)}, in {counted(pieces, 'piece')}"
    if share < MOSTLY:
        return [Finding("wear", Severity.FINE, said)]
    return [Finding("wear", Severity.WARNING, said, "there is little of a wearer in it")]


def _movement(quality: Quality) -> list[Finding]:
    mean = quality.movement_mg
    if mean is None or not quality.scale.is_g:
        return []
    over = "all minutes" if quality.not_worn_s is None else "the minutes that it was worn"
    return [Finding("movement", Severity.FINE, f"{mean:.1f} mg over 1 g (ENMO), the mean of {over}")]
