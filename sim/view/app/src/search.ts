// Finding rows, instructions, addresses, tensors and operations by what one types.

import { hits } from "./links";
import type { Model } from "./model";
import type { Selection } from "./pane";

export interface Found {
  selection: Selection | null;
  queue: number;
  cycle: number;
}

const MOST = 20000;

/**
 * What matches, in order of time. Words must all match one issue: its queue, its instruction,
 * its operation, a tensor that it reads or writes; `@5` or `@5-9` are addresses or rows; a bare
 * number is a cycle. An operation whose name matches is found once, at its first cycle.
 */
export function search(model: Model, text: string): Found[] {
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  if (words.length === 1 && /^[\d,]+$/.test(words[0])) {
    const cycle = Number(words[0].replaceAll(",", ""));
    return cycle <= model.cycles ? [{ selection: null, queue: -1, cycle }] : [];
  }
  const found = operations(model, text.trim().toLowerCase());
  if (found.length) return found.sort((a, b) => a.cycle - b.cycle);
  issues(model, words, found);
  return found.sort((a, b) => a.cycle - b.cycle);
}

function operations(model: Model, name: string): Found[] {
  const found: Found[] = [];
  for (let op = 0; op < model.operations; op++) {
    if (!model.nameOf(op).toLowerCase().includes(name)) continue;
    found.push({ selection: { type: "operation", op }, queue: -1, cycle: model.firstOf(op) });
  }
  return found;
}

function issues(model: Model, words: string[], found: Found[]): void {
  const addresses = words
    .filter((w) => /^@\d+(-\d+)?$/.test(w))
    .map((w) => w.slice(1).split("-").map(Number));
  const rest = words.filter((w) => !/^@\d+(-\d+)?$/.test(w));
  const texts = model.header.templates.map((t) => t.text.toLowerCase());
  const tensors = model.header.tensors.map((t) => `${t.name} ${t.role}`.toLowerCase());
  const names = model.header.queues.map((q) => q.name.toLowerCase());
  for (let run = 0; run < model.runs && found.length < MOST; run++) {
    const queue = model.queue[run];
    const op = model.operation[run];
    let range: [number, number] | null = null;
    const matches = rest.every((word) => {
      if (names[queue].includes(word) || texts[model.template[run]].includes(word)) return true;
      if (op >= 0 && model.nameOf(op).toLowerCase().includes(word)) return true;
      const tensor = tensors.findIndex((t, i) => t.includes(word) && touches(model, run, i));
      if (tensor < 0) return false;
      const t = model.header.tensors[tensor];
      range = [t.address, t.address + t.words - 1];
      return true;
    });
    if (!matches) continue;
    if (addresses.length && model.templateOf(run).strided === null) continue;
    const [low, high = low] = addresses[0] ?? range ?? [];
    for (const k of low === undefined ? [0] : within(model, run, low, high)) {
      const issue = { run, k };
      found.push({ selection: { type: "issue", issue }, queue, cycle: model.cycleOf(issue) });
    }
  }
}

/** The first repetition of a run for every address from `low` to `high`. */
function within(model: Model, run: number, low: number, high: number): number[] {
  const first = model.value[run];
  const last = first + (model.count[run] - 1) * model.stride[run];
  const from = Math.max(low, Math.min(first, last));
  const to = Math.min(high, Math.max(first, last));
  for (let value = from; value <= to; value++) {
    const [k] = hits(model, run, value);
    if (k !== undefined) return [k];
  }
  return [];
}

function touches(model: Model, run: number, tensor: number): boolean {
  const t = model.header.tensors[tensor];
  const { action } = model.templateOf(run);
  if (t.bank !== model.queue[run] || (action !== "read" && action !== "write")) return false;
  return within(model, run, t.address, t.address + t.words - 1).length > 0;
}
