// Operations as people read them: lanes of a chart, reasons as sentences, the critical path.

import type { Model } from "./model";
import { number, plural } from "./dom";

/** What each kind of reason is about, for tables and legends. */
export const KINDS: Record<string, string> = {
  start: "first cycle",
  issue: "issue slots and banks",
  stream: "streams",
  buffer: "weight buffers",
  array: "planes at work",
  row: "accumulator rows in use",
  result: "ALUs",
  word: "words from memory",
  sums: "accumulator rows",
  weights: "weights",
  reuse: "memory still in use",
  flow: "words on streams",
  choice: "planner's choice",
  run: "length of the last operation",
};

export const IDLE: Record<string, string> = {
  busy: "busy",
  fill: "fill: before the first row",
  drain: "drain: after the last row",
  weights: "waits for weights",
  operands: "waits for operands",
  banks: "waits for banks",
  accumulators: "waits for accumulator rows",
  planes: "waits for another plane",
  pace: "takes a row only every few cycles",
  choice: "planner's choice",
  other: "other",
  unused: "not used",
};

/** The lane of every operation in a chart without overlaps, and how many lanes there are. */
export function lanes(model: Model): { lane: Int32Array; count: number } {
  const order = Array.from({ length: model.operations }, (_, op) => op);
  order.sort((a, b) => model.firstOf(a) - model.firstOf(b) || a - b);
  const lane = new Int32Array(model.operations);
  const free: number[] = [];
  for (const op of order) {
    let at = free.findIndex((end) => end <= model.firstOf(op));
    if (at < 0) at = free.push(0) - 1;
    free[at] = Math.max(model.endOf(op), model.firstOf(op) + 1);
    lane[op] = at;
  }
  return { lane, count: free.length };
}

export interface Reason {
  kind: string;
  holder: number;
  cycle: number;
  slack: number;
  resource: string;
  sentence: string;
}

/** Why an operation did not start a cycle sooner. */
export function reason(model: Model, op: number): Reason {
  const kind = model.reasonOf(op);
  const holder = model.holderOf(op);
  const cycle = model.columns["op.cycle"][op];
  const slack = model.columns["op.slack"][op];
  const resource = model.header.strings[model.columns["op.resource"][op]] ?? "";
  const sentence = say(kind, resource, cycle, slack, holder < 0 ? "" : model.nameOf(holder));
  return { kind, holder, cycle, slack, resource, sentence };
}

function say(kind: string, resource: string, cycle: number, slack: number, holder: string): string {
  const whose = holder ? `“${holder}”` : "another operation";
  const at = `cycle ${number(cycle)}`;
  let why: string;
  switch (kind) {
    case "start":
      return "It begins as soon as the program does: nothing stands before it.";
    case "issue":
    case "stream":
    case "result":
      why = `it would need ${resource} in ${at}, taken by ${whose}`;
      break;
    case "buffer":
    case "array":
    case "row":
    case "reuse":
      why = `it would overwrite ${resource} in ${at}, which ${whose} still needs`;
      break;
    case "word":
    case "sums":
    case "weights":
      why = `it needs ${resource}, made by ${whose} only in ${at}`;
      break;
    case "flow":
      why = `it samples ${resource} in ${at}, driven by ${whose}`;
      break;
    default:
      return "Nothing stops it: the planner chose this cycle.";
  }
  if (slack > 0) {
    return `It could start ${plural(slack, "cycle")} sooner; the planner chose this cycle. Before that, ${why}.`;
  }
  return `One cycle sooner, ${why}.`;
}

/** A step of the critical path: from the holder's start to the operation's. */
export interface Step {
  op: number;
  kind: string;
  from: number;
  to: number;
}

/** The critical path from cycle 0 to the end; its steps add up to the program's cycles. */
export function path(model: Model): Step[] {
  const { path, cycles } = model.header;
  const steps: Step[] = [];
  if (!path.length) return steps;
  let at = 0;
  for (let i = path.length - 1; i >= 0; i--) {
    const op = path[i];
    const start = model.startOf(op);
    const kind = model.reasonOf(op);
    steps.push({ op, kind: i === path.length - 1 ? "start" : kind, from: at, to: start });
    at = start;
  }
  steps.push({ op: path[0], kind: "run", from: at, to: cycles });
  return steps;
}

/** A name without its numbers, so that what is alike can be counted together. */
export function family(name: string): string {
  return name.replace(/\d+/g, "#");
}
