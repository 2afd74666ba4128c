// A small program, packed as Python packs it: a read, a word eastward, a write; and a plane.

import type { Header, Template } from "../src/payload";
import { Model } from "../src/model";
import { readContainer } from "../src/payload";

type Numbers = number[];
const CODES: Record<string, [string, number]> = {
  "run.queue": ["u16", 2],
  "word.bytes": ["u8", 1],
  "op.reason": ["u8", 1],
  "run.stride": ["i32", 4],
  "run.operation": ["i32", 4],
  "op.holder": ["i32", 4],
};

/** The bytes of a container with these columns. */
export function pack(
  header: Partial<Header>,
  columns: Record<string, Numbers>,
  delta: string[] = [],
): Uint8Array {
  const places: Header["columns"] = {};
  let offset = 0;
  const parts: [number, Uint8Array][] = [];
  for (const [name, values] of Object.entries(columns)) {
    const [dtype, size] = CODES[name] ?? ["u32", 4];
    const stored = delta.includes(name) ? values.map((v, i) => v - (values[i - 1] ?? 0)) : values;
    const Type = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, i32: Int32Array }[dtype]!;
    const bytes = new Uint8Array(Type.from(stored).buffer);
    places[name] = {
      dtype: dtype as "u8",
      length: values.length,
      offset,
      delta: delta.includes(name),
    };
    parts.push([offset, bytes]);
    offset += Math.ceil((values.length * size) / 8) * 8;
  }
  const text = new TextEncoder().encode(JSON.stringify({ ...header, columns: places }));
  const first = Math.ceil((12 + text.length) / 8) * 8;
  const result = new Uint8Array(first + offset);
  result.set(new TextEncoder().encode("TSPVIEW1"));
  new DataView(result.buffer).setUint32(8, text.length, true);
  result.set(text, 12);
  for (const [at, bytes] of parts) result.set(bytes, first + at);
  return result;
}

export function template(rest: Partial<Template>): Template {
  return {
    ...{
      mnemonic: "nop",
      unit: "MEM",
      text: "nop",
      strided: null,
      fields: [],
      samples: [],
      drives: [],
    },
    ...{ alus: [], stands: null, lasts: 3, action: null, formats: { samples: [], drives: [] } },
    ...rest,
  };
}

const READ = template({
  ...{
    mnemonic: "read",
    text: "read address={} stream=sg1.e2",
    strided: "address",
    action: "read",
  },
  ...{ fields: [["stream", "sg1.e2"]], drives: [["E", 1, 2, 3]] },
  formats: { samples: [], drives: [null] },
});
const WRITE = template({
  ...{
    mnemonic: "write",
    text: "write address={} stream=sg1.e2",
    strided: "address",
    action: "write",
  },
  ...{ fields: [["stream", "sg1.e2"]], samples: [["E", 1, 2, 1]] },
  formats: { samples: ["i8"], drives: [] },
});

/**
 * Bank 0 at stop 0 reads words 5, 6, 7 in cycles 0, 2, 4; they stand at stop 3 in cycles 6, 8, 10.
 * Bank 1 at stop 3 writes two of them at 20 and 21 in cycles 5 and 9 (the words of cycles 6 and
 * 10) and reads 21 back in cycle 20. Bank 2 at stop 1 overwrites the word of cycle 8 there.
 */
export const COLUMNS: Record<string, Numbers> = {
  "run.queue": [0, 1, 1, 2],
  "run.template": [0, 1, 0, 0],
  "run.operation": [0, 0, 1, 1],
  "run.start": [0, 5, 20, 3],
  "run.count": [3, 2, 1, 1],
  "run.interval": [2, 4, 1, 1],
  "run.stride": [1, 1, 0, 0],
  "run.value": [5, 20, 21, 9],
  "op.name": [0, 1],
  "op.start": [0, 3],
  "op.end": [12, 24],
  "op.first": [0, 3],
  "op.reason": [0, 1],
  "op.holder": [-1, 0],
  "op.resource": [2, 3],
  "op.cycle": [0, 2],
  "op.slack": [0, 0],
  "word.bytes": [1, 2, 3, 255, 128, 0, 7, 8],
  "drive.word": [0, 1, 0xffffffff, 1, 0],
  "run.drive": [0, 3, 3, 4],
};

export const HEADER: Partial<Header> = {
  ...{ version: 1, name: "tiny", cycles: 24, measured: null, fault: null, ideal: null },
  config: { name: "toy", vector: 4, superlanes: 1, stops: 4, streams: 8 },
  values: { words: 2, until: null },
  slices: [
    { name: "MEM_W1", kind: "MEM", hemisphere: "W", stop: 0 },
    { name: "MEM_W0", kind: "MEM", hemisphere: "W", stop: 1 },
    { name: "MEM_E0", kind: "MEM", hemisphere: "E", stop: 3 },
  ],
  queues: [
    { name: "MEM_W1.0", unit: "MEM", slice: 0, port: 0, stop: 0 },
    { name: "MEM_E0.0", unit: "MEM", slice: 2, port: 0, stop: 3 },
    { name: "MEM_W0.0", unit: "MEM", slice: 1, port: 0, stop: 1 },
  ],
  templates: [READ, WRITE],
  tensors: [{ name: "a", role: "input", bank: 0, address: 4, words: 8 }],
  strings: [
    "load rows 0 to 3",
    "check rows 0 to 3",
    "the first cycle",
    "the issue slot of MEM_W0.0",
  ],
  reason_kinds: ["start", "issue"],
  path: [1, 0],
  path_cycles: { start: 0, issue: 3, run: 21 },
  planes: [],
};

export function tiny(): Model {
  return new Model(readContainer(pack(HEADER, COLUMNS, ["run.start", "op.start"])));
}
