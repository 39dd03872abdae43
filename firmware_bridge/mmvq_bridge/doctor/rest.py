"""What a device shows while it lies still: gravity, so its scale and which axis points up, and noise.

Still is a second in which no axis deviates by over 5 % of a g (or of what is measured, where that is more). A still
accelerometer measures 1 g along the axis that points up.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.doctor.samples import Measured, dead_axes, equal_axes
from mmvq_bridge.findings import Finding, fault, fine, unknown, warning
from mmvq_bridge.recordings import MS2_AT_REST, STANDARD_GRAVITY

STILL: Final = 0.05
LEAST_WINDOW: Final = 10  # samples
OFFSET: Final = 0.1  # of a g: zero-g offsets of MEMS sensors are up to .05 to .08 an axis
NEAR: Final = 0.1  # share by which gravity may differ from a factor and be named by it, for the same reason
LEAST_GRAVITY: Final = 0.01  # of a g: less is none, whatever the scale
NOISE_G: Final = 0.02  # the poorest sensors have 10 mg at 100 Hz, good ones 1
UPRIGHT: Final = 0.85  # of gravity on one axis: within 32 degrees of it; less is neither the one nor the other
AXES: Final = ("x", "y", "z", "-x", "-y", "-z")
# What gravity may be measured as, and then is why.
FACTORS: Final = {
    STANDARD_GRAVITY: "m/s² instead of g",
    1000.0: "mg instead of g",
    **{2.0**k: f"range or sensitivity is off by {2 ** abs(k)}" for k in range(-5, 6) if k},
}
IN_FRAMES: Final = {256.0: "8 bits in the high byte, or the bytes swapped"}
IN_LINES: Final = {2.0**k: f"{2**k} counts a g" for k in range(6, 16)}  # from 8 bits over ±2 g to 16 over ±1

Floats = npt.NDArray[np.float64]


def rest(of: Measured, up: str | None = None) -> list[Finding]:
    """Gravity and noise; with `up`, one of AXES, also whether it is the axis that measures gravity."""
    if dead_axes(of) or equal_axes(of):
        return [unknown("gravity", "scale and noise: an axis does not measure what it should", "mend that first")]
    means, deviations = still_seconds(of)
    if len(means) == 0:
        says = "scale and noise: the device never lay still for a second"
        do = "lay it down while it is checked" + (", with the axis of --up pointing up" if up else "")
        return [unknown("gravity", says, do)]
    gravity = float(np.median(np.linalg.norm(means, axis=1)))
    findings = [_gravity(of, gravity)]
    if gravity > LEAST_GRAVITY * of.per_g:
        # In g as measured, not as told, so that a wrong scale is one fault and not two.
        findings.append(_noise(float(deviations.max(axis=1).min()) / gravity, of.step / gravity))
    return findings + ([_upright(np.median(means, axis=0), up)] if up else [])


def still_seconds(of: Measured) -> tuple[Floats, Floats]:
    """Mean and deviation of each still second, (k, 3) each."""
    n = max(LEAST_WINDOW, round(of.rate_hz))
    k = len(of.values) // n
    windows = of.values[: k * n].reshape(k, n, 3)
    means, deviations = windows.mean(axis=1), windows.std(axis=1)
    size = np.maximum(np.linalg.norm(means, axis=1), of.per_g)
    still = deviations.max(axis=1) <= STILL * size
    return means[still], deviations[still]


def _gravity(of: Measured, size: float) -> Finding:
    if not of.per_g:
        do = f"let HELLO say {size:.0f} counts_per_g, if the device lay still"
        return unknown("gravity", f"{size:.0f} counts at rest; no HELLO tells what that is in g", do)
    g = size / of.per_g
    if abs(g - 1) <= OFFSET:
        return fine("gravity", f"{g:.3f} g at rest")
    says = f"{g:.4g} g at rest instead of 1"
    if of.at_end.any():
        do = "compare range register, counts_per_g and data sheet; then check again"
        return fault("gravity", f"{says}, or more, as samples are at the end of the range", do)
    if not of.counts and MS2_AT_REST[0] < g < MS2_AT_REST[1]:
        do = "print g, or give mmvq-run --units ms2 (auto finds it out as well)"
        return warning("gravity", f"{g:.2f} at rest: m/s² instead of g", do)
    named = _named(g, of.counts)
    says += f": {' or '.join(named)}" if named else ": no usual factor fits"
    if of.counts:
        do = f"{size:.0f} counts are a g where HELLO says {of.per_g:.0f}: compare range register and data sheet"
    else:
        do = f"print g; or, if these are counts, give mmvq-run --units counts:{size:.0f}"
    return fault("gravity", says, do)


def _named(g: float, counts: bool) -> list[str]:
    if g < LEAST_GRAVITY:
        return ["there is no gravity in it, only linear acceleration, if it is the sensor's at all"]
    factors = FACTORS | (IN_FRAMES if counts else IN_LINES)
    return [what for factor, what in factors.items() if abs(g / factor - 1) <= NEAR]


def _noise(noise_g: float, step_g: float) -> Finding:
    if noise_g < step_g / 4:
        return fine("noise", "noise at rest is below the smallest step")
    says = f"{1000 * noise_g:.1f} mg of noise at rest"
    if noise_g > NOISE_G:
        do = "if it lay on something that does not shake: low-noise mode, the supply's ripple, the sensor's own filter"
        return warning("noise", says, do)
    return fine("noise", says)


def _upright(mean: Floats, up: str) -> Finding:
    size = float(np.linalg.norm(mean))
    axis = int(np.abs(mean).argmax())
    found = ("" if mean[axis] > 0 else "-") + "xyz"[axis]
    told = ", ".join(f"{name} {value / size:+.2f}" for name, value in zip("xyz", mean, strict=True)) if size else "none"
    if not size or abs(mean[axis]) < UPRIGHT * size:
        says = f"which axis points up: gravity lies between axes ({told})"
        return unknown("up", says, f"lay the device down so that {up} points straight up")
    if found == up:
        return fine("up", f"{up} points up and measures gravity ({told})")
    if found.strip("-") == up.strip("-"):
        says = f"{up} points up, but {found} measures gravity ({told}): the axis is flipped"
        do = f"change the sign of {found.strip('-')} in the firmware (if it did not lie upside down)"
    else:
        says = f"{up} points up, but {found} measures gravity ({told}): axes are swapped"
        do = f"send what is now {found} as {up}; then check the other two axes in the same way"
    return fault("up", says, do)
