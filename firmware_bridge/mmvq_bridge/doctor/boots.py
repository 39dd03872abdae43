"""The port that goes away, the device that restarts, the one that falls silent."""

from itertools import pairwise
from typing import Final

import numpy as np

from mmvq_bridge.doctor.heard import Heard, Stretch
from mmvq_bridge.findings import Finding, counted, fault, fine
from mmvq_bridge.stream.decode import WRAP

BOOT_S: Final = 3.0  # after the port opened: many boards restart then, as their USB bridge resets them by DTR
SILENT_S: Final = 2.0  # longer than radios and hosts keep back what a device goes on to send
SILENT_STEPS: Final = 3  # of the usual time between two frames or lines, where that is longer


def boots(heard: Heard) -> list[Finding]:
    """What the port and the device's boots tell."""
    return [*_port(heard), *_resets(heard), *_boot_ids(heard), *_silence(heard)]


def _port(heard: Heard) -> list[Finding]:
    back = [(one.end, after.start - one.end) for one, after in pairwise(heard.openings) if one.lost]
    findings = []
    if back:
        at, away = back[0]
        says = f"the port went away {counted(len(back), 'time')}, first at {at:.1f} s, and was back {away:.1f} s later"
        do = "a loose plug or cable, a USB port that saves power, or firmware that restarts its USB"
        findings.append(fault("replugged", says, do))
    if heard.openings and heard.openings[-1].lost:
        end = heard.openings[-1].end
        says = f"the port went away at {end:.1f} s and was not back in {heard.seconds - end:.1f} s"
        do = "plug it in again; if it was not you: cable, power, or firmware that crashes with its USB"
        findings.append(fault("unplugged", says, do))
    return findings


def _resets(heard: Heard) -> list[Finding]:
    by_opening: list[float] = []
    by_itself: list[float] = []
    for before, after in pairwise(heard.stretches):
        if before.opening == after.opening:
            opened = heard.openings[after.opening - 1].start
            (by_opening if after.start - opened <= BOOT_S else by_itself).append(after.start)
    findings = []
    if by_opening:
        says = "it restarted when the port was opened, as many boards do"
        findings.append(fine("reset", says))
    if by_itself:
        says = f"the device restarted {counted(len(by_itself), 'time')}, first at {by_itself[0]:.1f} s; the port stayed"
        do = "look for a watchdog, a crash or a brown-out: print the reset cause to another UART at boot"
        findings.append(fault("reset", says, do))
    return findings


def _boot_ids(heard: Heard) -> list[Finding]:
    same = [after for before, after in pairwise(heard.stretches) if _is_same_boot(before, after)]
    if not same:
        return []
    boot_id = (same[0].boot or (0, 0))[0]
    says = f"sequence and clock began again at {same[0].start:.1f} s, and boot_id is {boot_id} as before"
    do = "give each boot another boot_id (a counter in flash, or a random number): it tells a reset from a wrap"
    return [fault("boot_id", says, do)]


def _is_same_boot(before: Stretch, after: Stretch) -> bool:
    if before.boot is None or before.boot != after.boot or not len(before.seq) or not len(after.seq):
        return False
    return bool(after.seq[0] < before.seq[-1] and after.t_us[0] < before.t_us[-1] % WRAP)


def _silence(heard: Heard) -> list[Finding]:
    lines = heard.lines.arrival if heard.lines is not None else np.zeros(0)
    arrivals = [stretch.arrival for stretch in heard.stretches if len(stretch.arrival) > 1] or [lines]
    steps = np.concatenate([np.diff(arrival) for arrival in arrivals])
    usual = float(np.median(steps)) if len(steps) else 0.0
    silent = heard.seconds - heard.last
    if heard.size and heard.openings and not heard.openings[-1].lost and silent > max(SILENT_S, SILENT_STEPS * usual):
        says = f"nothing came any more after {heard.last:.1f} s, for {silent:.1f} s, although the port stayed"
        do = "the firmware hangs or waits: for the sensor, for the port, or for a host that has to be there"
        return [fault("stopped", says, do)]
    return []
