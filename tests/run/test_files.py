"""mmvq-run on files and pipes, in this process or as a command."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tiny_model
from wearing import capture, frames, hello, of, parsed, records, signal, write_csv

WALK = signal(("sitting", 20), ("walking", 25))


@pytest.fixture
def a_capture(tmp_path):
    path = tmp_path / "a.mmvqcap"
    path.write_bytes(capture(records([hello(), *frames(WALK)])))
    return path


def command(*words, model, **options):
    return subprocess.run(
        [sys.executable, "-m", "mmvq_run", *map(str, words), "--model", str(model)],
        capture_output=True, check=False, timeout=60, **options,
    )  # fmt: skip


def refused(run, *words, match, status=2):
    got, out, err = run(*words)
    assert got == status
    assert out == []
    (line,) = [line for line in err.splitlines() if not line.startswith("mmvq-run: model ")]
    assert match in line
    assert line.startswith("mmvq-run: ")


def test_a_capture_is_replayed_with_its_own_source_and_wall_time(run, a_capture):
    status, out, err = run("--input", a_capture)
    events = parsed(out)
    assert status == 0
    assert (events[0]["source"], events[0]["wall"]) == ("test", "2026-11-22T10:00:00Z")
    assert events[-1]["windows"] == len(of(events, "window")) == 36
    assert "model" in err


def test_the_suffix_says_nothing_about_the_content(run, a_capture):
    misnamed = a_capture.rename(a_capture.with_suffix(".parquet"))
    assert run("--input", misnamed)[0] == 0


def test_a_replay_of_a_replays_capture_is_the_same(run, a_capture, tmp_path):
    again = tmp_path / "again.mmvqcap"
    first = run("--input", a_capture, "--record", again)[1]
    assert again.read_bytes() == a_capture.read_bytes()
    assert run("--input", again, "--speed", "max")[1] == run("--input", again, "--speed", "1000")[1] == first


def test_raw_frames_are_taken_with_a_notice(run, tmp_path):
    raw = tmp_path / "dump.csv"
    raw.write_bytes(b"".join([hello(), *frames(WALK)]))
    status, out, err = run("--input", raw)
    assert status == 0
    assert len(of(parsed(out), "window")) == 36
    assert "bytes without arrival times" in err


def test_lines_of_a_file_need_t_ms(run, tmp_path):
    with_time, without = tmp_path / "a.bin", tmp_path / "b.bin"
    rows = [f"{x:.4f},{y:.4f},{z:.4f}\n" for x, y, z in WALK]
    with_time.write_text("".join(f"{i * 50},{row}" for i, row in enumerate(rows)))
    without.write_text("".join(rows))
    status, out, _ = run("--input", with_time)
    assert status == 0 and len(of(parsed(out), "window")) == 36
    status, out, err = run("--input", without)
    assert status == 2 and "give t_ms,x,y,z" in err.splitlines()[-1]


def test_recordings_of_a_file_are_streams_of_their_own(run, tmp_path):
    path = write_csv(
        tmp_path / "two.csv",
        (7, signal(("walking", 12)), ["walking"] * 240),
        (3, signal(("sitting", 11)), ["sitting"] * 220),
    )
    events = parsed(run("--input", path)[1])
    kinds = {n: [e["type"] for e in events if e["recording"] == n] for n in (7, 3)}
    assert kinds[7] == ["session", "device", "window", "window", "window", "activity", "activity", "end"]
    assert kinds[3] == ["session", "device", "window", "window", "end"]
    assert [e["t"] for e in events if e["type"] == "session"] == [0.0, 0.0]


def test_at_any_speed_a_recording_gives_the_same_lines(run, tmp_path):
    path = write_csv(tmp_path / "one.csv", (0, WALK, ["walking"] * 900))
    assert run("--input", path, "--speed", "500")[1] == run("--input", path)[1]


def test_a_single_recording_needs_no_number(run, tmp_path):
    path = write_csv(tmp_path / "one.csv", (0, signal(("walking", 12)), ["walking"] * 240))
    assert all("recording" not in event for event in parsed(run("--input", path)[1]))


def test_metres_per_second_squared_are_noticed_and_said(run, tmp_path):
    path = write_csv(tmp_path / "ms2.csv", (0, signal(("sitting", 12)), ["sitting"] * 240), scale=9.80665)
    status, out, err = run("--input", path)
    assert status == 0 and "taken for m/s²" in err
    assert {w["label"] for w in of(parsed(out), "window")} == {"sitting"}


def test_score_compares_with_the_files_labels(run, tmp_path):
    labels = ["sitting"] * 400 + ["walking"] * 500
    status, out, err = run("--input", write_csv(tmp_path / "l.csv", (0, WALK, labels)), "--score")
    assert status == 0
    # 20 s of sitting and 25 of walking: the window from 15 to 25 s holds less than 60 % of either
    assert "macro-F1 1.0000, balanced accuracy 1.0000 over 35 windows and 2 labels" in err
    assert "left out for want of a label: 1" in err
    assert "sitting 0    15   0" in err and "walking 1     0  20" in err
    assert all(json.loads(line) for line in out)


def test_score_counts_labels_that_the_model_does_not_know_as_wrong(run, tmp_path):
    labels = ["sitting"] * 400 + ["knitting"] * 500
    _, _, err = run("--input", write_csv(tmp_path / "l.csv", (0, WALK, labels)), "--score")
    assert "does not know knitting" in err
    assert "macro-F1 0.5000, balanced accuracy 0.5000" in err
    assert "told but never true: 2 walking" in err


def test_timing_goes_to_stderr_only(run, a_capture):
    plain = run("--input", a_capture)
    timed = run("--input", a_capture, "--timing")
    assert timed[1] == plain[1]
    assert "model: median" in timed[2]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"hello world\n" * 50, "neither a recording nor a stream"),
        (bytes(range(256)) * 40, "neither a recording nor a stream"),
        (b"MD\xfc\x03" + bytes(1020), "an Axivity file"),
        (b"Device Identity\r\nDevice Unique Serial Code:012\r\n", "a GENEActiv file"),
        (b"Device Type,GENEActiv\n", "a GENEActiv CSV"),
        (b"PK\x03\x04" + bytes(100), "ActiGraph"),
        (b"PAR1" + bytes(100), "not a whole Parquet file"),
        (b"MMVQCAP1", "without records"),
        (b"MMVQCAP1" + b"\xff" * 100, "is none"),
        (b"recording,subject,label,t_ms,x,y\n", "neither"),
        (b"recording,subject,t_ms,x,y,z\n0,a,0,0,0,1\n", "column label is missing"),
        (b"recording,subject,label,t_ms,x,y,z\n0,a,w,0,0,nan,1\n", "row 1, column y: nan is not finite"),
        (b"recording,subject,label,t_ms,x,y,z\n0,a,w,0,0,0,one\n", "row 1, column z: 'one' is not a number"),
    ],
)
def test_files_that_cannot_be_used_are_refused_in_one_line(run, tmp_path, content, match):
    path = tmp_path / "input"
    path.write_bytes(content)
    refused(run, "--input", path, match=match)


def test_a_missing_file_is_named(run, tmp_path):
    refused(run, "--input", tmp_path / "gone", match="gone: No such file")


def test_a_capture_of_noise_ends_with_a_line_that_says_so(run, tmp_path):
    path = tmp_path / "noise.mmvqcap"
    path.write_bytes(capture(records([np.random.default_rng(0).bytes(300) for _ in range(30)])))
    status, out, err = run("--input", path)
    assert status == 2
    assert parsed(out)[-1]["type"] == "end"
    assert "is --baud right?" in err and "nothing in the input became a sample" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "give one of --port"),
        (["--demo", "--port", "/dev/x"], "give one of --port"),
        (["--demo", "--speed", "-1"], "--speed"),
        (["--demo", "--speed", "fast"], "--speed"),
        (["--port", "/dev/x", "--speed", "2"], "leave --speed out"),
        (["--demo", "--hop-s", "0"], "--hop-s"),
        (["--demo", "--hop-s", "0.01"], "less than one sample"),
        (["--demo", "--units", "inches"], "--units 'inches' is unknown"),
        (["--demo", "--units", "counts:none"], "counts:N"),
        (["--demo", "--score"], "leave --score out"),
        (["--port", "/dev/x", "--reconnect", "-3"], "--reconnect"),
        (["--port", "/dev/x", "--baud", "0"], "--baud 0"),
        (["--demo", "--format", "xml"], "--format"),
    ],
)
def test_wrong_usage_is_one_line(run, words, match):
    refused(run, *words, match=match)


def test_record_refuses_to_overwrite_and_recordings_have_no_bytes(run, a_capture, tmp_path):
    refused(run, "--input", a_capture, "--record", a_capture, match="there already")
    (tmp_path / "b.part").touch()
    refused(run, "--input", a_capture, "--record", tmp_path / "b", match="left by a run that was killed")
    path = write_csv(tmp_path / "one.csv", (0, signal(("walking", 12)), ["walking"] * 240))
    refused(run, "--input", path, "--record", tmp_path / "c", match="leave --record out")
    refused(run, "--input", a_capture, "--record", tmp_path / "no" / "d", match="No such file")


def test_no_model_says_what_to_do(monkeypatch, tmp_path, capfd):
    from mmvq_run import model
    from mmvq_run.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMVQ_MODEL", raising=False)
    monkeypatch.setattr(model, "PACKAGED", tmp_path / "student.onnx")
    assert main(["--demo"]) == 2
    assert "give --model FILE or MMVQ_MODEL" in capfd.readouterr().err


def test_version_is_told(capfd):
    from mmvq_run.cli import main

    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0 and capfd.readouterr().out.startswith("mmvq-run 0.")


@pytest.mark.parametrize("what", ["capture", "csv", "frames", "lines"])
def test_standard_input_takes_what_a_file_may_hold(what, run, a_capture, tmp_path, model_path):
    if what == "capture":
        content, count = a_capture.read_bytes(), 36
    elif what == "csv":
        path = write_csv(tmp_path / "one.csv", (0, WALK, ["walking"] * 900))
        content, count = path.read_bytes(), 36
    elif what == "frames":
        content, count = b"".join([hello(), *frames(WALK)]), 36
    else:
        content = "".join(f"{i * 50},{x:.4f},{y:.4f},{z:.4f}\n" for i, (x, y, z) in enumerate(WALK)).encode()
        count = 36
    done = command("--input", "-", model=model_path, input=content)
    assert done.returncode == 0, done.stderr
    assert len(of(parsed(done.stdout.decode().splitlines()), "window")) == count


def test_a_live_pipe_without_times_that_ends_at_once_is_refused(model_path):
    content = "".join(f"{x:.4f},{y:.4f},{z:.4f}\n" for x, y, z in WALK).encode()
    done = command("--input", "-", model=model_path, input=content)
    assert done.returncode == 2
    assert b"to know their rate takes 5 s" in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly(a_capture, model_path):
    with subprocess.Popen(
        [sys.executable, "-m", "mmvq_run", "--input", str(a_capture), "--model", str(model_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read().decode()
    assert process.returncode == 0
    assert err.splitlines() == [f"mmvq-run: model {model_path} (tiny)"]


def test_a_model_file_that_is_damaged_is_one_line(run, tmp_path, a_capture):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(tiny_model.build()[:-100])
    status, out, err = run("--input", a_capture, model=bad)
    assert (status, out) == (2, [])
    assert len(err.splitlines()) == 1 and "bad.onnx" in err


@pytest.mark.parametrize("module", ["mmvq_run", "mmvq_run.cli", "mmvq_run.signal"])
def test_importing_the_runtime_loads_nothing_heavy(module):
    heavy = {"torch", "onnx", "lightning", "pyarrow", "onnxruntime"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
