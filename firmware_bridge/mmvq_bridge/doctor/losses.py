"""What did not come, came twice, late or damaged; on the line, or inside the device."""

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np

from mmvq_bridge.doctor.heard import Heard, Ints, Stretch
from mmvq_bridge.doctor.speech import crc_fits
from mmvq_bridge.findings import Finding, Severity, counted, fault, fine, share, warning
from mmvq_bridge.frames import FLAG_OVERRUN, decode
from mmvq_bridge.stream.decode import CLOCK_ERROR, FRESH_BOOT_US

FEW: Final = 0.001  # of all frames: a loss in 1,000 costs a window or two in an hour, more is no accident
LOOKED_AT: Final = 30  # damaged places that are searched for a single wrong bit: each takes some milliseconds
LEAST_LOOKED: Final = 2  # to tell bits from bytes: of wrong bytes, one in thirty looks like a bit
LEAST_STEPS: Final = 5  # of seq, and
ALWAYS: Final = 0.9  # of them, that make a habit: losses differ from each other
LONGEST_QUOTE: Final = 60


@dataclass(frozen=True)
class Missing:
    """Frames of a stream that never came whole: lost ones, and those in whose place something damaged came."""

    lost: int
    places: int
    damaged: int


def losses(heard: Heard) -> list[Finding]:
    """All that happened to frames on their way."""
    numbers = _numbering(heard) or [_lost(heard, missing_frames(heard)), *_order(heard)]
    return [*_text(heard), *_damage(heard), *numbers, *_overruns(heard)]


def missing_frames(heard: Heard) -> Missing:
    """By sequence numbers, of all stretches."""
    lost = places = damaged = 0
    for stretch in heard.stretches:
        seq, first = np.unique(stretch.seq, return_index=True)
        steps, hurt = np.diff(seq) - 1, np.diff(stretch.damage[first])
        lost += int(steps[hurt <= 0].sum())
        places += int(((steps > 0) & (hurt <= 0)).sum())
        damaged += int(steps[hurt > 0].sum())
    return Missing(lost, places, damaged)


def lost_share(heard: Heard) -> float:
    """Share of DATA frames that never came whole; other frames fare alike."""
    missing = missing_frames(heard)
    gone = missing.lost + missing.damaged
    return gone / max(1, gone + heard.frames)


def silent_gaps(heard: Heard, rate_hz: float) -> list[Finding]:
    """Samples that time shows to be missing, and neither sequence nor flags tell of. rate_hz: as t_us has it."""
    lost = np.concatenate([_left_out(stretch, rate_hz, overrun=False) for stretch in heard.stretches])
    if not lost.any():
        return []
    places = counted(int((lost > 0).sum()), "place")
    says = f"t_us leaves out {counted(int(lost.sum()), 'sample')} in {places}, and no flag or number tells why"
    do = "count what is not read in time, set flag 1, and take t_us when the frame's first sample is taken"
    return [warning("gaps", says, do)]


def _left_out(stretch: Stretch, rate_hz: float, overrun: bool) -> Ints:
    """Samples missing by t_us between frames in turn, of which the later one has the flag of an overrun or has not."""
    before, after = stretch.in_turn
    expected = (stretch.t_us[after] - stretch.t_us[before]) * rate_hz / 1e6
    size = stretch.size[before]
    flagged = stretch.flags[after] & FLAG_OVERRUN != 0
    lost = np.rint(expected).astype(np.int64) - size
    return np.where((expected > (1 + CLOCK_ERROR) * size) & (flagged == overrun), np.maximum(lost, 0), 0)


def _severity(count: int, whole: int) -> Severity:
    if not count:
        return Severity.FINE
    return Severity.FAULT if count > FEW * whole else Severity.WARNING


def _text(heard: Heard) -> list[Finding]:
    if not heard.texts:
        return []
    first = bytes(byte for byte in heard.texts[0][1] if 32 <= byte < 127).decode()
    says = f"text between the frames, {counted(len(heard.texts), 'time')}: {first[:LONGEST_QUOTE]!r}"
    do = "print nothing on this port: each text costs the frame it runs into (a 00 before a frame saves that one)"
    once = len(heard.texts) == 1  # a greeting at boot; START brings the HELLO that it cost
    return [Finding("prints", Severity.WARNING if once else Severity.FAULT, says, do)]


def _damage(heard: Heard) -> list[Finding]:
    strange = [piece for _, piece in heard.damaged if crc_fits(piece)]
    hurt = [(at, piece) for at, piece in heard.damaged if not crc_fits(piece)]
    whole = heard.frames + len(heard.hellos) + len(heard.stats)
    findings = []
    if strange:
        says = f"{counted(len(strange), 'frame')} with the right CRC and not of the protocol: {_why(strange[0])}"
        do = "compare types and lengths with firmware_bridge/README.md"
        findings.append(fault("format", says, do))
    if not hurt:
        return [*findings, fine("damaged", f"none of {counted(whole, 'frame')} damaged")]
    # A zero that came from a wrong bit makes two pieces of a frame; they arrive together.
    places = [b"\0".join(piece for _, piece in together) for _, together in groupby(hurt, key=itemgetter(0))]
    looked = places[:LOOKED_AT]
    single = sum(map(_one_bit, looked))
    says = f"{counted(len(hurt), 'piece')} between frames damaged ({share(len(hurt), whole + len(hurt))} of all)"
    if len(looked) < LEAST_LOOKED:
        do = "listen for longer, to see whether bits or bytes are wrong"
        return [*findings, Finding("damaged", _severity(len(hurt), whole), says, do)]
    says += f", {single} of {counted(len(looked), 'place')} looked at by a single bit"
    if 2 * single > len(looked):
        do = "noise on the wire, or a baud rate that is slightly off: shorten the wire, join grounds"
        return [*findings, Finding("corrupt", _severity(len(hurt), whole), says, do)]
    says += ", the others by more"
    do = "bytes are wrong or missing: a buffer that overflows, two writers on one port, a late interrupt"
    return [*findings, Finding("bytes", _severity(len(hurt), whole), says, do)]


def _why(piece: bytes) -> str:
    """Why a piece is no frame; empty if it is one, or nothing."""
    try:
        if piece:
            decode(piece)
    except ValueError as error:
        return str(error)
    return ""


def _one_bit(place: bytes) -> bool:
    """Whether one other bit would make frames of all pieces between zeros."""
    for bit in range(8 * len(place)):
        repaired = bytearray(place)
        repaired[bit // 8] ^= 1 << bit % 8
        if not any(map(_why, bytes(repaired).split(b"\0"))):
            return True
    return False


def _numbering(heard: Heard) -> list[Finding]:
    """Numbers that do not count frames at all, so that nothing can be told by them."""
    steps = np.concatenate([np.diff(stretch.seq) for stretch in heard.stretches])
    values, times = np.unique(steps, return_counts=True)
    if len(steps) < LEAST_STEPS or times.max() < ALWAYS * len(steps) or values[times.argmax()] == 1:
        return []
    says = f"seq goes by {values[times.argmax()]} from frame to frame, {times.max():,} times of {len(steps):,}"
    return [fault("seq", says, "count DATA frames by one, also when samples a frame are more")]


def _lost(heard: Heard, missing: Missing) -> Finding:
    sent = heard.frames + missing.lost + missing.damaged
    if not missing.lost:
        but = f", but for {missing.damaged} damaged on the way" if missing.damaged else ""
        return fine("lost", f"no DATA frame of {sent:,} lost by its number{but}")
    says = f"{missing.lost:,} of {counted(sent, 'DATA frame')} never came ({share(missing.lost, sent)}), in "
    says += counted(missing.places, "place")
    do = "the line is too slow, a buffer too small, the radio too far: send fewer and larger frames"
    return Finding("lost", _severity(missing.lost, sent), says, do)


def _order(heard: Heard) -> list[Finding]:
    twice = sum(len(stretch.seq) - len(np.unique(stretch.seq)) for stretch in heard.stretches)
    late = sum(int((~stretch.on_time).sum()) for stretch in heard.stretches) - twice
    if not late and not twice:
        return []
    says = f"{counted(late, 'frame')} came after a later one" if late else ""
    says += (" and " if late and twice else "") + (f"{counted(twice, 'frame')} came twice" if twice else "")
    do = "send each frame once, in the order of seq (u16, wraps after 65535): mmvq-run leaves out what is older"
    return [fault("order", says, do)]


def _overruns(heard: Heard) -> list[Finding]:
    hello = heard.hello
    flagged = sum(int((stretch.flags & FLAG_OVERRUN != 0).sum()) for stretch in heard.stretches)
    dropped = _dropped(heard)
    if not flagged and not dropped:
        return []
    says = f"the device says that its FIFO ran over before {counted(flagged, 'frame')}"
    if hello is not None:
        lost = sum(int(_left_out(one, hello.rate_mhz / 1000, overrun=True).sum()) for one in heard.stretches)
        says += f" ({counted(lost, 'sample')} by t_us)"
    if dropped:
        says += f", and STAT that {counted(dropped, 'sample')} were dropped"
    do = "read the sensor more often than its FIFO fills, in a task of its own that never waits for the UART"
    if not flagged:
        do = f"set flag 1 in the next DATA when samples are dropped; {do}"
    return [fault("overrun", says, do)]


def _dropped(heard: Heard) -> int:
    """Samples that STAT says were dropped while we listened."""
    starts = [stretch.start for stretch in heard.stretches] + [float("inf")]
    total = 0
    for stretch, end in zip(heard.stretches, starts[1:], strict=True):
        counts = [stat.samples_dropped for at, stat in heard.stats if stretch.start <= at < end]
        if len(stretch.t_us) and stretch.t_us[0] < FRESH_BOOT_US:
            counts.insert(0, 0)
        total += max(0, counts[-1] - counts[0]) if counts else 0
    return total
