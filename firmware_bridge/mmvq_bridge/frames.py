"""Wire protocol 1: what a wearable and its host say to each other (DESIGN 3.7, `tests/bridge/golden.json`).

    frame      COBS( payload | crc ) 00              00 is nowhere else: a lost reader starts again there
    crc        u16, CRC-16/IBM-3740 of the payload   ("123456789" gives 0x29B1)
    payload    u8 type, then the type's fields       little-endian, no padding

    01 HELLO    u8 protocol | u32 boot_id | u64 device_uid | u32 rate_mhz | u16 counts_per_g | u8 wrist
    02 DATA     u8 flags | u16 seq | u32 t_us | u8 n | n x (i16 x, i16 y, i16 z)             n is 1 to 80
    03 STAT     u32 frames_sent | u32 samples_dropped | u16 battery_mv | i16 temperature_centi_c
    04 PING     u32 nonce                               host to device
    05 PONG     u32 nonce | u32 t_us
    06 COMMAND  u8 op | u32 argument                    host to device
    07 ACK      u8 op | u8 status

What can go wrong on a line: bytes get lost, change, or come from a device that was already talking. Each piece between
two zeros that is no frame (over 512 bytes, no COBS, wrong CRC, unknown type, wrong length) is counted once and
dropped; so is the rest of the frame into whose middle a reader comes. Nothing between two zeros is nothing.
"""

import binascii
import struct
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mmvq_bridge import cobs

PROTOCOL: Final = 1
LONGEST_FRAME: Final = 512  # bytes before the closing zero; 80 samples make 493, the rest is room for later types
MOST_SAMPLES: Final = 80  # in one DATA frame
CRC_START: Final = 0xFFFF  # what makes crc_hqx, which starts at 0 as XMODEM, a CRC-16/IBM-3740

FLAG_OVERRUN: Final = 1  # DATA: the device's FIFO ran over before this frame
FLAG_SATURATED: Final = 2  # DATA: a sample is at the end of the measuring range
WRIST_UNKNOWN, WRIST_LEFT, WRIST_RIGHT = 0, 1, 2
OP_START, OP_STOP, OP_SET_RATE = 1, 2, 3  # COMMAND; the argument of OP_SET_RATE is in milli-hertz
ACK_DONE, ACK_UNKNOWN, ACK_REFUSED = 0, 1, 2


@dataclass(frozen=True)
class Hello:
    """Who speaks: sent at boot, on COMMAND start and every 5 s. `boot_id` tells a reset from a wrapped counter."""

    protocol: int
    boot_id: int
    device_uid: int
    rate_mhz: int
    counts_per_g: int
    wrist: int


@dataclass(frozen=True, eq=False)
class Data:
    """Samples in a row: int16 (n, 3) in counts, x y z. `t_us` is the device clock at the first one.

    seq wraps after 65535, t_us after 71.6 minutes. Raises ValueError for samples of another type or shape.
    """

    flags: int
    seq: int
    t_us: int
    samples: npt.NDArray[np.int16]

    def __post_init__(self) -> None:
        shape = self.samples.shape
        if self.samples.dtype != np.int16 or len(shape) != 2 or shape[1] != 3 or not 1 <= shape[0] <= MOST_SAMPLES:
            raise ValueError(f"samples are int16 (1 to {MOST_SAMPLES}, 3), not {self.samples.dtype} {shape}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Data) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def _value(self) -> tuple[int, int, int, bytes]:
        return self.flags, self.seq, self.t_us, self.samples.tobytes()


@dataclass(frozen=True)
class Stat:
    """How the device fares, every 5 s. `frames_sent` counts DATA frames, `samples_dropped` those lost inside it."""

    frames_sent: int
    samples_dropped: int
    battery_mv: int
    temperature_centi_c: int


@dataclass(frozen=True)
class Ping:
    """The host asks for the device's clock."""

    nonce: int


@dataclass(frozen=True)
class Pong:
    """The device's clock, in microseconds, when the PING with the same nonce arrived."""

    nonce: int
    t_us: int


@dataclass(frozen=True)
class Command:
    """The host wants something done: one of OP_START, OP_STOP, OP_SET_RATE."""

    op: int
    argument: int


@dataclass(frozen=True)
class Ack:
    """What became of a COMMAND: ACK_DONE, ACK_UNKNOWN or ACK_REFUSED."""

    op: int
    status: int


Frame = Hello | Data | Stat | Ping | Pong | Command | Ack

_DATA_TYPE: Final = 0x02
_DATA_HEAD: Final = struct.Struct("<BHIB")
# The types of fixed length; their fields stand in the dataclass in the order of the wire.
_LAYOUTS: Final[dict[int, tuple[type[Frame], struct.Struct]]] = {
    0x01: (Hello, struct.Struct("<BIQIHB")),
    0x03: (Stat, struct.Struct("<IIHh")),
    0x04: (Ping, struct.Struct("<I")),
    0x05: (Pong, struct.Struct("<II")),
    0x06: (Command, struct.Struct("<BI")),
    0x07: (Ack, struct.Struct("<BB")),
}
_TYPES: Final = {frame: number for number, (frame, _) in _LAYOUTS.items()}


def encode(frame: Frame) -> bytes:
    """The bytes on the wire, the closing 00 included. ValueError if a field does not fit its width."""
    try:
        if isinstance(frame, Data):
            head = _DATA_HEAD.pack(frame.flags, frame.seq, frame.t_us, len(frame.samples))
            payload = bytes([_DATA_TYPE]) + head + frame.samples.astype("<i2").tobytes()
        else:
            number = _TYPES[type(frame)]
            payload = bytes([number]) + _LAYOUTS[number][1].pack(*astuple(frame))
    except struct.error as error:
        raise ValueError(f"{frame} does not fit its frame: {error}") from None
    return cobs.encode(payload + _crc(payload)) + b"\0"


def decode(piece: bytes) -> Frame:
    """The frame in what stands between two zeros. ValueError says why it is none."""
    if len(piece) > LONGEST_FRAME:
        raise ValueError(f"{len(piece)} bytes without a zero; a frame has at most {LONGEST_FRAME}")
    body = cobs.decode(piece)
    payload = body[:-2]
    if not payload or _crc(payload) != body[-2:]:
        raise ValueError("wrong CRC")
    kind, fields = payload[0], payload[1:]
    if kind == _DATA_TYPE:
        return _decode_data(fields)
    if kind not in _LAYOUTS:
        raise ValueError(f"unknown type {kind}")
    frame, layout = _LAYOUTS[kind]
    if len(fields) != layout.size:
        raise ValueError(f"type {kind} has {layout.size} bytes of fields, not {len(fields)}")
    return frame(*layout.unpack(fields))


class Decoder:
    """Frames out of a stream of bytes, however it is cut up. Keeps at most one frame's bytes between two calls.

    bad_frames: how many pieces were dropped so far.
    """

    def __init__(self) -> None:
        self.bad_frames = 0
        self._piece = b""
        self._too_long = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream; give the frames that they complete."""
        frames: list[Frame] = []
        *ended, rest = data.split(b"\0")
        for part in ended:
            self._gather(part)
            if self._piece:
                try:
                    frames.append(decode(self._piece))
                except ValueError:
                    self.bad_frames += 1
            self._piece, self._too_long = b"", False
        self._gather(rest)
        return frames

    def _gather(self, part: bytes) -> None:
        if self._too_long:
            return
        self._piece += part
        if len(self._piece) > LONGEST_FRAME:
            self.bad_frames += 1
            self._piece, self._too_long = b"", True


def _decode_data(fields: bytes) -> Data:
    if len(fields) < _DATA_HEAD.size:
        raise ValueError(f"DATA has at least {_DATA_HEAD.size} bytes of fields, not {len(fields)}")
    flags, seq, t_us, n = _DATA_HEAD.unpack_from(fields)
    if len(fields) != _DATA_HEAD.size + 6 * n:
        raise ValueError(f"DATA of {n} samples has {_DATA_HEAD.size + 6 * n} bytes of fields, not {len(fields)}")
    # Data itself refuses an n of 0 or over 80. A copy, so that no frame keeps a reader's whole buffer alive.
    samples = np.frombuffer(fields, "<i2", offset=_DATA_HEAD.size).reshape(-1, 3).astype(np.int16)
    return Data(flags, seq, t_us, samples)


def _crc(payload: bytes) -> bytes:
    return binascii.crc_hqx(payload, CRC_START).to_bytes(2, "little")
