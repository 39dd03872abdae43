#!/bin/sh
# The whole way once: real recordings -> training -> int8 model -> live labels from a simulated wearable that speaks the
# real protocol through a real pseudo-terminal. The wearer it plays is a test person: the model never saw them.
set -eu
BIN=${BIN:-.venv/bin}
DATA=training/mmvq_train/embedded/wisdm.parquet

echo "== 1 of 3: mmvq-train (twelve wearers of WISDM, small preset)"
"$BIN/mmvq-train"
echo "== 2 of 3: mmvq-export --quantize int8"
"$BIN/mmvq-export" --quantize int8

echo "== 3 of 3: mmvq-run --port, on a wearable played by mmvq-bridge simulate (wearer 1610, 8 times as fast)"
folder=$(mktemp -d)
"$BIN/mmvq-bridge" simulate "$DATA" --link "$folder/wearable" --speed 8 --subject 1610 \
    --recording 180 --recording 181 --recording 183 --recording 185 --recording 196 &
device=$!
trap 'kill "$device" 2>/dev/null || true; rm -rf "$folder"' EXIT INT TERM
until [ -e "$folder/wearable" ]; do sleep 0.1; done
# The recording ends and the port vanishes with it: mmvq-run flushes, says so, and exits with 1, as it should.
status=0
"$BIN/mmvq-run" --port "$folder/wearable" --reconnect 0 --format text --record "$folder/live.mmvqcap" || status=$?
[ "$status" -le 1 ] || exit "$status"
cp "$folder/live.mmvqcap" runs/latest/

echo
echo "Wearer 1610 was walking, jogging, sitting, typing and clapping, a minute each."
echo "report:  $(pwd)/runs/latest/report.html   (open it in a browser)"
echo "model:   $(pwd)/runs/latest/student.onnx"
echo "capture: $(pwd)/runs/latest/live.mmvqcap  (replay it: $BIN/mmvq-run --input runs/latest/live.mmvqcap)"
