// A program as the page works with it: runs by queue, issues by cycle, operations and reasons.

import type { Column, Header, Payload, Queue, Slice, Template } from "./payload";

/** One issue: run `run`, repetition `k`. */
export interface Issue {
  run: number;
  k: number;
}

export class Model {
  readonly header: Header;
  readonly columns: Record<string, Column>;
  readonly cycles: number;
  readonly runs: number;
  readonly queue: Column;
  readonly template: Column;
  readonly operation: Column;
  readonly start: Column;
  readonly count: Column;
  readonly interval: Column;
  readonly stride: Column;
  readonly value: Column;
  /** Runs of queue q are firstRun[q] to firstRun[q + 1] - 1. */
  readonly firstRun: Int32Array;
  /** Issues of the whole program before a run. */
  readonly before: Uint32Array;
  readonly operations: number;
  private byOperation: Int32Array[] | null = null;

  constructor(payload: Payload) {
    const { header, columns } = payload;
    this.header = header;
    this.columns = columns;
    this.cycles = Math.max(header.cycles, 1);
    this.queue = columns["run.queue"];
    this.template = columns["run.template"];
    this.operation = columns["run.operation"];
    this.start = columns["run.start"];
    this.count = columns["run.count"];
    this.interval = columns["run.interval"];
    this.stride = columns["run.stride"];
    this.value = columns["run.value"];
    this.runs = this.queue.length;
    this.operations = columns["op.name"]?.length ?? 0;
    this.firstRun = new Int32Array(header.queues.length + 1);
    this.before = new Uint32Array(this.runs + 1);
    for (let run = 0; run < this.runs; run++) {
      this.firstRun[this.queue[run] + 1]++;
      this.before[run + 1] = this.before[run] + this.count[run];
    }
    for (let q = 0; q < header.queues.length; q++) this.firstRun[q + 1] += this.firstRun[q];
  }

  get issues(): number {
    return this.before[this.runs];
  }

  queueOf(run: number): Queue {
    return this.header.queues[this.queue[run]];
  }

  sliceOf(queue: number): Slice {
    return this.header.slices[this.header.queues[queue].slice];
  }

  templateOf(run: number): Template {
    return this.header.templates[this.template[run]];
  }

  cycleOf(issue: Issue): number {
    return this.start[issue.run] + issue.k * this.interval[issue.run];
  }

  lastOf(run: number): number {
    return this.start[run] + (this.count[run] - 1) * this.interval[run];
  }

  /** The strided field of an issue: an address, a row, a column. */
  valueOf(issue: Issue): number {
    return this.value[issue.run] + issue.k * this.stride[issue.run];
  }

  textOf(issue: Issue): string {
    return this.templateOf(issue.run).text.replace("{}", String(this.valueOf(issue)));
  }

  /** The last run of a queue that starts in `cycle` or before; firstRun[queue] - 1 if none does. */
  runBefore(queue: number, cycle: number): number {
    let low = this.firstRun[queue];
    let high = this.firstRun[queue + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.start[middle] <= cycle) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** What a queue issues in a cycle. */
  issueAt(queue: number, cycle: number): Issue | null {
    const run = this.runBefore(queue, cycle);
    if (run < this.firstRun[queue]) return null;
    const away = cycle - this.start[run];
    const k = away / this.interval[run];
    return Number.isInteger(k) && k < this.count[run] ? { run, k } : null;
  }

  /** The last issue of a queue in `cycle` or before. */
  issueUpTo(queue: number, cycle: number): Issue | null {
    const run = this.runBefore(queue, cycle);
    if (run < this.firstRun[queue]) return null;
    const k = Math.floor((cycle - this.start[run]) / this.interval[run]);
    return { run, k: Math.min(k, this.count[run] - 1) };
  }

  /** The first issue of a queue in `cycle` or after. */
  issueFrom(queue: number, cycle: number): Issue | null {
    const run = this.runBefore(queue, cycle);
    if (run >= this.firstRun[queue]) {
      const k = Math.ceil((cycle - this.start[run]) / this.interval[run]);
      if (k < this.count[run]) return { run, k };
    }
    return run + 1 < this.firstRun[queue + 1] ? { run: run + 1, k: 0 } : null;
  }

  /** Issues of a queue in cycles below `cycle`, which need not be whole. */
  issuesBefore(queue: number, cycle: number): number {
    const first = this.firstRun[queue];
    const run = this.runBefore(queue, Math.ceil(cycle) - 1);
    if (run < first) return 0;
    const inside = Math.floor((Math.ceil(cycle) - 1 - this.start[run]) / this.interval[run]) + 1;
    return this.before[run] - this.before[first] + Math.min(inside, this.count[run]);
  }

  /** Index of the queue of that name. */
  queueIndex(name: string): number {
    return this.header.queues.findIndex((queue) => queue.name === name);
  }

  nameOf(operation: number): string {
    return this.header.strings[this.columns["op.name"][operation]];
  }

  startOf(operation: number): number {
    return this.columns["op.start"][operation];
  }

  firstOf(operation: number): number {
    return this.columns["op.first"][operation];
  }

  endOf(operation: number): number {
    return this.columns["op.end"][operation];
  }

  reasonOf(operation: number): string {
    return this.header.reason_kinds[this.columns["op.reason"][operation]] ?? "choice";
  }

  holderOf(operation: number): number {
    return this.columns["op.holder"][operation];
  }

  /** Runs of an operation, in the order of queues. */
  runsOf(operation: number): Int32Array {
    if (!this.byOperation) {
      const sizes = new Int32Array(this.operations);
      for (const op of this.operation) if (op >= 0) sizes[op]++;
      this.byOperation = Array.from(sizes, (size) => new Int32Array(size));
      sizes.fill(0);
      for (let run = 0; run < this.runs; run++) {
        const op = this.operation[run];
        if (op >= 0) this.byOperation[op][sizes[op]++] = run;
      }
    }
    return this.byOperation[operation];
  }

  /** The tensor that an address of a bank belongs to. */
  tensorAt(queue: number, address: number): number {
    return this.header.tensors.findIndex(
      (t) => t.bank === queue && address >= t.address && address < t.address + t.words,
    );
  }
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
