"""What is spoken on the line at all: frames, lines, text, garbage or nothing; at which baud rate; how full it is."""

import binascii
from dataclasses import dataclass
from typing import Final

from mmvq_bridge import cobs
from mmvq_bridge.doctor.heard import Heard
from mmvq_bridge.findings import Finding, counted, fault, fine, warning
from mmvq_bridge.frames import CRC_START

READABLE: Final = 0.95  # share of printable bytes that makes a text; of random ones it is .38
MOSTLY: Final = 0.5  # share of pieces that fit an explanation; random ones do so once in some hundred
LEAST_PIECES: Final = 3  # to explain
FULL: Final = 0.8  # of what the baud rate carries: HELLO, STAT and a late moment need the rest
BITS_A_BYTE: Final = 10  # on a UART: start, eight, stop
CRC_DO: Final = "CRC-16/IBM-3740 over the payload: start FFFF, polynomial 1021, low byte first; 123456789 gives 29B1"


@dataclass(frozen=True)
class Line:
    """baud: what was listened at; wanted: what was asked for; tried: where nothing could be understood either."""

    baud: int = 115200
    wanted: int = 115200
    tried: tuple[int, ...] = ()


def speech(heard: Heard, line: Line) -> list[Finding]:
    """What kind of stream it is, and at which baud rate."""
    if heard.speaks == "nothing":
        says = f"not a byte in {heard.seconds:.1f} s"
        do = "is it powered, its TX on our RX, ground connected, the right port? It has to stream from boot"
        return [fault("silence", says, do)]
    findings = []
    if line.baud != line.wanted:
        says = f"nothing can be understood at {line.wanted} baud; the device speaks at {line.baud}"
        do = f"give --baud {line.baud}, to mmvq-run too, or set the device to {line.wanted}"
        findings.append(fault("baud", says, do))
    if heard.speaks == "bytes":
        return [*findings, _not_understood(heard, line)]
    if heard.lines is not None:
        kind = "x,y,z" if heard.lines.t_ms is None else "t_ms,x,y,z"
        says = f"CSV lines {kind}: {counted(len(heard.lines.xyz), 'line')} in {heard.seconds:.1f} s"
    else:
        samples = sum(len(stretch.samples) for stretch in heard.stretches)
        others = f"{len(heard.hellos)} HELLO, {len(heard.stats)} STAT"
        says = f"protocol 1: {heard.frames:,} DATA with {counted(samples, 'sample')}, {others} in {heard.seconds:.1f} s"
    return [*findings, fine("speaks", says), *_fullness(heard, line.baud)]


def is_garbage(heard: Heard) -> bool:
    """Whether bytes came that make no sense at all, as they do at a wrong baud rate."""
    return heard.speaks == "bytes" and _not_understood(heard, Line()).kind == "garbage"


def crc_fits(piece: bytes) -> bool:
    """Whether a piece between two zeros arrived as it was sent."""
    return _crc_of(piece) == "right"


def _fullness(heard: Heard, baud: int) -> list[Finding]:
    open_s = sum(opening.end - opening.start for opening in heard.openings)
    if open_s <= 0:
        return []
    rate = heard.size / open_s
    used = rate * BITS_A_BYTE / baud
    says = f"{rate:,.0f} bytes a second, {100 * used:.0f} % of what {baud} baud carries"
    if used > 1:
        return [fine("full", f"{says}: no UART is on the way, or it buffered")]
    if used > FULL:
        do = "take a higher baud rate, or more samples a frame: what does not fit is lost or late"
        return [warning("full", says, do)]
    return [fine("full", says)]


def _not_understood(heard: Heard, line: Line) -> Finding:
    bytes_ = f"{counted(heard.size, 'byte')} in {heard.seconds:.1f} s at {line.baud} baud"
    printable = sum(32 <= byte < 127 or byte in b"\r\n\t" for byte in heard.quote)
    if printable >= READABLE * len(heard.quote):
        first = max(heard.quote.decode("ascii", "replace").split("\n")[:3], key=len).strip()
        says = f"{bytes_}: text, and no lines of three or four numbers: {first[:60]!r}"
        return fault("text", says, "print x,y,z or t_ms,x,y,z: numbers and commas, a line a sample")
    pieces = [piece for _, piece in heard.damaged]
    verdicts = [_crc_of(piece) for piece in pieces]
    whole = len(pieces) - verdicts.count("no COBS")
    if len(pieces) >= LEAST_PIECES and whole >= MOSTLY * len(pieces):
        usual = max(set(verdicts) - {"no COBS"}, key=verdicts.count)
        if usual == "right":
            says = f"{bytes_}: {whole} of {len(pieces)} pieces are COBS with the right CRC, and no frames"
            return fault("format", says, "compare types and lengths with firmware_bridge/README.md")
        says = f"{bytes_}: {whole} of {len(pieces)} pieces between zeros are COBS, but the CRC is wrong"
        return fault("crc", says + (f": {usual}" if usual != "wrong" else ""), CRC_DO)
    tried = f", nor at {', '.join(map(str, line.tried))}" if line.tried else ""
    says = f"{bytes_}: neither protocol frames nor CSV lines{tried}"
    do = "is it the right UART, its ground connected, 8 bits without parity, not inverted?"
    return fault("garbage", says, do)


def _crc_of(piece: bytes) -> str:
    """What its CRC is: right, wrong, wrong by a known mistake, or there is "no COBS" around it."""
    try:
        body = cobs.decode(piece)
    except ValueError:
        return "no COBS"
    payload, crc = body[:-2], body[-2:]
    if len(body) < 3:
        return "wrong"
    ours, xmodem = binascii.crc_hqx(payload, CRC_START), binascii.crc_hqx(payload, 0)
    known = {
        ours.to_bytes(2, "little"): "right",
        ours.to_bytes(2, "big"): "its high byte comes first",
        xmodem.to_bytes(2, "little"): "it starts at 0 instead of FFFF",
        xmodem.to_bytes(2, "big"): "it starts at 0 instead of FFFF, and its high byte comes first",
    }
    return known.get(crc, "wrong")
