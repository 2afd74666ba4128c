// What a program amounts to, in numbers for tables.

import type { Model } from "./model";
import { family, path } from "./operations";
import { Sums, issueSums } from "./series";

export interface Share {
  name: string;
  kind: string;
  issues: number;
  share: number;
}

function queuesWhere(model: Model, test: (unit: string, slice: number) => boolean): number[] {
  return model.header.queues.flatMap((q, i) => (test(q.unit, q.slice) ? [i] : []));
}

/** Queues whose issues say how busy a slice is: of an MXM, those that stream activations. */
function telling(model: Model, slice: number): number[] {
  const mxm = model.header.slices[slice].kind === "MXM";
  return queuesWhere(model, (unit, at) => at === slice && (!mxm || unit === "ABC"));
}

function issuesOf(model: Model, queues: number[]): number {
  return queues.reduce(
    (sum, q) => sum + model.before[model.firstRun[q + 1]] - model.before[model.firstRun[q]],
    0,
  );
}

/** Busy share of every slice that has queues. */
export function slices(model: Model): Share[] {
  return model.header.slices.flatMap((slice, index) => {
    const queues = telling(model, index);
    if (!queues.length) return [];
    const issues = issuesOf(model, queues);
    return [
      {
        name: slice.name,
        kind: slice.kind,
        issues,
        share: issues / (queues.length * model.cycles),
      },
    ];
  });
}

/** Units whose load over time is drawn, with the queues of each. */
export function loads(model: Model): { name: string; kind: string; queues: number[] }[] {
  const groups = [
    { name: "planes", kind: "MXM", unit: "ABC" },
    { name: "ALUs", kind: "VXM", unit: "VXM" },
    { name: "SXM", kind: "SXM", unit: "SXM" },
    { name: "banks", kind: "MEM", unit: "MEM" },
  ];
  return groups
    .map(({ name, kind, unit }) => ({ name, kind, queues: queuesWhere(model, (u) => u === unit) }))
    .filter(({ queues }) => queues.length);
}

export function loadSums(model: Model): Sums[] {
  return loads(model).map(({ queues }) => issueSums(model, queues));
}

export interface Difference {
  name: string;
  a: number;
  b: number;
}

function joined(a: Map<string, number>, b: Map<string, number>): Difference[] {
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names]
    .map((name) => ({ name, a: a.get(name) ?? 0, b: b.get(name) ?? 0 }))
    .sort((x, y) => Math.abs(y.b - y.a) - Math.abs(x.b - x.a));
}

/** Cycles from first issue to end, summed over the operations that are alike. */
export function families(model: Model): Map<string, number> {
  const sums = new Map<string, number>();
  for (let op = 0; op < model.operations; op++) {
    const name = family(model.nameOf(op));
    sums.set(name, (sums.get(name) ?? 0) + model.endOf(op) - model.firstOf(op));
  }
  return sums;
}

/** Cycles of the critical path by kind of reason; they add up to those of the program. */
export function pathKinds(model: Model): Map<string, number> {
  const sums = new Map<string, number>();
  const given = Object.entries(model.header.path_cycles ?? {});
  if (given.length) return new Map(given);
  for (const { kind, from, to } of path(model)) sums.set(kind, (sums.get(kind) ?? 0) + to - from);
  return sums;
}

/** What became longer or shorter from one program to the other. */
export function compare(a: Model, b: Model) {
  const busy = (m: Model) => new Map(slices(m).map(({ name, issues }) => [name, issues]));
  const idle = (m: Model) =>
    new Map(
      m.header.planes.flatMap((p) =>
        Object.entries(p.idle).map(([k, v]) => [`${p.name}: ${k}`, v] as const),
      ),
    );
  return {
    path: joined(pathKinds(a), pathKinds(b)),
    operations: joined(families(a), families(b)),
    slices: joined(busy(a), busy(b)),
    planes: joined(idle(a), idle(b)),
  };
}
