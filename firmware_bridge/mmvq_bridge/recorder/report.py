"""What is told of a recording: while it grows, and when it is done. Pure."""

import shlex
from collections.abc import Mapping
from typing import Final

import numpy as np

from mmvq_bridge.recorder.live import Recorder
from mmvq_bridge.recordings import RecordingFile

WINDOW_S: Final = 10.0  # of mmvq-train's own choice
LONGEST_STEP_S: Final = 0.25  # a longer gap cuts windows (DESIGN 3.1), or three periods if that is longer


def progress(recorder: Recorder, settle_s: float, host_ns: int) -> str:
    """A line: seconds, samples, rate, losses, the label that holds, seconds of each label so far."""
    if not recorder.samples:
        return f"no sample yet | {recorder.labels.current or 'no label'}"
    so_far = recorder.labels.seconds(recorder.signal_s, settle_s)
    parts = [
        f"{recorder.elapsed(host_ns):.0f} s, {recorder.samples} samples, {recorder.measured_hz:.1f} Hz, "
        f"{recorder.lost} lost",
        recorder.labels.current or "no label",
        _seconds(so_far),
    ]
    return " | ".join(part for part in parts if part)


def summary(whole: RecordingFile, new: RecordingFile, lost: int | None = None) -> list[str]:
    """Lines: what is new in the file and what is in it, labels with too little, the next command.

    lost: samples that did not come, if that is known.
    """
    count = sum(len(recording.t) for recording in new.recordings)
    added = len(whole.recordings) > len(new.recordings)
    numbers = [recording.id for recording in new.recordings]
    lines = [
        *new.notices,
        f"{whole.path}: {'added ' if added else ''}recording {_span(numbers)}, {count} samples "
        f"at {new.rate_hz:.4g} Hz{'' if lost is None else f', {lost} lost'}: {_labelled(new)}",
    ]
    if added:
        lines.append(f"{whole.path}: {len(whole.recordings)} recordings in it now: {_labelled(whole)}")
    longest = _longest(whole)
    short = [f"{name} ({s:.0f} s)" for name, s in longest.items() if s < WINDOW_S]
    if short:
        lines.append(f"warning: less than a window ({WINDOW_S:g} s) at a time of {', '.join(short)}; record more of it")
    out = shlex.quote(whole.path)
    if np.count_nonzero([*longest.values()]) < 2:
        lines.append(f"next: mmvq-train needs two labels: add one with mmvq-bridge record --append --out {out} ...")
    else:
        lines.append(f"next: mmvq-train --data {out}")
    return lines


def _span(numbers: list[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _labelled(file: RecordingFile) -> str:
    """Seconds of each label, and of none."""
    counts = np.sum(
        [np.bincount(recording.label + 1, minlength=len(file.labels) + 1) for recording in file.recordings], axis=0
    )
    named = {name: counts[i + 1] / file.rate_hz for i, name in enumerate(file.labels)}
    return _seconds({**named, "no label": counts[0] / file.rate_hz})


def _seconds(by_label: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in by_label.items())


def _longest(file: RecordingFile) -> dict[str, float]:
    """Seconds of the longest uninterrupted stretch of each label."""
    longest = dict.fromkeys(file.labels, 0.0)
    step_s = max(LONGEST_STEP_S, 3 / file.rate_hz)
    for recording in file.recordings:
        cuts = np.flatnonzero((np.diff(recording.label) != 0) | (np.diff(recording.t) > step_s)) + 1
        for rows in np.split(np.arange(len(recording.t)), cuts):
            label = int(recording.label[rows[0]])
            if label >= 0:
                name, seconds = file.labels[label], float(recording.t[rows[-1]] - recording.t[rows[0]])
                longest[name] = max(longest[name], seconds + 1 / file.rate_hz)
    return longest
