// The rows of the chart: the chip from west to east as a tree that folds.

import type { Model } from "./model";
import type { Streams } from "./streams";
import { range } from "./model";

export type RowType =
  "path" | "operations" | "lane" | "group" | "queue" | "stop" | "stream" | "sums";

export interface Row {
  key: string;
  type: RowType;
  label: string;
  /** What it is, for those who read it aloud. */
  title: string;
  kind: string;
  depth: number;
  height: number;
  queues: number[];
  stop: number;
  direction: string;
  stream: number;
  index: number;
  slice: number;
  children: Row[];
  parent: Row | null;
  /** Set by layout: distance from the top of all rows, -1 if it is folded away. */
  y: number;
}

const HEIGHT: Record<RowType, number> = {
  ...{ path: 28, operations: 22, lane: 18, group: 22, queue: 20, stop: 24, stream: 14, sums: 72 },
};

function row(type: RowType, key: string, label: string, rest: Partial<Row> = {}): Row {
  return {
    ...{ key, type, label, title: label, kind: "ICU", depth: 0, height: HEIGHT[type] },
    ...{ queues: [], stop: -1, direction: "", stream: -1, index: -1, slice: -1 },
    ...{ children: [], parent: null, y: -1 },
    ...rest,
  };
}

/** All rows of a program; those that nothing ever uses only if `unused`. */
export function tree(model: Model, streams: () => Streams, lanes: number, unused: boolean): Row[] {
  const rows: Row[] = [];
  if (model.header.path.length) rows.push(row("path", "path", "critical path"));
  if (model.operations) {
    const all = row("operations", "ops", `operations`, { title: "operations" });
    all.children = range(lanes).map((index) => row("lane", `op${index}`, "", { index }));
    rows.push(all);
  }
  const { stops } = model.header.config;
  for (const stop of range(stops)) {
    rows.push(streamRows(model, streams, stop));
    rows.push(...sliceRows(model, stop, unused));
  }
  const settle = (list: Row[], parent: Row | null, depth: number) => {
    for (const r of list) {
      r.parent = parent;
      r.depth = depth;
      settle(r.children, r, depth + 1);
    }
  };
  settle(rows, null, 0);
  return rows;
}

function streamRows(model: Model, streams: () => Streams, stop: number): Row {
  const title = `streams at stop ${stop}, eastward above and westward below`;
  const result = row("stop", `s${stop}`, `stop ${stop}`, { stop, kind: "stream", title });
  // Children are made when it unfolds: finding out which streams are used takes a moment.
  let children: Row[] | null = null;
  Object.defineProperty(result, "children", {
    get: () => (children ??= made()),
    set: () => undefined,
  });
  const made = () =>
    ["E", "W"].flatMap((direction) =>
      range(model.header.config.streams)
        .filter((stream) => streams().used(direction, stream))
        .map((stream) =>
          row("stream", `s${stop}${direction}${stream}`, `${direction.toLowerCase()}${stream}`, {
            ...{ stop, direction, stream, kind: "stream", parent: result, depth: 1 },
            title: `stream ${direction.toLowerCase()}${stream} at stop ${stop}`,
          }),
        ),
    );
  return result;
}

function sliceRows(model: Model, stop: number, unused: boolean): Row[] {
  const { slices, queues } = model.header;
  const rows: Row[] = [];
  const memories: Row[] = [];
  slices.forEach((slice, index) => {
    if (slice.stop !== stop) return;
    const own = range(queues.length).filter((q) => queues[q].slice === index);
    const used = own.filter((q) => unused || model.firstRun[q] < model.firstRun[q + 1]);
    if (!used.length) return;
    const made = sliceRow(model, index, used);
    (slice.kind === "MEM" ? memories : rows).push(made);
  });
  if (memories.length > 1) {
    const [first, last] = [memories[0], memories.at(-1)!];
    const label = `${first.label}–${last.label.replace("MEM_", "")}`;
    const queues = memories.flatMap((m) => m.queues);
    const title = `memory slices ${label}`;
    rows.push(
      row("group", `m${stop}`, label, { kind: "MEM", queues, stop, title, children: memories }),
    );
  } else rows.push(...memories);
  return rows;
}

const UNITS: Record<string, string> = {
  LW: "load weights",
  IW: "install weights",
  ABC: "activations into the array",
  ACC: "accumulators",
};

function sliceRow(model: Model, index: number, queues: number[]): Row {
  const slice = model.header.slices[index];
  const common = { kind: slice.kind, stop: slice.stop, slice: index };
  const leaf = (q: number) => {
    const queue = model.header.queues[q];
    const label = queueLabel(slice.kind, queue.name.slice(slice.name.length + 1), queue.port);
    const title = `${queue.name}${UNITS[queue.unit] ? `: ${UNITS[queue.unit]}` : ""}`;
    return row("queue", `q${q}`, label, { ...common, queues: [q], title });
  };
  if (queues.length === 1 && slice.kind !== "MXM") {
    return { ...leaf(queues[0]), label: slice.name };
  }
  let children = queues.map(leaf);
  if (slice.kind === "MXM") {
    children = planes(model, queues, leaf, common);
    // One plane needs no level of its own.
    if (children.length === 1) children = children[0].children;
  }
  return row("group", `c${index}`, slice.name, { ...common, queues, children });
}

function queueLabel(kind: string, rest: string, port: number): string {
  if (kind === "MEM") return `bank ${port}`;
  if (kind === "VXM") return `ALU ${port}`;
  if (kind === "SXM") return `unit ${port}`;
  return rest.replace(/^\d+\./, "");
}

function planes(
  model: Model,
  queues: number[],
  leaf: (q: number) => Row,
  common: Partial<Row>,
): Row[] {
  const by = new Map<number, number[]>();
  for (const q of queues) {
    const { port } = model.header.queues[q];
    by.set(port, [...(by.get(port) ?? []), q]);
  }
  return [...by].map(([port, own]) => {
    const children = own.map(leaf);
    const acc = own.find((q) => model.header.queues[q].unit === "ACC");
    if (acc !== undefined) {
      const title = `accumulator rows of plane ${port}, row 0 on top`;
      children.push(row("sums", `a${acc}`, "rows", { ...common, queues: [acc], title }));
    }
    const key = `p${own[0]}`;
    return row("group", key, `plane ${port}`, { ...common, queues: own, children });
  });
}

/** The rows that are open to view, with their places; and the height of all. */
export function layout(rows: Row[], open: Set<string>): { shown: Row[]; height: number } {
  const shown: Row[] = [];
  let y = 0;
  const place = (list: Row[]) => {
    for (const r of list) {
      r.y = y;
      y += r.height;
      shown.push(r);
      if (open.has(r.key)) place(r.children);
    }
  };
  place(rows);
  return { shown, height: y };
}

/** The row at a distance from the top. */
export function rowAt(shown: Row[], y: number): Row | null {
  let low = 0;
  let high = shown.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (shown[middle].y <= y) low = middle + 1;
    else high = middle;
  }
  const found = shown[low - 1];
  return found && y < found.y + found.height ? found : null;
}

/** Keys of rows that a fresh page shows open: few enough to be seen at once where possible. */
export function opened(rows: Row[], budget = 36): Set<string> {
  const open = new Set<string>();
  let left = budget - rows.length;
  for (const kinds of [["operations"], ["MXM"], ["VXM"]]) {
    for (const r of rows) {
      if (r.type === "stop" || !r.children.length) continue;
      if (!kinds.includes(r.type === "operations" ? "operations" : r.kind)) continue;
      if (r.children.length > Math.max(left, 0) + 4) continue;
      open.add(r.key);
      left -= r.children.length;
    }
  }
  return open;
}
