/**
 * An mmvq model file run from JavaScript: label and reasons of every window of a recording, a JSON line each.
 *
 *     node classify.mjs MODEL RECORDING.csv [--raw]        --raw: all outputs of the model instead
 *
 * To copy: `openModel` (checks before ONNX Runtime sees a byte), `Windower` (samples in, windows out), `predict`
 * (outputs, checked) and `explain` (outputs to words). Exit status: 0 done, 1 failed, 2 wrong usage or bad input.
 */

import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { InferenceSession, Tensor, env } from 'onnxruntime-node';

const SHOWN = 5; // pieces in a line
const AGREEING = 0.5; // of the token's likeliest sub-action, for a tested name to be told
const LARGEST_FILE = 64 << 20; // bytes; a model for the edge has 0.3 MB
const MOST_TOKENS = 10_000;
const LONGEST_GAP_S = 0.25; // or three periods: interpolated up to here, beyond it windows start afresh
const TICK_S = 1e-7; // a tenth of a microsecond, the finest clock that a wearable has
const FASTER = 1.05; // a source faster than this would alias; device clocks are no better than 3 %
const LIMIT_G = 32; // no wrist device measures more
const HEADER = 'recording,subject,label,t_ms,x,y,z';
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

/** What the caller gave cannot be used. */
class BadInput extends Error {}

// ---- the model file -------------------------------------------------------------------------------------------------

/** Read a model file, check it, load it: {meta, session}. */
async function openModel(path) {
  const data = await readFile(path).catch((error) => {
    throw new BadInput(`${path}: ${error.message}`);
  });
  try {
    if (data.length > LARGEST_FILE) throw new BadInput(`larger than ${LARGEST_FILE >> 20} MB`);
    const properties = readProperties(data);
    for (const key of ['mmvq', 'mmvq.sha256']) {
      if (!properties.has(key)) throw new BadInput(`no property ${key}; make it with mmvq-export`);
    }
    const [start, stop] = properties.get('mmvq.sha256');
    if (stop - start !== 64 || text(data, start, stop).toLowerCase() !== checksum(data, start)) {
      throw new BadInput('the checksum does not fit: the file was changed or damaged; export or copy it again');
    }
    const meta = readMetadata(text(data, ...properties.get('mmvq')));
    // One thread, which sleeps between windows. Bytes, not a path, so that no reference out of the file is followed.
    const session = await InferenceSession.create(data, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 4, // its errors come as exceptions
    });
    return { meta, session };
  } catch (error) {
    throw new BadInput(`${path}: ${error.message}`);
  }
}

/** The SHA-256 of a file with the 64 digits at `at`, its own, replaced by zeros. */
function checksum(data, at) {
  const zeroed = Buffer.from(data);
  zeroed.fill('0', at, at + 64);
  return createHash('sha256').update(zeroed).digest('hex');
}

/**
 * metadata_props of an ONNX file: key -> [start, stop] of its value. The file is one protobuf message, ModelProto, of
 * which only the top level is walked: field 14 holds messages with field 1 (key) and field 2 (value).
 * https://protobuf.dev/programming-guides/encoding/
 */
function readProperties(data) {
  const properties = new Map();
  for (const [number, start, stop] of fields(data, 0, data.length)) {
    if (number !== 14) continue;
    const entry = new Map();
    for (const [field, ...place] of fields(data, start, stop)) entry.set(field, place);
    if (!entry.has(1) || !entry.has(2)) continue;
    const key = text(data, ...entry.get(1));
    if (properties.has(key)) throw new BadInput(`property ${key} twice`);
    properties.set(key, entry.get(2));
  }
  return properties;
}

/** [number, start, stop] of a message's fields. */
function* fields(data, at, end) {
  const varint = () => {
    let value = 0;
    for (let i = 0; i < 10 && at < end; i++) {
      const byte = data[at++];
      value += (byte & 0x7f) * 2 ** (7 * i); // no shift: those have 32 bits
      if (byte < 0x80) return value;
    }
    throw new BadInput('no whole ONNX file');
  };
  while (at < end) {
    const tag = varint();
    const wire = tag % 8;
    let start = at;
    let length = { 1: 8, 5: 4 }[wire];
    if (wire === 0) {
      varint();
      length = at - start;
    } else if (wire === 2) {
      length = varint();
      start = at;
    }
    if (tag < 8 || !(start + length <= end)) throw new BadInput('no whole ONNX file'); // also of an unknown wire type
    at = start + length;
    yield [Math.floor(tag / 8), start, at];
  }
}

const text = (data, start, stop) => data.toString('utf8', start, stop);

// Names go to a terminal, which would obey control characters.
const isName = (value) => typeof value === 'string' && value !== '' && !/\p{C}/u.test(value);
const areNames = (value) => Array.isArray(value) && value.length <= 1000 && value.every(isName);
const isCode = (code) => typeof code === 'object' && code !== null && (code.name == null || isName(code.name));
const between = (value, low, high) => typeof value === 'number' && low <= value && value <= high;

/** What must hold of the metadata before anybody relies on them. */
const METADATA = {
  schema: (value) => value === 1,
  units: (value) => value === 'g',
  axes: (value) => value === 'xyz',
  labels: (value) => areNames(value) && value.length > 0,
  sub_actions: areNames,
  codes: (value) => Array.isArray(value) && value.length <= 65_536 && value.every(isCode),
  rate_hz: (value) => between(value, 1, 10_000),
  window: (value) => Number.isInteger(value) && between(value, 2, 100_000),
  hop_s: (value, meta) => between(value, 1 / meta.rate_hz, 100_000 / meta.rate_hz),
  unknown_threshold: (value) => Number.isFinite(value),
};

function readMetadata(json) {
  const meta = JSON.parse(json);
  for (const [key, holds] of Object.entries(METADATA)) {
    if (!holds(meta?.[key], meta)) throw new BadInput(`its metadata's ${key} cannot be used; export it again`);
  }
  return meta;
}

// ---- samples to windows ---------------------------------------------------------------------------------------------

/**
 * Samples of one recording onto the model's grid by straight lines, and the grid into windows that start at multiples
 * of the hop. After a gap that is too long for a line windows start afresh, none goes across.
 */
class Windower {
  constructor({ rate_hz, window, hop_s }) {
    Object.assign(this, { rate: rate_hz, window, hop: hop_s * rate_hz });
    this.gap = Math.max(LONGEST_GAP_S, 3 / rate_hz) + TICK_S;
    this.xyz = new Float32Array(3 * window); // the last points of the grid
    this.last = null;
  }

  /** Take a sample: seconds since the recording's first, g. Yields [start in seconds, Float32Array(3 window)]. */
  *push(t, xyz) {
    if (this.last === null || t - this.last.t > this.gap) {
      this.point = Math.ceil((t - TICK_S) * this.rate);
      this.points = this.samples = 0;
      this.last = { t, xyz };
    }
    this.samples++;
    for (; this.point <= (t + TICK_S) * this.rate; this.point++) {
      const step = t - this.last.t;
      const share = step > 0 ? Math.min(Math.max((this.point / this.rate - this.last.t) / step, 0), 1) : 0;
      this.xyz.copyWithin(0, 3);
      this.xyz.set(xyz.map((value, axis) => this.last.xyz[axis] * (1 - share) + value * share), this.xyz.length - 3);
      this.points++;
      const begin = this.point + 1 - this.window;
      if (this.points < this.window || begin !== roundEven(Math.round(begin / this.hop) * this.hop)) continue;
      if (this.samples > FASTER * this.points + 1) {
        throw new BadInput(`faster than the model's ${this.rate} Hz: filter and resample first, as mmvq-run does`);
      }
      yield [begin / this.rate, this.xyz.slice()];
    }
    this.last = { t, xyz };
  }
}

/** Half to even, as Python rounds: a hop need not be a whole number of samples. */
function roundEven(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

/** Lines of a text file, which is closed also where the caller stops early: Node warns of one that is not. */
async function* readLines(path) {
  const file = await open(path).catch((error) => {
    throw new BadInput(`${path}: ${error.message}`);
  });
  const input = file.createReadStream();
  try {
    if ((await file.stat()).isDirectory()) throw new BadInput(`${path}: a folder, not a recording`);
    yield* createInterface({ input, crlfDelay: Infinity });
  } finally {
    input.destroy();
  }
}

/** Samples of a CSV recording: {recording, t (s), xyz (g)}. What cannot be meant is refused with its row. */
async function* readRecording(path) {
  let row = -1;
  for await (const line of readLines(path)) {
    const cells = line.split(',');
    if (++row === 0 && line !== HEADER) throw new BadInput(`${path}: the first line is not ${HEADER}`);
    if (row === 0 || line === '') continue;
    if (cells.length !== 7) throw new BadInput(`${path}: row ${row} has ${cells.length} columns, not 7`);
    const number = (column, limit) => {
      const value = NUMBER.test(cells[column]) ? Number(cells[column]) : NaN;
      // NaN would go in silently and come out as code 0: nothing but this check stands before the model.
      if (Math.abs(value) <= limit) return value;
      throw new BadInput(
        `${path}: row ${row}, column ${HEADER.split(',')[column]}: '${cells[column]}' is no number up to ${limit}`
      );
    };
    const recording = number(0, 1e9);
    if (!Number.isInteger(recording)) {
      throw new BadInput(`${path}: row ${row}, column recording: '${cells[0]}' is no whole number`);
    }
    const xyz = [4, 5, 6].map((column) => Math.fround(number(column, LIMIT_G)));
    yield { row, recording, t: number(3, 1e15) / 1000, xyz };
  }
  if (row < 1) throw new BadInput(`${path}: no samples in it`);
}

// ---- windows to words -----------------------------------------------------------------------------------------------

/** The outputs for a window, as flat arrays of numbers, with `dims` of codes and attributes. */
async function predict({ meta, session }, xyz) {
  if (!xyz.every(Number.isFinite)) throw new Error('a window is finite');
  const results = await session.run({ accel: new Tensor('float32', xyz, [1, meta.window, 3]) });
  const [, tokens, streams] = results.codes?.dims ?? [];
  if (!(tokens <= MOST_TOKENS)) throw new Error('its output codes is not (1, tokens, axes)');
  const axes = streams === 1 && results.attributes?.dims[2] === 3 ? 3 : streams; // a joint code draws all three
  const [labels, actions] = [meta.labels.length, meta.sub_actions.length];
  const shapes = {
    probabilities: [1, labels],
    unknown_score: [1],
    codes: [1, tokens, streams],
    margins: [1, tokens, streams],
    attributes: [1, tokens, axes, 4],
    contributions: [1, tokens, labels],
    sub_actions: [1, tokens, actions],
  };
  const out = { tokens, streams, axes };
  for (const [name, shape] of Object.entries(shapes)) {
    const told = results[name]?.dims.join();
    if (told !== shape.join()) throw new Error(`its output ${name} is (${told}), its metadata ask for (${shape})`);
    out[name] = Array.from(results[name].data, Number); // codes come as BigInt
    if (!out[name].every(Number.isFinite)) throw new Error(`its output ${name} is not finite`);
  }
  if (!out.codes.every((code) => 0 <= code && code < meta.codes.length)) {
    throw new Error(`its output codes leaves the metadata's ${meta.codes.length} codes`);
  }
  return out;
}

/** Label, confidence, whether it is like nothing trained on, and the pieces that counted most for the label. */
function explain(meta, out, start) {
  const label = out.probabilities.indexOf(Math.max(...out.probabilities));
  const counted = (token) => out.contributions[token * meta.labels.length + label];
  const order = Array.from({ length: out.tokens }, (_, token) => token).sort((a, b) => counted(b) - counted(a));
  const because = order.slice(0, SHOWN).map((token) => {
    const codes = out.codes.slice(token * out.streams, (token + 1) * out.streams);
    const [begin, end] = span(out, token);
    return {
      t: rounded(start + begin),
      length: rounded(end - begin),
      codes,
      sub_action: subAction(meta, out, token, codes),
      contribution: rounded(counted(token)),
    };
  });
  return {
    label: meta.labels[label],
    confidence: rounded(out.probabilities[label]),
    unknown: out.unknown_score[0] > meta.unknown_threshold,
    because,
  };
}

/** Begin and end of a piece in the window, in seconds: axes may differ, the piece is what they span. */
function span(out, token) {
  let [begin, end] = [Infinity, -Infinity];
  for (let axis = 0; axis < out.axes; axis++) {
    const [t, length] = out.attributes.slice(4 * (token * out.axes + axis));
    begin = Math.min(begin, t);
    end = Math.max(end, t + length);
  }
  return [begin, end];
}

/**
 * A code is called by its tested name or not at all: the likeliest of the sub-actions that the token's own codes are
 * tested for; null without one, or where another is more than twice as likely, for words would then be a guess.
 */
function subAction(meta, out, token, codes) {
  const p = out.sub_actions.slice(token * meta.sub_actions.length, (token + 1) * meta.sub_actions.length);
  const names = new Set(codes.map((code) => meta.codes[code].name));
  let best = null;
  meta.sub_actions.forEach((name, i) => {
    if (names.has(name) && (best === null || p[i] > p[best])) best = i;
  });
  return best !== null && p[best] >= AGREEING * Math.max(...p) ? meta.sub_actions[best] : null;
}

const rounded = (value) => Number(value.toFixed(4)) + 0; // no -0

// ---- the command ----------------------------------------------------------------------------------------------------

async function main(words) {
  const raw = words.includes('--raw');
  const paths = words.filter((word) => word !== '--raw');
  if (paths.length !== 2) throw new BadInput('usage: node classify.mjs MODEL RECORDING.csv [--raw]');
  const model = await openModel(paths[0]);
  const { meta } = model;
  let recording = null;
  let windower;
  let zero;
  let before;
  for await (const sample of readRecording(paths[1])) {
    const where = `${paths[1]}: row ${sample.row}`;
    if (sample.recording !== recording) {
      ({ recording, t: zero, t: before } = sample);
      windower = new Windower(meta);
    }
    if (sample.t < before) throw new BadInput(`${where}, column t_ms: time runs backwards`);
    before = sample.t;
    try {
      for (const [start, xyz] of windower.push(sample.t - zero, sample.xyz)) {
        const out = await predict(model, xyz);
        const { tokens, streams, axes, ...outputs } = out;
        const end = rounded(start + meta.window / meta.rate_hz);
        const told = raw ? outputs : { end, ...explain(meta, out, start) };
        console.log(JSON.stringify({ recording, start: rounded(start), ...told }));
      }
    } catch (error) {
      error.message = `${where}: ${error.message}`;
      throw error;
    }
  }
}

env.logLevel = 'fatal'; // stderr is for our one line
main(process.argv.slice(2)).catch((error) => {
  console.error(`classify: ${error.message.split('\n')[0]}`);
  process.exitCode = error instanceof BadInput ? 2 : 1;
});
