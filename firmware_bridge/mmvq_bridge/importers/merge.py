"""Several files' recordings as one file. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final

import numpy as np

from mmvq_bridge.command import BadInput
from mmvq_bridge.importers.device_file import LONGEST_DAYS
from mmvq_bridge.recordings import Recording, RecordingFile

SAME_RATE: Final = 1.05  # clocks of devices are up to 3 % off; training takes rates within 5 % for equal


def merged(files: Sequence[RecordingFile], path: str, rate_hz: float | None = None) -> RecordingFile:
    """The recordings of all files, numbered anew from 0, labels united; what the files say of themselves, each once.

    rate_hz: the nominal rate, where the files' own ones differ. BadInput if they do and none is given, if it is none
    of theirs, if some recordings name their wearer and others do not, and for one of over a year.
    """
    labels = tuple(sorted({label for file in files for label in file.labels}))
    recordings: list[Recording] = []
    for file in files:
        place = np.array([*(labels.index(label) for label in file.labels), -1], np.int32)  # -1 stays -1
        for recording in file.recordings:
            days = (recording.t[-1] - recording.t[0]) / 86_400
            if not days <= LONGEST_DAYS:
                raise BadInput(f"{file.path}: a recording of {days:.3g} days: the clock was set meanwhile; cut it")
            recordings.append(replace(recording, id=len(recordings), label=place[recording.label]))
    nameless = next((file for file in files if any(not r.subject for r in file.recordings)), None)
    if nameless is not None and any(recording.subject for recording in recordings):
        raise BadInput(
            f"{nameless.path}: it names no wearer where other files do, and training would leave it out; name who wore "
            "it with --subject (@file and @folder take those names)"
        )
    notices = [notice for file in files for notice in file.notices]
    rate = _rate(files, rate_hz, notices)
    keys = sorted({key for file in files for key in file.meta} - {"mmvq.rate_hz"})
    if len(files) > 1:
        keys = [key for key in keys if key != "mmvq.name"]  # of each of them, and of none
    meta = {key: "; ".join(dict.fromkeys(file.meta[key] for file in files if file.meta.get(key))) for key in keys}
    return RecordingFile(path, tuple(recordings), labels, rate, True, meta, tuple(notices))


def _rate(files: Sequence[RecordingFile], rate_hz: float | None, notices: list[str]) -> float:
    slow, fast = (choose(files, key=lambda file: file.rate_hz) for choose in (min, max))
    differ = fast.rate_hz > SAME_RATE * slow.rate_hz
    told = f"{slow.path} has {slow.rate_hz:g} Hz, {fast.path} {fast.rate_hz:g} Hz"
    if rate_hz is None:
        if differ:
            raise BadInput(
                f"rates differ: {told}; import them apart, or give the fastest as the nominal rate: --rate-hz "
                f"{fast.rate_hz:g}"
            )
        return median(file.rate_hz for file in files)
    if not slow.rate_hz / SAME_RATE <= rate_hz <= fast.rate_hz * SAME_RATE:
        raise BadInput(f"--rate-hz {rate_hz:g} is no rate of these files: {told}; leave it out, training resamples")
    if differ:
        notices.append(
            f"rates differ: {told}; {rate_hz:g} Hz is declared. Straight lines will fill slower ones, faster ones may "
            "be thinned without a filter, and a model may learn rates for activities: mind what was recorded how"
        )
    return rate_hz
