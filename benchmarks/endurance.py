"""Hours of bad line in seconds: what the runtime makes of damage, losses, drifting clocks and a whole day.

    python benchmarks/endurance.py [PART ...]       # damage, losses, clock, day, killed; writes results/endurance.json

A simulated wearable of 100 Hz (mmvq_bridge.faults), the packaged model. Parts that are not named keep their figures.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from common import RESULTS, asked, write_result

from mmvq_bridge.faults import Connection, Faults, FaultyLine, Heard, faulty_device, hear
from mmvq_bridge.frames import Data, Decoder, Hello
from mmvq_bridge.stream.decode import FrameTimer
from mmvq_bridge.stream.records import MAGIC, Record, encode
from mmvq_bridge.stream.timed import Wearer
from mmvq_bridge.synthetic import motion
from mmvq_run.model import PACKAGED, Model
from mmvq_run.pipeline import Options, answered
from mmvq_run.session import Session
from mmvq_run.sources.synthetic import heard

HZ: Final = 100.0
HOUR: Final = 3600.0
SEED: Final = 1
POLL_S: Final = 0.2
KILLS: Final = 20


def main() -> None:
    parts = {"damage": damage, "losses": losses, "clock": clock, "day": day, "killed": killed}
    path = RESULTS / "endurance.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    figures = {name: before[name] for name in parts if name in before}
    for name in asked(parts):
        start = time.perf_counter()
        figures[name] = parts[name]() | {"seconds": time.perf_counter() - start}
        print(name, json.dumps(figures[name], indent=1), flush=True)
        write_result("endurance", SEED, figures)


def damage() -> dict[str, Any]:
    """An hour in which each byte is another one with a probability of 1 in 10,000."""
    return _hour(Faults(wrong_bytes=1e-4))


def losses() -> dict[str, Any]:
    """An hour in which 1 % of the frames never come."""
    return _hour(Faults(drop=0.01))


def _line(faults: Faults, seconds: float) -> tuple[Connection, FaultyLine]:
    line = FaultyLine(faults, SEED)
    return Connection(faulty_device(motion(seconds, HZ, SEED), HZ, faults, SEED), line), line


def _hour(faults: Faults) -> dict[str, Any]:
    connection, _ = _line(faults, HOUR)
    frames = [item for item in hear(connection) if isinstance(item, Heard)]
    decoder, passed, wrong, at = Decoder(), 0, 0, 0
    for item in frames:
        for frame in decoder.feed(item.wire):
            passed += 1
            found = next((k for k in range(at, len(frames)) if frame in Decoder().feed(frames[k].sent)), None)
            if found is None:
                wrong += 1
            else:
                at = found + 1
    sent = sum(len(f.samples) for item in frames for f in Decoder().feed(item.sent) if isinstance(f, Data))
    told, samples = _events(faults)
    clean, _ = _events(Faults())
    by_start = {event["start"]: event for event in clean if event["type"] == "window"}
    windows = [event for event in told if event["type"] == "window"]
    whole = [event for event in windows if "patched" not in event]
    same = [event["label"] == by_start[event["start"]]["label"] for event in whole]
    end = told[-1]
    return {
        "frames": len(frames), "frames_damaged": sum(item.wire != item.sent for item in frames),
        "frames_accepted": passed, "wrong_frames_accepted": wrong, "bad_frames_counted": end["bad_frames"],
        "samples_sent": sent, "samples_received": samples, "samples_lost": end["lost"],
        "unaccounted": sent - samples - end["lost"],
        "windows": len(windows), "windows_of_the_clean_stream": len(by_start), "windows_without_a_patch": len(whole),
        "labels_equal_to_the_clean_stream_where_nothing_was_lost": float(np.mean(same)),
    }  # fmt: skip


def _events(faults: Faults, model: Model | None = None) -> tuple[list[dict[str, Any]], int]:
    """An hour's events and the number of samples that were understood."""
    model = model or Model(PACKAGED)
    session = Session(model.metadata, Options(explain="none"))
    told = [event for record in _records(faults, HOUR) for event in answered(session.feed(record), model.predict)]
    return told + answered(session.finish(), model.predict), session.samples


def _records(faults: Faults, seconds: float) -> Iterator[Record]:
    return heard(faulty_device(motion(seconds, HZ, SEED), HZ, faults, SEED), FaultyLine(faults, SEED), "simulated")


def clock() -> dict[str, Any]:
    """Ten minutes of a clock that is off, wraps after five and is reset after seven, with 50 ms of jitter."""
    found = {}
    for ppm in (-500.0, 500.0):
        faults = Faults(drift_ppm=ppm, jitter_ms=50, clock_s=2**32 / 1e6 - 300, reset_s=420)
        punctual = Faults(drift_ppm=ppm, clock_s=faults.clock_s, reset_s=420)
        decoder, timer = Decoder(), FrameTimer(arrival=True)
        errors, states, session_error, booted = [], [], 0.0, 0.0
        for late, due in zip(hear(_line(faults, 600)[0]), hear(_line(punctual, 600)[0]), strict=True):
            assert isinstance(late, Heard) and isinstance(due, Heard) and late.sent == due.sent
            for frame in decoder.feed(late.wire):
                items = timer.feed(frame, round(late.at_s * 1e9))
                states += [item.state for item in items if isinstance(item, Wearer)]
                if isinstance(frame, Hello) and len(states) == 2 and not booted:
                    booted = due.at_s
                if isinstance(frame, Data):
                    if booted and not session_error:
                        session_error = timer.last_t - due.at_s * (1 + ppm / 1e6)
                    since = due.at_s - booted
                    errors.append((since, timer.clock.host(timer.last_device_s) - due.at_s))
        known = np.array([error for since, error in errors if since > 60])
        found[f"{ppm:+g} ppm"] = {
            "largest_error_ms_after_a_minute": float(np.abs(known).max() * 1e3), "frames": len(errors),
            "found_ppm": 1e6 * (1 / timer.clock.rate - 1), "uncertainty_ppm": 2e6 * timer.clock.error, "states": states,
            "session_time_off_at_the_reset_ms": session_error * 1e3,
        }  # fmt: skip
    return found


def day() -> dict[str, Any]:
    """24 hours of stream as a capture, through the command as fast as possible: memory over time, and losses."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "day.mmvqcap")
        with path.open("wb") as file:
            file.write(MAGIC)
            for record in _records(Faults(), 24 * HOUR):
                file.write(encode(record))
        words = [sys.executable, "-m", "mmvq_run", "--input", path, "--model", PACKAGED, "--format", "jsonl"]
        start = time.perf_counter()
        with Path(folder, "events").open("wb") as out, subprocess.Popen(words, stdout=out) as process:
            memory = []
            while process.poll() is None:
                memory.append(_memory_mib(process.pid))
                time.sleep(POLL_S)
        took = time.perf_counter() - start
        lines = Path(folder, "events").read_bytes().splitlines()
        end = json.loads(lines[-1])
        memory = [mib for mib in memory if mib]
        quarter = len(memory) // 4
        return {
            "capture_mb": path.stat().st_size / 1e6, "took_s": took, "times_true_speed": 24 * HOUR / took,
            "windows": end["windows"], "lost": end["lost"], "bad_frames": end["bad_frames"], "events": len(lines),
            "memory_mib_after_a_quarter": memory[quarter], "memory_mib_at_the_end": memory[-1],
            "memory_mib_largest": max(memory),
        }  # fmt: skip


def _memory_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def killed() -> dict[str, Any]:
    """SIGKILL in mid-run, at moments that differ: what sinks hold afterwards, against what stdout had."""
    behind: dict[str, list[int]] = {"file": [], "sqlite": []}
    corrupt = 0
    for k in range(KILLS):
        with tempfile.TemporaryDirectory() as folder:
            lines, database = Path(folder, "events.jsonl"), Path(folder, "events.db")
            words = ["--port", "synthetic://?rate=100", "--hop-s", "0.25", "--format", "jsonl"]
            words += ["--sink", f"file:{lines}", "--sink", f"sqlite:{database}", "--model", str(PACKAGED)]
            with subprocess.Popen([sys.executable, "-m", "mmvq_run", *words], stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                seen = [(time.monotonic(), line) for line, _ in zip(process.stdout, range(30 + 3 * k), strict=False)]
                process.kill()
            before = sum(at < seen[-1][0] - 1 for at, _ in seen)  # told over a second before
            kept = [json.loads(line) for line in lines.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
            with sqlite3.connect(database) as connection:
                corrupt += connection.execute("PRAGMA integrity_check").fetchone() != ("ok",)
                rows = connection.execute("SELECT COUNT(*) FROM events").fetchone()[0]
            behind["file"].append(max(0, before - len(kept)))
            behind["sqlite"].append(max(0, before - rows))
    return {
        "kills": KILLS, "corrupt": corrupt,
        "events_missing_that_were_told_over_a_second_before": {name: max(some) for name, some in behind.items()},
    }  # fmt: skip


if __name__ == "__main__":
    main()
