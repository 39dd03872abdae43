"""What a device says of itself and answers: HELLO, STAT, PONG, ACK (protocol 1 only)."""

from typing import Final

import numpy as np

from mmvq_bridge.device import BEAT_S
from mmvq_bridge.doctor.boots import BOOT_S
from mmvq_bridge.doctor.heard import Heard
from mmvq_bridge.doctor.losses import lost_share
from mmvq_bridge.findings import Finding, counted, fault, fine, unknown, warning
from mmvq_bridge.frames import ACK_DONE, OP_START, PROTOCOL, WRIST_RIGHT, Command, Hello, Ping
from mmvq_bridge.stream.decode import RATES_HZ

LATE_BEAT_S: Final = 1.5  # that a HELLO or STAT may come late: a poor oscillator's 5 % of 5 s, and a slow line
MISSED: Final = 2  # beats, at least, and
MISSED_SHARE: Final = 0.25  # of all, before it is said: one may have been lost on the line
LOSSY: Final = 0.05  # share of DATA lost, from which on nobody knows what became of HELLO and STAT
ANSWER_S: Final = 0.5  # what was asked so shortly before the end, or before a board has booted, may go unanswered
SLOW_S: Final = 0.5  # for an answer: a device that waits so long between two looks at its port


def answers(heard: Heard) -> list[Finding]:
    """Whether the device keeps the protocol."""
    if not heard.hellos:
        says = f"no HELLO in {heard.seconds:.1f} s"
        do = "send HELLO at boot, on COMMAND start and every 5 s: without it mmvq-run knows neither rate nor scale"
        hello = [fault("hello", says, do)]
    else:
        beat = _beat(heard, "HELLO", [at for at, _ in heard.hellos], "a host may come late, or lose one")
        hello = [*_content(heard.hellos[-1][1]), *beat]
    stat = _beat(heard, "STAT", [at for at, _ in heard.stats], "it tells what the device lost, and its temperature")
    return [*hello, *stat, *_ping(heard), *_start(heard)]


def _content(hello: Hello) -> list[Finding]:
    rate = hello.rate_mhz / 1000
    said = f"protocol {hello.protocol}, {rate:g} Hz, {hello.counts_per_g} counts a g, uid {hello.device_uid:016x}"
    if hello.protocol != PROTOCOL:
        return [fault("protocol", said, f"this is made for protocol {PROTOCOL}; send it as such")]
    if not RATES_HZ[0] <= rate <= RATES_HZ[1] or hello.counts_per_g == 0:
        do = "rate_mhz is in thousandths of a hertz, counts_per_g above 0; mmvq-run ignores this HELLO"
        return [fault("hello", said, do)]
    if hello.wrist > WRIST_RIGHT:
        return [warning("hello", f"{said}, wrist {hello.wrist}", "wrist is 0 unknown, 1 left, 2 right")]
    return [fine("hello", said)]


def _beat(heard: Heard, name: str, times: list[float], why: str) -> list[Finding]:
    kind = f"{name.lower()}_beat"
    missed, open_s = 0, 0.0
    for opening in heard.openings:
        marks = [opening.start, *(at for at in times if opening.start <= at <= opening.end), opening.end]
        missed += sum(int(max(0.0, step - LATE_BEAT_S) // BEAT_S) for step in np.diff(marks))
        open_s += opening.end - opening.start
    says = f"{len(times)} {name} in {open_s:.1f} s"
    if missed >= MISSED and missed > MISSED_SHARE * (missed + len(times)):
        if lost_share(heard) > LOSSY:
            return [unknown(kind, f"{says}: others may be lost as DATA is", "mend what loses frames first")]
        return [warning(kind, f"{says}, {missed} missing", f"send {name} every {BEAT_S:g} s: {why}")]
    if open_s < MISSED * BEAT_S + LATE_BEAT_S:
        do = f"listen for longer: --seconds {3 * BEAT_S:g}"
        return [unknown(kind, f"{says}: whether it comes every {BEAT_S:g} s takes longer", do)]
    return [fine(kind, f"{says}, as it should be every {BEAT_S:g} s")]


def _ping(heard: Heard) -> list[Finding]:
    came = {pong.nonce: at for at, pong in reversed(heard.pongs)}
    asked = {frame.nonce: at for at, frame in heard.asked if isinstance(frame, Ping)}
    trips = [came[nonce] - at for nonce, at in asked.items() if nonce in came]
    fair = [nonce for nonce, at in asked.items() if BOOT_S < at < heard.last - ANSWER_S or nonce in came]
    if not fair:
        says = f"whether PING is answered, in {heard.seconds:.1f} s"
        return [unknown("ping", says, "listen for longer: --seconds 10")]
    says = f"{len(trips)} of {len(fair)} PING answered with PONG"
    if 2 * len(trips) < len(fair):
        return [warning("ping", says, "answer PING with its nonce and t_us; mmvq-run does without")]
    trip = float(np.median(trips))
    says += f", after {1000 * trip:.1f} ms (median)"
    if trip > SLOW_S:
        return [warning("ping", says, "look for bytes from the host more often")]
    return [fine("ping", says)]


def _start(heard: Heard) -> list[Finding]:
    own = [at for at, frame in heard.asked if isinstance(frame, Command) and frame.op == OP_START]
    asked = [*(opening.start for opening in heard.openings), *own]  # the port's reader asks, too, at its first frame
    came = [(at, ack.status) for at, ack in heard.acks if ack.op == OP_START]
    if not came:
        if max(asked, default=0.0) < BOOT_S or max(asked) > heard.last - ANSWER_S:
            says = f"whether COMMAND start is acknowledged, in {heard.seconds:.1f} s"
            return [unknown("start", says, "listen for longer: --seconds 10")]
        do = "answer COMMAND with ACK, and start with HELLO as well: a host that comes late waits for it otherwise"
        return [warning("start", f"COMMAND start, {counted(len(asked), 'time')}, without ACK", do)]
    at, status = came[-1]
    if status != ACK_DONE:
        says = f"COMMAND start is acknowledged with status {status}"
        return [warning("start", says, f"answer {ACK_DONE} (done), also while it streams already")]
    before = [moment for moment in own if moment <= at]
    after = f", after {1000 * (at - before[-1]):.1f} ms" if before else ""
    return [fine("start", f"COMMAND start acknowledged{after}")]
