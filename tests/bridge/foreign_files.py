"""Texts as other people's devices and data sets write them, with made-up values."""

import struct

PHONE = """\
33,Jogging,49105962326000,-0.6946377,12.680544,0.50395286;
33,Jogging,49106012271000,5.012288,11.264028,0.95342433;
33,Jogging,49106062167000,4.903325,10.882658,-0.08172209;
33,Jogging,49106112305000,-0.61291564,18.496431,3.0237172;
"""
WATCH = """\
1600,A,252207666810782,-0.36476135,8.793503,1.0550842;
1600,A,252207717164786,-0.8797302,9.768784,1.0169983;
1600,A,252207767518790,2.0014954,11.10907,2.619156;
1600,S,252207817872794,0.45062256,12.651642,0.18455505;
1600,S,252207868226798,-2.1643524,13.928436,-4.4224854;
"""


def phone(*samples: tuple[int, str]) -> str:
    """Records of one person: milliseconds and activity."""
    return "".join(f"7,{activity},{10**12 + ms * 10**6},0.1,9.8,0.2;\n" for ms, activity in samples)


HAND, CHEST, ANKLE = "2.37223 8.60074 3.51048", "0.23808 9.80003 -1.68896", "9.65918 -1.65569 -0.0997967"


def pamap2(*rows: tuple[float, int], hand: str = HAND) -> str:
    """Rows as they are: seconds and activity; 17 columns a part of the body."""
    rest = "2.43954 8.76165 3.35465 -0.0922174 0.0568115 -0.0158445 14.6806 -69.2128 -5.58905 1 0 0 0"
    parts = " ".join(f"30.375 {xyz} {rest}" for xyz in (hand, CHEST, ANKLE))
    return "".join(f"{t:.2f} {activity} {'NaN' if i % 11 else '104'} {parts}\n" for i, (t, activity) in enumerate(rows))


CASES = """\
#The data was recorded somewhere
@problemName Gestures
@timeStamps false
@dimensions 4
@equalLength true
@classLabel true Up Down
@data
0,0,0:0,.1,0:9,9,9:1,1,1:Up
.1,.2,.3:0,0,0:8,8,8:-1,-1,-1:Down
"""


def acquisition(values: object, units: str = "m/s2", names: tuple[str, ...] = ("accX", "accY", "accZ")) -> dict:
    """A file of Edge Impulse, as its documentation shows one."""
    payload = {
        "device_name": "ac:87:a3:0a:2d:1b",
        "device_type": "DISCO-L475VG-IOT01A",
        "interval_ms": 10,
        "sensors": [{"name": name, "units": units} for name in names],
        "values": values,
    }
    return {
        "protected": {"ver": "v1", "alg": "HS256", "iat": 1564128599},
        "signature": "b0ee0572a1984b93b6bc56e6576e2cbbd6bccd65d0c356e26b31bbc9a48210c6",
        "payload": payload,
    }


VALUES = [[-9.81, 0.03, 1.21], [-9.83, 0.04, 1.27], [-9.12, 0.03, 1.23], [-9.14, 0.01, 1.25]]


def cbor_of(value: object) -> bytes:
    """CBOR as a device streams it: lists open, floats of four bytes."""
    if isinstance(value, dict):
        return b"\xbf" + b"".join(cbor_of(part) for pair in value.items() for part in pair) + b"\xff"
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(cbor_of, value)) + b"\xff"
    if isinstance(value, str):
        return (bytes([0x78, len(value)]) if len(value) > 23 else bytes([0x60 + len(value)])) + value.encode()
    if isinstance(value, int):
        return b"\x1a" + struct.pack(">I", value)
    return b"\xfa" + struct.pack(">f", value)


def csv(header: str, step: float, n: int = 40, xyz: str = "0.1,-0.2,0.98") -> str:
    return header + "\n" + "".join(f"{step * i:.10g},{xyz}\n" for i in range(n))
