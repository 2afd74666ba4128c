// One program on the page: its rows, what is known of them, and what lies under a point.

import { Links } from "./links";
import type { Issue, Model } from "./model";
import { lanes, path, type Step } from "./operations";
import { layout, opened, rowAt, tree, type Row } from "./rows";
import { Flow, integrate, issueSums, type Sums } from "./series";
import { Streams, diagonal } from "./streams";
import { Values } from "./values";

export const AXIS = 26;

export type Selection =
  | { type: "issue"; issue: Issue }
  | { type: "operation"; op: number }
  | { type: "word"; direction: string; stream: number; stop: number; cycle: number };

export interface Hit {
  row: Row | null;
  /** Cycle under the point, with its fraction. */
  cycle: number;
  selection: Selection | null;
}

export class Pane {
  readonly links: Links;
  readonly values: Values;
  readonly flow: Flow;
  readonly steps: Step[];
  readonly lane: Int32Array;
  readonly laneCount: number;
  readonly onPath: Set<number>;
  /** Operations in the order of their lanes and cycles, with where each lane begins. */
  readonly inLane: Int32Array[];
  rows: Row[] = [];
  shown: Row[] = [];
  height = 0;
  scroll = 0;
  /** The height that the rows have on the canvas, axis and critical path excluded. */
  room = 0;
  open = new Set<string>();
  private readonly sums = new Map<string, Sums>();
  private byQueue = new Map<number, Row>();
  private byStop = new Map<string, Row>();
  private made: Streams | null = null;

  constructor(
    readonly model: Model,
    public unused = false,
  ) {
    this.links = new Links(model, this.streams);
    this.values = new Values(model, this.streams);
    this.flow = new Flow(model, this.streams);
    this.steps = path(model);
    const { lane, count } = lanes(model);
    this.lane = lane;
    this.laneCount = count;
    this.onPath = new Set(model.header.path);
    this.inLane = Array.from({ length: count }, (_, at) => {
      const own = [];
      for (let op = 0; op < model.operations; op++) if (lane[op] === at) own.push(op);
      return Int32Array.from(own.sort((a, b) => model.firstOf(a) - model.firstOf(b)));
    });
    this.rebuild();
    this.open = opened(this.rows);
    this.relayout();
  }

  readonly streams = (): Streams => (this.made ??= new Streams(this.model));

  rebuild(): void {
    this.rows = tree(this.model, this.streams, this.laneCount, this.unused);
    this.relayout();
  }

  /** The row of the critical path stays in sight above all others. */
  get pinned(): number {
    return this.rows[0]?.type === "path" ? this.rows[0].height : 0;
  }

  get top(): number {
    return AXIS + this.pinned;
  }

  relayout(): void {
    const scrolled = this.pinned ? this.rows.slice(1) : this.rows;
    const { shown, height } = layout(scrolled, this.open);
    this.shown = shown;
    this.height = height;
    this.byQueue.clear();
    this.byStop.clear();
    for (const row of shown) {
      if (row.type === "group" || row.type === "queue") {
        for (const queue of row.queues) this.byQueue.set(queue, row);
      }
      if (row.type === "stop") this.byStop.set(String(row.stop), row);
      if (row.type === "stream") {
        this.byStop.set(`${row.stop}${row.direction}${row.stream}`, row);
      }
    }
    this.scrollTo(this.scroll);
  }

  scrollTo(y: number): boolean {
    const before = this.scroll;
    this.scroll = Math.max(0, Math.min(y, this.height - this.room));
    return this.scroll !== before;
  }

  /** The row in which a queue shows: its own, or the one that it is folded into. */
  queueRow(queue: number): Row | undefined {
    return this.byQueue.get(queue);
  }

  streamRow(direction: string, stream: number, stop: number): Row | undefined {
    return this.byStop.get(`${stop}${direction}${stream}`) ?? this.byStop.get(String(stop));
  }

  /** Where a word shows at a stop: the middle of its half of the row, on the canvas. */
  streamY(direction: string, stream: number, stop: number): number | null {
    const row = this.streamRow(direction, stream, stop);
    if (!row) return null;
    const part = row.type === "stream" ? 0.5 : direction === "E" ? 0.27 : 0.73;
    return this.top + row.y + part * row.height - this.scroll;
  }

  queueY(queue: number): number | null {
    const row = this.byQueue.get(queue);
    return row ? this.top + row.y + row.height / 2 - this.scroll : null;
  }

  /** Issues of the row's queues over time. */
  busy(row: Row): Sums {
    return this.cached(row.key, () => issueSums(this.model, row.queues));
  }

  /** Operations at work over time. */
  active(): Sums {
    return this.cached("ops", () => {
      const changes = new Int32Array(this.model.cycles + 1);
      for (let op = 0; op < this.model.operations; op++) {
        const clamp = (c: number) => Math.max(0, Math.min(c, this.model.cycles));
        changes[clamp(this.model.firstOf(op))]++;
        changes[clamp(this.model.endOf(op))]--;
      }
      return integrate(changes, this.model.cycles);
    });
  }

  /** Issues of all queues of some kind of unit. */
  busyUnit(name: string, queues: () => number[]): Sums {
    return this.cached(`unit ${name}`, () => issueSums(this.model, queues()));
  }

  private cached(key: string, make: () => Sums): Sums {
    let sums = this.sums.get(key);
    if (!sums) this.sums.set(key, (sums = make()));
    return sums;
  }

  rowUnder(y: number): Row | null {
    if (y < AXIS) return null;
    if (y < this.top) return this.rows[0];
    return rowAt(this.shown, y - this.top + this.scroll);
  }

  /** What lies at a height on the canvas and in a cycle; `width` is that of a pixel in cycles. */
  hit(cycle: number, y: number, width: number): Hit {
    const row = this.rowUnder(y);
    return { row, cycle, selection: row && this.select(row, cycle, y, width) };
  }

  private select(row: Row, cycle: number, y: number, width: number): Selection | null {
    const { model } = this;
    if (row.type === "path") {
      const step = this.steps.find((s) => cycle >= s.from && cycle < s.to);
      return step ? { type: "operation", op: step.op } : null;
    }
    if (row.type === "lane") {
      const own = this.inLane[row.index];
      const near = 2 * width;
      for (const op of own) {
        if (model.firstOf(op) - near <= cycle && cycle < model.endOf(op) + near) {
          return { type: "operation", op };
        }
      }
      return null;
    }
    if (row.type === "stream" || row.type === "stop") return this.word(row, cycle, y);
    if (row.type === "queue" || (row.type === "group" && row.queues.length === 1)) {
      return this.issueNear(row.queues[0], cycle, width);
    }
    return null;
  }

  private word(row: Row, cycle: number, y: number): Selection | null {
    if (row.type !== "stream") return null;
    const at = Math.floor(cycle);
    const { direction, stream, stop } = row;
    void y;
    const end = this.streams().producer(direction, stream, stop, at);
    return end ? { type: "word", direction, stream, stop, cycle: at } : null;
  }

  private issueNear(queue: number, cycle: number, width: number): Selection | null {
    const { model } = this;
    const here = model.issueAt(queue, Math.floor(cycle));
    if (here) return { type: "issue", issue: here };
    if (width < 0.3) return null;
    const next = model.issueFrom(queue, Math.floor(cycle - 2 * width));
    if (next && model.cycleOf(next) <= cycle + 2 * width) return { type: "issue", issue: next };
    return null;
  }

  /** The cycle that a selection begins in, and the row to look at. */
  place(selection: Selection): { cycle: number; row: Row | undefined } {
    const { model } = this;
    if (selection.type === "issue") {
      const queue = model.queue[selection.issue.run];
      return { cycle: model.cycleOf(selection.issue), row: this.byQueue.get(queue) };
    }
    if (selection.type === "operation") {
      const at = this.lane[selection.op];
      const row = this.shown.find((r) => r.type === "lane" && r.index === at);
      return { cycle: model.firstOf(selection.op), row };
    }
    const { direction, stream, stop, cycle } = selection;
    return { cycle, row: this.streamRow(direction, stream, stop) };
  }

  /** The operation that a selection belongs to, -1 if to none. */
  operationOf(selection: Selection): number {
    if (selection.type === "operation") return selection.op;
    if (selection.type === "issue") return this.model.operation[selection.issue.run];
    const { direction, stream, stop, cycle } = selection;
    const end = this.streams().producer(direction, stream, stop, cycle);
    return end ? this.model.operation[end.run] : -1;
  }

  diagonalOf(direction: string, cycle: number, stop: number): number {
    return diagonal(direction, cycle, stop);
  }
}
