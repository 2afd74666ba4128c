// Which word is where: a word driven at stop x in cycle t stands at stop x + k in cycle t + k
// (eastward; westward is the mirror image), so it keeps its diagonal while it flies.

import type { Issue, Model } from "./model";

/** One end of a word: the issue that drives or samples it, and where and when it does. */
export interface End extends Issue {
  /** Which drive or sample of the template, and which stream of its group. */
  slot: number;
  part: number;
  stop: number;
  cycle: number;
}

export type Direction = "E" | "W";

export function diagonal(direction: string, cycle: number, stop: number): number {
  return direction === "E" ? cycle - stop : cycle + stop;
}

export function cycleOn(direction: string, diag: number, stop: number): number {
  return direction === "E" ? diag + stop : diag - stop;
}

/** Whether a flow of this direction meets `a` before `b`. */
export function upstream(direction: string, a: number, b: number): boolean {
  return direction === "E" ? a < b : a > b;
}

/** Drives, or samples, of one stream: runs by the diagonal of their first issue. */
class Lane {
  constructor(
    readonly run: Uint32Array,
    readonly use: Uint16Array,
    readonly first: Int32Array,
    /** The largest last diagonal of the entries up to here. */
    readonly reach: Int32Array,
  ) {}

  /** Index behind the entries that begin on `diag` or before. */
  upTo(diag: number): number {
    let low = 0;
    let high = this.first.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.first[middle] <= diag) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class Streams {
  private readonly drives: Lane[];
  private readonly samples: Lane[];
  readonly streams: number;

  constructor(readonly model: Model) {
    this.streams = model.header.config.streams;
    this.drives = this.build("drives");
    this.samples = this.build("samples");
  }

  key(direction: string, stream: number): number {
    return (direction === "E" ? 0 : this.streams) + stream;
  }

  /** Whether anything ever drives that stream. */
  used(direction: string, stream: number): boolean {
    return this.drives[this.key(direction, stream)].run.length > 0;
  }

  /** Who drove the word that stands at `stop` in `cycle`; null if nothing valid does. */
  producer(direction: string, stream: number, stop: number, cycle: number): End | null {
    const diag = diagonal(direction, cycle, stop);
    let best: End | null = null;
    this.each(this.drives, "drives", direction, stream, diag, (end) => {
      if (!upstream(direction, end.stop, stop)) return;
      if (!best || upstream(direction, best.stop, end.stop)) best = end;
    });
    return best;
  }

  /** Who reads the word that is driven at `stop` in `cycle`, nearest first. */
  consumers(direction: string, stream: number, stop: number, cycle: number): End[] {
    const diag = diagonal(direction, cycle, stop);
    let end: number | null = null;
    this.each(this.drives, "drives", direction, stream, diag, (other) => {
      if (!upstream(direction, stop, other.stop)) return;
      if (end === null || upstream(direction, other.stop, end)) end = other.stop;
    });
    const found: End[] = [];
    this.each(this.samples, "samples", direction, stream, diag, (reader) => {
      if (!upstream(direction, stop, reader.stop)) return;
      if (end === null || !upstream(direction, end, reader.stop)) found.push(reader);
    });
    return found.sort((a, b) => Math.abs(a.stop - stop) - Math.abs(b.stop - stop));
  }

  /**
   * For each diagonal from `from` on: 0 nothing stands at the stop, 1 a word that nobody reads
   * any more, 2 one that is on its way to a reader. `runs` gets the run that drove it, or -1.
   */
  window(direction: string, stream: number, stop: number, from: number, size: number) {
    const state = new Uint8Array(size);
    const runs = new Int32Array(size).fill(-1);
    const driver = new Int32Array(size).fill(-1);
    const overwritten = new Int32Array(size).fill(-1);
    const distance = (other: number) => (direction === "E" ? stop - other : other - stop);
    this.cover(this.drives, direction, stream, from, size, (i, run, at) => {
      const away = distance(at);
      if (away > 0 && (driver[i] < 0 || away < driver[i])) {
        driver[i] = away;
        runs[i] = run;
      } else if (away <= 0 && (overwritten[i] < 0 || -away < overwritten[i])) {
        overwritten[i] = -away;
      }
    });
    for (let i = 0; i < size; i++) state[i] = driver[i] < 0 ? 0 : 1;
    this.cover(this.samples, direction, stream, from, size, (i, _run, at) => {
      const away = -distance(at);
      if (away < 0 || !state[i]) return;
      if (overwritten[i] < 0 || away <= overwritten[i]) state[i] = 2;
    });
    return { state, runs };
  }

  /** Calls back with the diagonals (first, last, interval) and stop of every entry of a stream. */
  entries(
    which: "drives" | "samples",
    direction: string,
    stream: number,
    visit: (first: number, last: number, interval: number, stop: number) => void,
  ): void {
    const lane = this[which][this.key(direction, stream)];
    const { count, interval } = this.model;
    for (let i = 0; i < lane.run.length; i++) {
      const run = lane.run[i];
      const last = lane.first[i] + (count[run] - 1) * interval[run];
      visit(lane.first[i], last, interval[run], this.model.queueOf(run).stop);
    }
  }

  private cover(
    lanes: Lane[],
    direction: string,
    stream: number,
    from: number,
    size: number,
    visit: (index: number, run: number, stop: number) => void,
  ): void {
    const lane = lanes[this.key(direction, stream)];
    const { count, interval } = this.model;
    for (let i = lane.upTo(from + size - 1) - 1; i >= 0 && lane.reach[i] >= from; i--) {
      const run = lane.run[i];
      const step = interval[run];
      const last = Math.min(lane.first[i] + (count[run] - 1) * step, from + size - 1);
      const skipped = Math.max(0, Math.ceil((from - lane.first[i]) / step));
      const stop = this.model.queueOf(run).stop;
      for (let d = lane.first[i] + skipped * step; d <= last; d += step) {
        visit(d - from, run, stop);
      }
    }
  }

  private each(
    lanes: Lane[],
    which: "drives" | "samples",
    direction: string,
    stream: number,
    diag: number,
    visit: (end: End) => void,
  ): void {
    const lane = lanes[this.key(direction, stream)];
    const { model } = this;
    for (let i = lane.upTo(diag) - 1; i >= 0 && lane.reach[i] >= diag; i--) {
      const run = lane.run[i];
      const k = (diag - lane.first[i]) / model.interval[run];
      if (!Number.isInteger(k) || k >= model.count[run]) continue;
      const slot = lane.use[i] >> 2;
      const part = lane.use[i] & 3;
      const after = model.templateOf(run)[which][slot][3];
      const stop = model.queueOf(run).stop;
      visit({ run, k, slot, part, stop, cycle: model.cycleOf({ run, k }) + after });
    }
  }

  private build(which: "drives" | "samples"): Lane[] {
    const { model, streams } = this;
    // Per template: key, use and cycles after issue, three numbers a stream.
    const uses = model.header.templates.map((template) => {
      const list: number[] = [];
      template[which].forEach(([direction, size, index, after], slot) => {
        for (let part = 0; part < size; part++) {
          list.push(this.key(direction, size * index + part), (slot << 2) | part, after);
        }
      });
      return list;
    });
    const sizes = new Uint32Array(2 * streams);
    for (let run = 0; run < model.runs; run++) {
      const list = uses[model.template[run]];
      for (let i = 0; i < list.length; i += 3) sizes[list[i]]++;
    }
    const runs = Array.from(sizes, (size) => new Uint32Array(size));
    const use = Array.from(sizes, (size) => new Uint16Array(size));
    const first = Array.from(sizes, (size) => new Int32Array(size));
    sizes.fill(0);
    for (let run = 0; run < model.runs; run++) {
      const list = uses[model.template[run]];
      const stop = list.length ? model.queueOf(run).stop : 0;
      for (let i = 0; i < list.length; i += 3) {
        const key = list[i];
        const at = sizes[key]++;
        const east = key < streams ? -stop : stop;
        runs[key][at] = run;
        use[key][at] = list[i + 1];
        first[key][at] = model.start[run] + list[i + 2] + east;
      }
    }
    return runs.map((_, key) => sorted(model, runs[key], use[key], first[key]));
  }
}

function sorted(model: Model, run: Uint32Array, use: Uint16Array, first: Int32Array): Lane {
  const size = run.length;
  const order = new Float64Array(size);
  for (let i = 0; i < size; i++) order[i] = first[i] * 2 ** 24 + i;
  order.sort();
  const lane = new Lane(
    new Uint32Array(size),
    new Uint16Array(size),
    new Int32Array(size),
    new Int32Array(size),
  );
  let reach = -(2 ** 31);
  for (let i = 0; i < size; i++) {
    const from = order[i] - Math.floor(order[i] / 2 ** 24) * 2 ** 24;
    lane.run[i] = run[from];
    lane.use[i] = use[from];
    lane.first[i] = first[from];
    const last = first[from] + (model.count[run[from]] - 1) * model.interval[run[from]];
    reach = Math.max(reach, last);
    lane.reach[i] = reach;
  }
  return lane;
}
