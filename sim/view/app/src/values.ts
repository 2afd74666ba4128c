// What the lanes of a stream group carried, in the format of whoever wrote or reads it.

import type { Issue, Model } from "./model";
import type { StreamUse } from "./payload";
import { Streams, type End } from "./streams";

const UNKNOWN = 0xffffffff;

export interface Value {
  format: string;
  lanes: number[];
  /** The bytes of each lane, lowest first, as one unsigned number. */
  raw: number[];
}

/** A value of which a stream carries the byte `part`. */
export interface Whole {
  value: Value;
  group: StreamUse;
  part: number;
}

export class Values {
  private readonly drivesOf: Int32Array;

  constructor(
    readonly model: Model,
    readonly streams: () => Streams,
  ) {
    this.drivesOf = Int32Array.from(model.header.templates, (template) =>
      template.drives.reduce((sum, [, size]) => sum + size, 0),
    );
  }

  get known(): boolean {
    return "drive.word" in this.model.columns;
  }

  /** The bytes that one stream of a drive carried, a byte a lane; null if they are not known. */
  bytes(issue: Issue, slot: number, part: number): Uint8Array | null {
    if (!this.known) return null;
    const { columns, header } = this.model;
    let at =
      columns["run.drive"][issue.run] + issue.k * this.drivesOf[this.model.template[issue.run]];
    const { drives } = this.model.templateOf(issue.run);
    for (let i = 0; i < slot; i++) at += drives[i][1];
    const word = columns["drive.word"][at + part];
    if (word === undefined || word < 0 || word === UNKNOWN) return null;
    const lanes = header.config.vector;
    return columns["word.bytes"].subarray(word * lanes, (word + 1) * lanes) as Uint8Array;
  }

  /** What a drive put on its group. */
  driven(issue: Issue, slot: number, format?: string | null): Value | null {
    const template = this.model.templateOf(issue.run);
    const size = template.drives[slot][1];
    const parts = [];
    for (let part = 0; part < size; part++) parts.push(this.bytes(issue, slot, part));
    return combine(parts, format ?? this.formatDriven(issue, slot));
  }

  /** What a sample took from its group, whoever drove its bytes. */
  sampled(issue: Issue, slot: number): Value | null {
    const template = this.model.templateOf(issue.run);
    const [direction, size, index, after] = template.samples[slot];
    const stop = this.model.queueOf(issue.run).stop;
    const cycle = this.model.cycleOf(issue) + after;
    const parts = [];
    let format = template.formats.samples[slot];
    for (let part = 0; part < size; part++) {
      const end = this.streams().producer(direction, size * index + part, stop, cycle);
      parts.push(end && this.bytes(end, end.slot, end.part));
      if (end && part === 0 && !format) format = this.formatOf(end, size);
    }
    return combine(parts, format);
  }

  /**
   * The number that one stream of a sample or drive is a byte of, where its other end is a larger
   * group: bytes of 16 and 32 bits are read and written one by one.
   */
  whole(issue: Issue, which: "samples" | "drives", slot: number): Whole | null {
    const [direction, size, index, after] = this.model.templateOf(issue.run)[which][slot];
    if (size > 1) return null;
    const stop = this.model.queueOf(issue.run).stop;
    const cycle = this.model.cycleOf(issue) + after;
    const streams = this.streams();
    if (which === "samples") {
      const end = streams.producer(direction, index, stop, cycle);
      const group = end && this.model.templateOf(end.run).drives[end.slot];
      if (!group || group[1] === 1) return null;
      const value = this.driven(end, end.slot);
      return value && { value, group, part: end.part };
    }
    for (const end of streams.consumers(direction, index, stop, cycle)) {
      const group = this.model.templateOf(end.run).samples[end.slot];
      const value = group[1] > 1 ? this.sampled(end, end.slot) : null;
      if (value) return { value, group, part: end.part };
    }
    return null;
  }

  private formatOf(end: End, size: number): string | null {
    const template = this.model.templateOf(end.run);
    return template.drives[end.slot][1] === size ? template.formats.drives[end.slot] : null;
  }

  /** The format of a drive: its own, else that of the first who reads as many streams. */
  formatDriven(issue: Issue, slot: number): string | null {
    const template = this.model.templateOf(issue.run);
    const own = template.formats.drives[slot];
    if (own) return own;
    const [direction, size, index, after] = template.drives[slot];
    const stop = this.model.queueOf(issue.run).stop;
    const cycle = this.model.cycleOf(issue) + after;
    for (const reader of this.streams().consumers(direction, size * index, stop, cycle)) {
      const use = this.model.templateOf(reader.run);
      const format = use.formats.samples[reader.slot];
      if (format && use.samples[reader.slot][1] === size) return format;
    }
    return null;
  }
}

const BY_SIZE: Record<number, string> = { 1: "u8", 2: "u16", 4: "u32" };

export function combine(parts: (Uint8Array | null)[], format: string | null): Value | null {
  if (parts.some((part) => !part)) return null;
  const bytes = parts as Uint8Array[];
  const raw = Array.from(bytes[0], (_, lane) =>
    bytes.reduce((sum, part, i) => sum + part[lane] * 256 ** i, 0),
  );
  const name = format && SIZES[format] === bytes.length ? format : BY_SIZE[bytes.length];
  return { format: name, raw, lanes: raw.map((value) => read(value, name)) };
}

const SIZES: Record<string, number> = {
  ...{ u8: 1, i8: 1, e4m3: 1, e5m2: 1, u16: 2, i16: 2, f16: 2, bf16: 2, u32: 4, i32: 4, f32: 4 },
};

const scratch = new DataView(new ArrayBuffer(4));

/** The number that `raw`, unsigned, stands for in a format. */
export function read(raw: number, format: string): number {
  switch (format) {
    case "i8":
      return (raw << 24) >> 24;
    case "i16":
      return (raw << 16) >> 16;
    case "i32":
      return raw | 0;
    case "f16":
      return small(raw, 5, 10);
    case "e5m2":
      return small(raw, 5, 2);
    case "e4m3":
      return (raw & 0x7f) === 0x7f ? NaN : small(raw, 4, 3, false);
    case "bf16":
      scratch.setUint32(0, raw * 65536);
      return scratch.getFloat32(0);
    case "f32":
      scratch.setUint32(0, raw);
      return scratch.getFloat32(0);
    default:
      return raw;
  }
}

function small(raw: number, exponents: number, fractions: number, infinite = true): number {
  const bias = 2 ** (exponents - 1) - 1;
  const fraction = raw & (2 ** fractions - 1);
  const exponent = (raw >> fractions) & (2 ** exponents - 1);
  const sign = (raw >> (fractions + exponents)) & 1 ? -1 : 1;
  if (infinite && exponent === 2 ** exponents - 1) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractions);
  return sign * (1 + fraction / 2 ** fractions) * 2 ** (exponent - bias);
}

/** A number of a format, short enough for a table and exact where that is short. */
export function show(value: number, format: string): string {
  if (!/^(f|bf|e)/.test(format)) return String(value);
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "inf");
  if (Object.is(value, -0)) return "-0";
  const digits = format === "f32" ? 6 : format === "f16" ? 5 : 4;
  return String(Number(value.toPrecision(digits)));
}
