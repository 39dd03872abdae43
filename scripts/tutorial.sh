#!/bin/sh
# docs/tutorial.md from beginning to end, without a board: a simulated wearable plays a minute of walking and a minute of
# clapping of one person, and the labels are typed by this script. About three minutes.
set -eu
BIN=$(cd "${BIN:-.venv/bin}" && pwd)
FILE=$(cd training/mmvq_train/embedded && pwd)/wisdm.parquet
cd "$(mktemp -d)"
PATH=$BIN:$PATH

board() { # a wearable at ./wrist: these recordings, at this speed
    mmvq-bridge simulate "$FILE" --link wrist --recording 0 --recording 16 "$@" &
    trap 'kill $! 2> /dev/null || true' EXIT INT TERM
    until [ -e wrist ]; do sleep 0.1; done
}
gone() { wait $! || true; rm -f wrist; }

echo "== 1 of 5: is the board well?"
board --fault unplug=20
mmvq-bridge check --port wrist --seconds 12
gone

echo "== 2 of 5: record, with labels typed in"
board
(sleep 3; echo strolling; sleep 57; echo applauding; sleep 58; echo quit) |
    mmvq-bridge record --port wrist --out mine.parquet --subject me
kill $!; gone

echo "== 3 of 5: train"
mmvq-train --data mine.parquet --window-s 4 --hop-s 0.5 --pieces.views axes --teachers.use none

echo "== 4 of 5: export"
mmvq-export --quantize int8

echo "== 5 of 5: run"
board --speed 8
mmvq-run --port wrist --reconnect 0 --format text || [ $? -eq 1 ] # the port vanishes with the end of the recording
gone
echo "everything is in $(pwd)"
