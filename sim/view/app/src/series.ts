// Running sums over time, from which the share of a pixel is one subtraction.

import type { Model } from "./model";
import { Streams } from "./streams";

const LONGEST = 1 << 15;

/** What has happened before a cycle, at every 2^shift-th cycle, straight lines between. */
export class Sums {
  constructor(
    readonly shift: number,
    readonly data: Float64Array,
  ) {}

  static empty(cycles: number): Sums {
    let shift = 0;
    while (cycles >> shift > LONGEST) shift++;
    return new Sums(shift, new Float64Array((cycles >> shift) + 2));
  }

  at(cycle: number): number {
    const place = cycle / (1 << this.shift);
    if (place <= 0) return 0;
    const last = this.data.length - 1;
    if (place >= last) return this.data[last];
    const index = Math.floor(place);
    return this.data[index] + (place - index) * (this.data[index + 1] - this.data[index]);
  }

  /** Mean per cycle from `from` to `to`. */
  mean(from: number, to: number): number {
    return to > from ? (this.at(to) - this.at(from)) / (to - from) : 0;
  }
}

/** Issues of some queues together. */
export function issueSums(model: Model, queues: number[]): Sums {
  const sums = Sums.empty(model.cycles);
  const { data, shift } = sums;
  const last = data.length - 2;
  for (const queue of queues) {
    for (let run = model.firstRun[queue]; run < model.firstRun[queue + 1]; run++) {
      const step = model.interval[run];
      let cycle = model.start[run];
      for (let k = model.count[run]; k > 0; k--, cycle += step) {
        data[Math.min(cycle >> shift, last) + 1]++;
      }
    }
  }
  for (let i = 1; i < data.length; i++) data[i] += data[i - 1];
  return sums;
}

/** Words on their way to a reader, at each stop: index 2 x stop, or + 1 westward. */
export class Flow {
  readonly at: (Sums | null)[];
  readonly total: Sums;
  /** The most words that stand at one stop in one direction in a cycle, so far. */
  most = 1;
  private readonly work: Generator<void>;
  done = false;

  constructor(
    readonly model: Model,
    readonly streams: () => Streams,
  ) {
    this.at = Array(2 * model.header.config.stops).fill(null);
    this.total = Sums.empty(model.cycles);
    this.work = this.count();
  }

  /** Works for about so many milliseconds; returns whether something new is there. */
  advance(milliseconds: number): boolean {
    if (this.done) return false;
    const until = performance.now() + milliseconds;
    do {
      if (this.work.next().done) this.done = true;
    } while (!this.done && performance.now() < until);
    return true;
  }

  private *count(): Generator<void> {
    const { stops } = this.model.header.config;
    const streams = this.streams();
    yield;
    for (const direction of ["E", "W"]) {
      const lanes = [];
      for (let stream = 0; stream < streams.streams; stream++) {
        if (streams.used(direction, stream)) {
          lanes.push(new Needed(this.model, streams, direction, stream));
        }
        if (stream % 4 === 3) yield;
      }
      // Against the flow: a reader needs its word at all stops before, up to the driver.
      for (let i = 0; i < stops; i++) {
        const stop = direction === "E" ? stops - 1 - i : i;
        const changes = new Int32Array(this.model.cycles + 1);
        for (const lane of lanes) lane.add(stop, changes);
        this.at[2 * stop + (direction === "E" ? 0 : 1)] = this.integrate(changes);
        yield;
      }
    }
  }

  private integrate(changes: Int32Array): Sums {
    const sums = integrate(changes, this.model.cycles);
    let now = 0;
    for (const change of changes) this.most = Math.max(this.most, (now += change));
    for (let i = 1; i < sums.data.length; i++) this.total.data[i] += sums.data[i];
    return sums;
  }

  private readonly single = new Map<string, Sums>();

  /** Cycles in which a needed word of one stream stands at one stop. */
  stream(direction: string, stream: number, stop: number): Sums {
    const key = `${direction}${stream}.${stop}`;
    let sums = this.single.get(key);
    if (!sums) {
      const lane = new Needed(this.model, this.streams(), direction, stream);
      const { stops } = this.model.header.config;
      const step = direction === "E" ? -1 : 1;
      let changes = new Int32Array(0);
      for (let at = direction === "E" ? stops - 1 : 0; at !== stop + step; at += step) {
        changes = new Int32Array(this.model.cycles + 1);
        lane.add(at, changes);
      }
      sums = integrate(changes, this.model.cycles);
      this.single.set(key, sums);
    }
    return sums;
  }
}

/** Running sums of a level that changes by `changes[c]` in cycle c. */
export function integrate(changes: Int32Array, cycles: number): Sums {
  const sums = Sums.empty(cycles);
  const { data, shift } = sums;
  let now = 0;
  for (let cycle = 0; cycle < cycles; cycle++) {
    now += changes[cycle];
    data[(cycle >> shift) + 1] += now;
  }
  for (let i = 1; i < data.length; i++) data[i] += data[i - 1];
  return sums;
}

/** Diagonals of one stream whose words are still needed, while a walk goes against the flow. */
class Needed {
  private readonly bits: Uint32Array;
  private readonly bias: number;
  private readonly samples: number[][];
  private readonly drives: number[][];

  constructor(
    private readonly model: Model,
    streams: Streams,
    private readonly direction: string,
    stream: number,
  ) {
    const { stops } = model.header.config;
    this.bias = stops + 1;
    this.bits = new Uint32Array(((model.cycles + 4 * stops) >> 5) + 2);
    const by = (which: "drives" | "samples") => {
      const lists: number[][] = Array.from({ length: stops }, () => []);
      streams.entries(which, direction, stream, (first, last, interval, stop) => {
        lists[stop].push(first, last, interval);
      });
      return lists;
    };
    this.samples = by("samples");
    this.drives = by("drives");
  }

  /** Adds the words that stand at `stop` and are needed there or further on. */
  add(stop: number, changes: Int32Array): void {
    const east = this.direction === "E";
    // A driver at a stop fills the register of the next one.
    if (this.drives[stop].length) this.each(this.drives[stop], false);
    this.each(this.samples[stop], true);
    const shift = (east ? stop : -stop) - this.bias;
    const last = this.model.cycles;
    let from = -1;
    for (let word = 0; word < this.bits.length; word++) {
      const bits = this.bits[word];
      if ((bits === 0 && from < 0) || (bits === 0xffffffff && from >= 0)) continue;
      for (let bit = 0; bit < 32; bit++) {
        const here = (bits >>> bit) & 1;
        if (here && from < 0) from = word * 32 + bit;
        else if (!here && from >= 0) {
          changes[clamp(from + shift, last)]++;
          changes[clamp(word * 32 + bit + shift, last)]--;
          from = -1;
        }
      }
    }
  }

  private each(list: number[], value: boolean): void {
    const { bits, bias } = this;
    const limit = bits.length * 32 - 1;
    for (let i = 0; i < list.length; i += 3) {
      const last = Math.min(list[i + 1] + bias, limit);
      for (let d = Math.max(list[i] + bias, 0); d <= last; d += list[i + 2]) {
        if (value) bits[d >> 5] |= 1 << (d & 31);
        else bits[d >> 5] &= ~(1 << (d & 31));
      }
    }
  }
}

function clamp(cycle: number, last: number): number {
  return Math.max(0, Math.min(cycle, last));
}
