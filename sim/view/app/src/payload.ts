// The payload that Python writes: a header and packed columns, gzipped, in base64.

export interface Slice {
  name: string;
  kind: string;
  hemisphere: string | null;
  stop: number;
}

export interface Queue {
  name: string;
  unit: string;
  slice: number;
  port: number;
  stop: number;
}

/** Direction, streams of the group, index of the group, cycles after issue. */
export type StreamUse = [string, number, number, number];

export interface Template {
  mnemonic: string;
  unit: string;
  text: string;
  strided: string | null;
  fields: [string, string][];
  samples: StreamUse[];
  drives: StreamUse[];
  /** ALU whose result is an operand, and cycles from issue until it is sampled. */
  alus: [number, number][];
  /** Cycles from issue until the result stands at the ALU, or dot products at the accumulators. */
  stands: number | null;
  /** Cycles from issue until an ACC takes dot products. */
  takes?: number | null;
  lasts: number;
  action: "read" | "write" | "row" | null;
  formats: { samples: (string | null)[]; drives: (string | null)[] };
}

export interface Tensor {
  name: string;
  role: string;
  bank: number;
  address: number;
  words: number;
}

export interface Plane {
  name: string;
  busy: number;
  idle: Record<string, number>;
}

interface ColumnPlace {
  dtype: "u8" | "u16" | "u32" | "i32";
  length: number;
  offset: number;
  delta: boolean;
}

export interface Header {
  version: number;
  name: string;
  config: { name: string; vector: number; superlanes: number; stops: number; streams: number } & {
    [key: string]: unknown;
  };
  cycles: number;
  measured: number | null;
  fault: string | null;
  ideal: number | null;
  values: { words: number; until: number | null } | null;
  slices: Slice[];
  queues: Queue[];
  templates: Template[];
  tensors: Tensor[];
  strings: string[];
  reason_kinds: string[];
  path: number[];
  path_cycles: Record<string, number>;
  planes: Plane[];
  columns: Record<string, ColumnPlace>;
}

export type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array;

export interface Payload {
  header: Header;
  columns: Record<string, Column>;
}

const MAGIC = "TSPVIEW1";
const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, i32: Int32Array };

/** Reads a container that is no longer compressed. Columns share its memory unless summed. */
export function readContainer(bytes: Uint8Array): Payload {
  const magic = String.fromCharCode(...bytes.subarray(0, 8));
  if (magic !== MAGIC) throw new Error(`a payload begins with ${MAGIC}, not ${magic}`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
  const header: Header = JSON.parse(new TextDecoder().decode(bytes.subarray(12, 12 + length)));
  if (header.version !== 1) {
    throw new Error(`this page reads payloads of version 1, not ${header.version}`);
  }
  const first = Math.ceil((12 + length) / 8) * 8;
  const columns: Record<string, Column> = {};
  for (const [name, place] of Object.entries(header.columns)) {
    columns[name] = readColumn(bytes, first, place);
  }
  return { header, columns };
}

function readColumn(bytes: Uint8Array, first: number, place: ColumnPlace): Column {
  const Type = TYPES[place.dtype];
  const at = bytes.byteOffset + first + place.offset;
  const column =
    at % Type.BYTES_PER_ELEMENT === 0
      ? new Type(bytes.buffer as ArrayBuffer, at, place.length)
      : new Type(bytes.slice(first + place.offset).buffer as ArrayBuffer, 0, place.length);
  if (place.delta) {
    // In place: nobody else sees these bytes, and wrapping sums are right for unsigned ones too.
    for (let i = 1; i < column.length; i++) column[i] += column[i - 1];
  }
  return column;
}

/** Undoes base64, in a browser or in node. */
export function fromBase64(text: string): Uint8Array {
  const quick = (Uint8Array as unknown as { fromBase64?: (s: string) => Uint8Array }).fromBase64;
  if (quick) return quick.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The payload in the text of a script element. */
export async function decode(text: string): Promise<Payload> {
  const packed = new Blob([fromBase64(text.trim()) as BlobPart]).stream();
  const plain = packed.pipeThrough(new DecompressionStream("gzip"));
  return readContainer(new Uint8Array(await new Response(plain).arrayBuffer()));
}
