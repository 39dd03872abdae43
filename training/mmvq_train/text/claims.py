"""What a bank's phrases claim about the signal, held against recordings of the activity.

"footstep jolts the arm" claims an impact, "forearm stays still" a rest. Words that claim such a thing are listed here
with the statistic that must bear them out, over windows of 4 s at 20 Hz: per person first, then the median over people,
so that one odd wearer decides nothing. A phrase without such words claims nothing that can be measured here.

Where the forearm points is told by gravity. Which of the sensor's axes lies along the forearm is read off the
activities in which the bank says that the arm hangs, if there are two at least and most of them agree.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge.recordings import RecordingFile
from mmvq_run.signal import cut_recording
from mmvq_train.text.bank import Bank

RATE_HZ: Final = 20.0  # what a wrist moves is below 10 Hz; one rate makes thresholds mean the same on every device
WINDOW_S: Final = 4.0  # two cycles of the slowest rhythm looked for
SECOND: Final = round(RATE_HZ)
LAGS_S: Final = (0.2, 2.0)  # a cycle of a wrist's rhythm: brushing 5 Hz, a slow stride .5 Hz
# A sub-action is one of ten: a tenth of the time must show it if it lasts, a tenth of the windows if it is quick.
SHARE: Final = 0.1
NEAR: Final = float(np.cos(np.radians(40)))  # of a posture: a swinging arm stays within it
CORRELATED: Final = 0.5  # of the autocorrelation's peak; noise stays below .3 over 4 s
STILL_G: Final = 0.03  # deviation within a second; sensor noise and pulse are under .01, typing is over .04
JOLT_G: Final = 0.15  # change of acceleration between samples (50 ms) that a smooth movement stays below

Floats = npt.NDArray[np.float64]
Windows = npt.NDArray[np.float32]  # (n, 80, 3) in g


@dataclass(frozen=True)
class Kind:
    """A kind of claim: the words that make it, what is measured, and how much of it must be there."""

    name: str
    words: re.Pattern[str]
    measured: str
    least: float
    measure: Callable[[Windows, Floats], float]  # windows of one person, and the hanging forearm's direction (3,)


@dataclass(frozen=True)
class Verdict:
    """One phrase's claim: `value` is the median over people of what `kind` measures; it holds from `kind.least` on."""

    label: str
    number: int  # of the sub-action within its activity, from 0
    phrase: str
    kind: Kind
    value: float

    @property
    def holds(self) -> bool:
        """Whether the signal bears the claim out."""
        return self.value >= self.kind.least


def check_claims(bank: Bank, file: RecordingFile) -> list[Verdict]:
    """A verdict for every claim of the wrist-observable phrases of activities that the recordings have."""
    windows = _windows(file, set(bank.labels))
    hanging = _hanging(bank, windows)
    out = []
    measured: dict[tuple[str, str], float] = {}
    for activity in bank.activities:
        people = windows.get(activity.label)
        if not people:
            continue
        for number, sub_action in enumerate(activity.sub_actions):
            for kind in claims_of(sub_action.arm) if sub_action.wrist_observable else ():
                if kind in POSTURES and hanging is None:
                    continue
                key = (activity.label, kind.name)
                if key not in measured:
                    direction = np.zeros(3) if hanging is None else hanging
                    measured[key] = float(np.median([kind.measure(x, direction) for x in people]))
                out.append(Verdict(activity.label, number, sub_action.arm, kind, measured[key]))
    return out


def claims_of(phrase: str) -> list[Kind]:
    """The kinds of claim that a phrase makes."""
    return [kind for kind in KINDS if kind.words.search(phrase.lower())]


def _jump(x: Windows) -> Floats:
    """(n, samples − 1): change of acceleration between samples, g."""
    return np.linalg.norm(np.diff(x.astype(np.float64), axis=1), axis=2)


def _seconds(x: Windows) -> Windows:
    return x.reshape(-1, SECOND, 3)


def _deviation(x: Windows) -> Floats:
    """(n seconds,): standard deviation of the axis that moves most, g."""
    return np.asarray(_seconds(x).std(axis=1).max(axis=1), dtype=np.float64)


def _impact(x: Windows, _: Floats) -> float:
    return float(np.quantile(_jump(x).max(axis=1), 1 - SHARE))


def _rhythm(x: Windows, _: Floats) -> float:
    return float(np.mean([_periodicity(window) > CORRELATED for window in x]))


def _periodicity(window: Windows) -> float:
    """Height of the autocorrelation's first peak, along the direction that moves most; 0 for a still wrist."""
    moved = window.astype(np.float64) - window.mean(axis=0)
    _, _, directions = np.linalg.svd(moved, full_matrices=False)
    q = moved @ directions[0]
    if q.std() < STILL_G:
        return 0.0
    n = len(q)
    correlation = np.correlate(q, q, "full")[n - 1 :] / np.arange(n, 0, -1)
    correlation /= correlation[0]
    below = np.flatnonzero(correlation < 0)  # the slope down from lag 0 is no peak
    begin, end = (round(lag * RATE_HZ) for lag in LAGS_S)
    begin = max(begin, int(below[0]) if len(below) else n)
    return float(correlation[begin : end + 1].max(initial=0.0))


def _stillness(x: Windows, _: Floats) -> float:
    return float((_deviation(x) < STILL_G).mean())


def _smoothness(x: Windows, _: Floats) -> float:
    moves = _deviation(x) >= STILL_G
    calm = np.linalg.norm(np.diff(_seconds(x), axis=1), axis=2).max(axis=1) < JOLT_G
    return float((moves & calm).mean())


def _movement(x: Windows, _: Floats) -> float:
    return float(np.quantile(_deviation(x), 1 - SHARE))


def _turning(x: Windows, _: Floats) -> float:
    """Of a window: the widest angle between the directions of gravity in two of its seconds."""
    gravity = x.reshape(len(x), -1, SECOND, 3).mean(axis=2).astype(np.float64)
    gravity /= np.maximum(np.linalg.norm(gravity, axis=2, keepdims=True), 1e-6)
    widest = np.einsum("nac,nbc->nab", gravity, gravity).min(axis=(1, 2))
    return float(np.quantile(np.degrees(np.arccos(np.clip(widest, -1, 1))), 1 - SHARE))


def _tilt(x: Windows, hanging: Floats) -> Floats:
    """(n seconds,): cosine between gravity and its direction when the arm hangs: 1 hangs, 0 is level, −1 points up."""
    gravity = _seconds(x).mean(axis=1)
    return np.asarray(gravity @ hanging / np.maximum(np.linalg.norm(gravity, axis=1), 1e-6), dtype=np.float64)


def _hangs(x: Windows, hanging: Floats) -> float:
    return float((_tilt(x, hanging) > NEAR).mean())


def _level(x: Windows, hanging: Floats) -> float:
    return float((np.abs(_tilt(x, hanging)) < np.cos(np.radians(50))).mean())


def _raised(x: Windows, hanging: Floats) -> float:
    return float((_tilt(x, hanging) < -np.cos(np.radians(65))).mean())


def _words(text: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{text})\b")


HANGING: Final = Kind(
    "hanging arm", _words(r"arms? hangs?|hands? hangs?|hanging|at the side(?! of)|straight arm swings?"),
    "share of seconds with the forearm within 40° of hanging", SHARE, _hangs,
)
POSTURES: Final = (
    HANGING,
    Kind("level forearm",
         _words(r"right angle|forearm (?:lies|stays|is) level|on the (?:table|armrest|desk)|keyboard|keys|paper"),
         "share of seconds with the forearm within 40° of level", SHARE, _level),
    Kind("raised forearm", _words(r"to the mouth|at the lips|points? up|under the chin|to the (?:face|head)"),
         "share of seconds with the forearm 25° or more above level", SHARE, _raised),
)
KINDS: Final = (
    Kind("hard impact", _words(r"hard (?:\w+ )?(?:landing|step|heel|jolt|strike|hit|knock)|slams?|smacks?|slaps?"),
         "largest change of acceleration in 50 ms, g, upper tenth of windows", 1.0, _impact),
    Kind("impact",
         _words(r"jolts?|hits?|knocks?|strikes?|stabs?|jerks?|snaps?|bounces?|bumps?|thumps?|taps?|patters?|tugs?|yanks?|"
                r"rebounds?|shakes?|rattles?"),
         "largest change of acceleration in 50 ms, g, upper tenth of windows", 0.4, _impact),
    Kind("rhythm",
         _words(r"rhythm|beats?|pumps?|pendulum|scrubs?|cadence|strides?|"
                r"(?:each|every) (?:running |walking )?(?:step|stride|turn|jump|bounce|stair|clap|stroke|cycle)"),
         "share of windows whose autocorrelation peaks over .5", 0.4, _rhythm),
    Kind("stillness", _words(r"still|rests?|resting|waits?|pauses?|lies|motionless|halts?|hovers?"),
         "share of seconds with a deviation under .03 g", SHARE, _stillness),
    Kind("smoothness",
         _words(r"slides?|glides?|creeps?|drifts?|smooths|sways?|floats?|sinks|(?:hand|wrist|arm|forearm) carries"),
         "share of seconds that move and have no change over .15 g in 50 ms", SHARE, _smoothness),
    Kind("movement", _words(r"swings?|throws?|tosses|spreads?|circles|stirs?|sweeps?|shakes?|scrubs?|pumps?|flips?"),
         "deviation within a second, g, upper tenth of seconds", 0.15, _movement),
    Kind("turning",
         _words(r"(?:wrist|hand|palm|fist|forearm|elbow|arm)s? "
                r"(?:turns?|rolls?|twists?|tips?|tilts?|lifts?|lowers?|raises?|drops?|picks? up|reaches|winds up)"),
         "widest angle of gravity within a window, degrees, upper tenth of windows", 20.0, _turning),
    *POSTURES,
)


def _hanging(bank: Bank, windows: dict[str, list[Windows]]) -> Floats | None:
    """The unit axis of the sensor (with its sign) along which gravity lies when the arm hangs; None where fewer than
    two activities claim that it does, or no more than half of these agree."""
    claiming = [
        a.label for a in bank.activities
        if a.label in windows and any(s.wrist_observable and HANGING.words.search(s.arm.lower()) for s in a.sub_actions)
    ]
    if len(claiming) < 2:
        return None
    medians = [np.median(np.concatenate([x.mean(axis=1) for x in windows[label]]), axis=0) for label in claiming]
    gravity = np.median(medians, axis=0)
    axis = int(np.abs(gravity).argmax())
    hanging = np.asarray(np.eye(3)[axis] * np.sign(gravity[axis]), dtype=np.float64)
    agree = [float(m @ hanging) > NEAR * float(np.linalg.norm(m)) for m in medians]
    return hanging if sum(agree) > len(agree) / 2 else None


def _windows(file: RecordingFile, labels: Iterable[str]) -> dict[str, list[Windows]]:
    """For each label one array (n, 80, 3) a person."""
    found: dict[str, dict[str, list[Windows]]] = {label: {} for label in labels}
    for recording in file.recordings:
        cut, own = cut_recording(recording, file.rate_hz, RATE_HZ, round(WINDOW_S * RATE_HZ), WINDOW_S)
        for window, label in zip(cut, own, strict=True):
            if label >= 0 and file.labels[label] in found:
                found[file.labels[label]].setdefault(recording.subject, []).append(window.xyz)
    return {label: [np.stack(x) for x in people.values()] for label, people in found.items() if people}
