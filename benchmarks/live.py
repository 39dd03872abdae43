"""The command as it lives: one wearable on a port, a plug that comes out fifty times, two hundred wearables by TCP.

    python benchmarks/live.py [PART ...]       # alone, unplugged, crowd; writes results/live.json

Real pseudo-terminals, real sockets, true speed: minutes each, on a machine that is idle otherwise. Parts that are not
named keep their figures.
"""

import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from common import RESULTS, asked, write_result

from mmvq_bridge.device import SimulatedDevice
from mmvq_bridge.faults import Faults, FaultyLine, faulty_device
from mmvq_bridge.link import PseudoTerminal, play
from mmvq_bridge.synthetic import motion
from mmvq_run.model import PACKAGED

HZ: Final = 100.0
ALONE_S: Final = 60.0
HOP_S: Final = 0.25
STARTS: Final = 10
UNPLUGS: Final = 50
PLUGGED_S, AWAY_S = 2.0, 1.0
CROWD: Final = (50, 100, 200, 400)
CROWD_S: Final = 30.0
TOKEN: Final = "00ff"
CLOCK_HZ: Final = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parts = {"alone": alone, "unplugged": unplugged, "crowd": crowd}
    path = RESULTS / "live.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    figures = {name: before[name] for name in parts if name in before}
    for name in asked(parts):
        figures[name] = parts[name]()
        print(name, json.dumps(figures[name], indent=1), flush=True)
        write_result("live", 0, figures)


def alone() -> dict[str, Any]:
    """One wearable of 100 Hz, four windows a second: share of a core, latency, memory, and how soon it is ready."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "port")
        ready = [_ready(link) for _ in range(STARTS)]
        with PseudoTerminal(link) as port:
            device = _device(ALONE_S, 1)
            words = ["--port", str(link), "--hop-s", str(HOP_S), "--timing", "--reconnect", "0"]
            with _running(words) as process:
                playing = threading.Thread(target=play, args=(port, FaultyLine(Faults(), 0), device, 1.0))
                playing.start()
                time.sleep(ALONE_S / 4)
                begin, cpu = time.monotonic(), _cpu_s(process.pid)
                time.sleep(ALONE_S / 2)
                share = (_cpu_s(process.pid) - cpu) / (time.monotonic() - begin)
                memory = _status(process.pid, "VmRSS")
                loaded = _maps(process.pid)
                playing.join()
        out, err = process.out(), process.err()
    latency = re.search(r"from bytes to events: median ([\d.]+) ms, p10 [\d.]+, p99 ([\d.]+)", err)
    assert latency is not None, err
    return {
        "share_of_a_core": share, "windows_a_second": 1 / HOP_S, "memory_mib": memory,
        "latency_ms_median": float(latency[1]), "latency_ms_p99": float(latency[2]),
        "ready_s_median": float(np.median(ready)), "ready_s_largest": max(ready), "starts": STARTS,
        "torch_loaded": "torch" in loaded, "windows": sum('"type":"window"' in line for line in out),
        "lost": json.loads(out[-1])["lost"],
    }  # fmt: skip


def _ready(link: Path) -> float:
    """Seconds from the start of the command until it has the port open and asks the device to start."""
    with PseudoTerminal(link) as port:
        begin = time.monotonic()
        with _running(["--port", str(link)]):
            while not port.receive():
                time.sleep(0.002)
            return time.monotonic() - begin


def unplugged() -> dict[str, Any]:
    """A port that vanishes fifty times: how soon events come after it is back, and whether anything leaks."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "port")
        faults = Faults(unplug_s=PLUGGED_S, replug_s=AWAY_S)
        device = faulty_device(motion((UNPLUGS + 0.5) * (PLUGGED_S + AWAY_S), HZ, 2), HZ, faults, 2)
        appeared: list[float] = []
        memory, files = [], []
        with PseudoTerminal(link) as port, _running(["--port", str(link), "--hop-s", str(HOP_S)]) as process:
            playing = threading.Thread(target=play, args=(port, FaultyLine(faults, 2), device, 1.0))
            playing.start()
            there = True
            while playing.is_alive():
                if (now := link.exists()) and not there:
                    appeared.append(time.monotonic())
                    memory.append(_status(process.pid, "VmRSS"))
                    files.append(len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
                there = now
                time.sleep(0.005)
            time.sleep(1)
            heard = [at for at, line in process.lines if '"state":"connected"' in line]
        waits = [min((at - back for at in heard if at > back), default=float("inf")) for back in appeared]
        end = json.loads(process.out()[-1])
    return {
        "unplugged": len(appeared), "connected_after_s_median": float(np.median(waits)),
        "connected_after_s_largest": max(waits), "memory_mib_first_and_last": [memory[0], memory[-1]],
        "files_first_and_last": [files[0], files[-1]], "bad_frames": end["bad_frames"],
    }  # fmt: skip


def crowd() -> dict[str, Any]:
    """Wearables by TCP on loopback, one window a second each: losses, share of a core, and what of it is the model."""
    found = {}
    for count in CROWD:
        words = ["--listen", "0", "--hop-s", "1", "--timing", "--explain", "top", "--reconnect", "1"]
        with tempfile.TemporaryDirectory() as folder:
            token = Path(folder, "token")
            token.write_text(TOKEN)
            with _running([*words, "--token", str(token)]) as process:
                port = int(process.said(r"listening on 127\.0\.0\.1:(\d+)"))
                sender = subprocess.Popen([sys.executable, __file__, "send", str(port), str(count), str(CROWD_S)])
                time.sleep(CROWD_S / 2)
                begin, cpu = time.monotonic(), _cpu_s(process.pid)
                time.sleep(CROWD_S / 3)
                share = (_cpu_s(process.pid) - cpu) / (time.monotonic() - begin)
                memory = _status(process.pid, "VmRSS")
                assert sender.wait() == 0
                time.sleep(3)
        ends = [json.loads(line) for line in process.out() if '"type":"end"' in line]
        took = re.search(r"model: median ([\d.]+) ms", process.err())
        assert took is not None, process.err()
        samples = round(CROWD_S * HZ)
        found[str(count)] = {
            "ends": len(ends), "lost": sum(end["lost"] for end in ends),
            "bad_frames": sum(end["bad_frames"] for end in ends),
            "windows": sum(end["windows"] for end in ends), "samples_each": samples, "share_of_a_core": share,
            "share_of_a_core_each": share / count, "model_ms_a_window": float(took[1]),
            "models_share_of_the_time": float(took[1]) / 1e3 * count / share, "memory_mib": memory,
            "too_slow": "too slow" in process.err(),
        }  # fmt: skip
    most = found[str(CROWD[-1])]
    return found | {"wearables_a_core": 1 / most["share_of_a_core_each"]}


def send(port: int, count: int, seconds: float) -> None:
    """`count` wearables that connect to the listener and send at true speed."""
    devices = [_device(seconds, k) for k in range(count)]
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in devices]
    for line in lines:
        line.sendall(TOKEN.encode() + b"\n")
    begin = time.monotonic()
    # Not all in the same moment: as wearables that were switched on at different times.
    late = np.linspace(0, 0.1, count, endpoint=False)
    open_ones = set(range(count))
    while open_ones:
        now = time.monotonic() - begin
        for k in list(open_ones):
            for _, frame in devices[k].frames_until(now - late[k]):
                lines[k].sendall(frame)
            if devices[k].next_due_s is None:
                open_ones.discard(k)
        time.sleep(0.005)
    time.sleep(1)
    for line in lines:
        while select.select([line], [], [], 0)[0] and line.recv(4096):
            pass
        line.close()


def _device(seconds: float, uid: int) -> SimulatedDevice:
    t, xyz = map(np.concatenate, zip(*motion(seconds, HZ, uid % 7), strict=True))
    return SimulatedDevice(t, xyz, HZ, uid=uid)


class _Process:
    """mmvq-run with its lines of stdout as they come, each with the monotonic second of its coming."""

    def __init__(self, words: Sequence[str]) -> None:
        command = [sys.executable, "-m", "mmvq_run", *words, "--model", str(PACKAGED), "--format", "jsonl"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.lines: list[tuple[float, str]] = []
        self._errors: list[str] = []
        assert self._process.stdout is not None and self._process.stderr is not None
        out, err = self._process.stdout, self._process.stderr
        self._readers = [
            threading.Thread(target=lambda: self.lines.extend((time.monotonic(), line.rstrip()) for line in out)),
            threading.Thread(target=lambda: self._errors.extend(err)),
        ]
        for reader in self._readers:
            reader.start()

    def said(self, pattern: str) -> str:
        """What stderr says, once it does."""
        while (found := re.search(pattern, self.err())) is None:
            assert self._process.poll() is None, self.err()
            time.sleep(0.01)
        return found[1]

    def out(self) -> list[str]:
        """Lines of stdout so far."""
        return [line for _, line in self.lines]

    def err(self) -> str:
        """stderr so far."""
        return "".join(self._errors)

    def end(self) -> None:
        """Ask for the end, and wait for it."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        for reader in self._readers:
            reader.join()


@contextmanager
def _running(words: Sequence[str]) -> Iterator[_Process]:
    process = _Process(words)
    try:
        yield process
    finally:
        process.end()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_HZ


def _status(pid: int, key: str) -> float:
    """In MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def _maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
