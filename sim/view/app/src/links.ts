// Where the operands of an issue come from, and who reads its results.

import type { Issue, Model } from "./model";
import type { Streams } from "./streams";
import type { StreamUse } from "./payload";

/** A word on its way: driven at one stop, sampled at another. */
export interface Flight {
  direction: string;
  stream: number;
  size: number;
  from: { stop: number; cycle: number };
  to: { stop: number; cycle: number };
}

export interface Link {
  kind: "stream" | "memory" | "alu" | "weights" | "sums";
  /** Which operand or result, in the words of the instruction. */
  label: string;
  /** Who is at the other end; null if nobody is, and `text` says what is there. */
  other: Issue | null;
  text: string;
  flight: Flight | null;
  /** How many more like this one there are. */
  more: number;
}

export function groupText([direction, size, index]: StreamUse): string {
  return `sg${size}.${direction.toLowerCase()}${index}`;
}

/** The field of an instruction that names this group. */
export function fieldOf(model: Model, issue: Issue, which: "samples" | "drives", slot: number) {
  const template = model.templateOf(issue.run);
  const text = groupText(template[which][slot]);
  if (template.mnemonic === "lw") return `column stream ${slot}`;
  const targets = which === "drives";
  const named = template.fields.filter(([, value]) => value === text);
  const found = named.find(([name]) => name.includes("target") === targets) ?? named[0];
  return found ? found[0] : targets ? "target" : "operand";
}

export class Links {
  constructor(
    readonly model: Model,
    readonly streams: () => Streams,
  ) {}

  operands(issue: Issue): Link[] {
    const template = this.model.templateOf(issue.run);
    const links: Link[] = [];
    template.samples.forEach((_, slot) => links.push(...this.sampled(issue, slot)));
    template.alus.forEach(([alu, after]) => links.push(this.fromAlu(issue, alu, after)));
    if (template.action === "read") links.push(this.fromMemory(issue));
    if (template.unit === "IW") links.push(...this.columns(issue));
    if (template.unit === "ABC") links.push(...this.installed(issue), ...this.held(issue));
    if (template.unit === "ACC") links.push(...this.sums(issue));
    return links;
  }

  results(issue: Issue): Link[] {
    const template = this.model.templateOf(issue.run);
    const links: Link[] = [];
    template.drives.forEach((_, slot) => links.push(...this.driven(issue, slot)));
    if (template.unit === "VXM") links.push(...this.toAlus(issue));
    if (template.action === "write") links.push(...this.readers(issue));
    if (template.unit === "LW") links.push(...this.installer(issue));
    if (template.unit === "IW") links.push(...this.users(issue));
    if (template.unit === "ABC") links.push(...this.taker(issue));
    if (template.unit === "ACC") links.push(...this.nextOfRow(issue));
    return links;
  }

  private sampled(issue: Issue, slot: number): Link[] {
    const use = this.model.templateOf(issue.run).samples[slot];
    const [direction, size, index, after] = use;
    const stop = this.model.queueOf(issue.run).stop;
    const cycle = this.model.cycleOf(issue) + after;
    const field = fieldOf(this.model, issue, "samples", slot);
    const links: Link[] = [];
    for (let part = 0; part < size; part++) {
      const stream = size * index + part;
      const end = this.streams().producer(direction, stream, stop, cycle);
      const before = links.at(-1);
      if (before?.other && end && before.other.run === end.run && before.other.k === end.k) {
        before.flight!.size++;
        continue;
      }
      const flight = end && flown(direction, stream, 1, end, { stop, cycle });
      const text = end ? "" : `nothing valid on ${direction.toLowerCase()}${stream}`;
      links.push({ kind: "stream", label: field, other: end, text, flight, more: 0 });
    }
    if (links.length > 1) {
      for (const link of links) {
        if (link.flight) link.label = `${field}, byte ${link.flight.stream - size * index}`;
      }
    }
    return links;
  }

  private driven(issue: Issue, slot: number): Link[] {
    const use = this.model.templateOf(issue.run).drives[slot];
    const [direction, size, index, after] = use;
    const stop = this.model.queueOf(issue.run).stop;
    const cycle = this.model.cycleOf(issue) + after;
    const field = fieldOf(this.model, issue, "drives", slot);
    const links: Link[] = [];
    for (let part = 0; part < size; part++) {
      const stream = size * index + part;
      for (const end of this.streams().consumers(direction, stream, stop, cycle)) {
        const same = links.find((l) => l.other!.run === end.run && l.other!.k === end.k);
        if (same) same.flight!.size++;
        else {
          const flight = flown(direction, stream, 1, { stop, cycle }, end);
          links.push({ kind: "stream", label: field, other: end, text: "", flight, more: 0 });
        }
      }
    }
    if (links.length) return links;
    return [nobody("stream", field, `nobody reads ${groupText(use)}`)];
  }

  private fromAlu(issue: Issue, alu: number, after: number): Link {
    const cycle = this.model.cycleOf(issue) + after;
    const other = this.standingAt("VXM", alu, cycle);
    const text = other ? "" : `nothing stands at ALU ${alu}`;
    return { kind: "alu", label: `alu${alu}`, other, text, flight: null, more: 0 };
  }

  /** The issue of a unit's queue whose result stands in `cycle`. */
  private standingAt(unit: string, port: number, cycle: number, slice = -1): Issue | null {
    const queue = this.queueFor(unit, port, slice);
    if (queue < 0) return null;
    for (const after of this.distances(unit)) {
      const issue = this.model.issueAt(queue, cycle - after);
      if (issue && this.model.templateOf(issue.run).stands === after) return issue;
    }
    return null;
  }

  private queueFor(unit: string, port: number, slice: number): number {
    return this.model.header.queues.findIndex(
      (q) => q.unit === unit && q.port === port && (slice < 0 || q.slice === slice),
    );
  }

  private distances(unit: string): number[] {
    const found = new Set<number>();
    for (const t of this.model.header.templates) {
      if (t.unit === unit && t.stands !== null) found.add(t.stands);
    }
    return [...found];
  }

  private toAlus(issue: Issue): Link[] {
    const { model } = this;
    const queue = model.queueOf(issue.run);
    const { stands } = model.templateOf(issue.run);
    if (stands === null) return [];
    const cycle = model.cycleOf(issue) + stands;
    const afters = new Set<number>();
    for (const t of model.header.templates) {
      for (const [alu, after] of t.alus) if (alu === queue.port) afters.add(after);
    }
    const links: Link[] = [];
    model.header.queues.forEach((other, index) => {
      if (other.unit !== "VXM") return;
      for (const after of afters) {
        const reader = model.issueAt(index, cycle - after);
        const uses = reader && model.templateOf(reader.run).alus;
        if (uses?.some(([alu, at]) => alu === queue.port && at === after)) {
          const label = `alu${queue.port}`;
          links.push({ kind: "alu", label, other: reader, text: "", flight: null, more: 0 });
        }
      }
    });
    return links;
  }

  /**
   * Issues of the same queue with a wanted action at the same address: the last before `issue`,
   * or all after it until one that stops the search.
   */
  private near(
    issue: Issue,
    step: 1 | -1,
    wanted: (action: string) => boolean,
    stop: (action: string) => boolean = () => false,
  ): Issue[] {
    const { model } = this;
    const queue = model.queue[issue.run];
    const address = model.valueOf(issue);
    const first = model.firstRun[queue];
    const last = model.firstRun[queue + 1] - 1;
    const found: Issue[] = [];
    for (let run = issue.run; run >= first && run <= last; run += step) {
      const { action } = model.templateOf(run);
      if (!action || (!wanted(action) && !stop(action))) continue;
      const ks = hits(model, run, address);
      for (const k of step > 0 ? ks : ks.reverse()) {
        if (run === issue.run && (step > 0 ? k <= issue.k : k >= issue.k)) continue;
        if (!wanted(action)) return found;
        found.push({ run, k });
        if (step < 0) return found;
      }
    }
    return found;
  }

  private fromMemory(issue: Issue): Link {
    const { model } = this;
    const address = model.valueOf(issue);
    const label = `word ${address}`;
    const [other] = this.near(issue, -1, (action) => action === "write");
    if (other) return { kind: "memory", label, other, text: "", flight: null, more: 0 };
    const tensor = model.tensorAt(model.queue[issue.run], address);
    const t = model.header.tensors[tensor];
    const text = t
      ? `${t.name || t.role}, word ${address - t.address}, loaded before the run`
      : "never written";
    return nobody("memory", label, text);
  }

  private readers(issue: Issue): Link[] {
    const label = `word ${this.model.valueOf(issue)}`;
    const found = this.near(
      issue,
      1,
      (action) => action === "read",
      (action) => action === "write",
    );
    if (!found.length) {
      const { model } = this;
      const tensor = model.tensorAt(model.queue[issue.run], model.valueOf(issue));
      const t = model.header.tensors[tensor];
      return [nobody("memory", label, t ? `${t.name || t.role} of the program` : "never read")];
    }
    return limited(found, "memory", label);
  }

  private unitQueue(issue: Issue, unit: string): number {
    const queue = this.model.queueOf(issue.run);
    return this.queueFor(unit, queue.port, queue.slice);
  }

  private columns(issue: Issue): Link[] {
    const { model } = this;
    const cycle = model.cycleOf(issue);
    const previous = model.issueUpTo(model.queue[issue.run], cycle - 1);
    const from = previous ? model.cycleOf(previous) : 0;
    const loads = this.between(this.unitQueue(issue, "LW"), from, cycle - 1);
    return limited(loads, "weights", "columns");
  }

  private installer(issue: Issue): Link[] {
    const queue = this.unitQueue(issue, "IW");
    const other = this.model.issueFrom(queue, this.model.cycleOf(issue) + 1);
    if (!other) return [nobody("weights", "columns", "never installed")];
    return limited([other], "weights", "columns");
  }

  private installed(issue: Issue): Link[] {
    const queue = this.unitQueue(issue, "IW");
    const other = this.model.issueUpTo(queue, this.model.cycleOf(issue));
    if (!other) return [nobody("weights", "weights", "never installed")];
    return limited([other], "weights", "weights");
  }

  private held(issue: Issue): Link[] {
    const template = this.model.templateOf(issue.run);
    if (!template.fields.some(([name, value]) => name === "hold" && value === "1")) return [];
    const queue = this.model.queue[issue.run];
    const other = this.model.issueUpTo(queue, this.model.cycleOf(issue) - 1);
    return other ? limited([other], "weights", "the vector held") : [];
  }

  private users(issue: Issue): Link[] {
    const { model } = this;
    const cycle = model.cycleOf(issue);
    const next = model.issueFrom(model.queue[issue.run], cycle + 1);
    const until = next ? model.cycleOf(next) - 1 : model.cycles;
    return limited(this.between(this.unitQueue(issue, "ABC"), cycle, until), "weights", "weights");
  }

  /** Issues of a queue from cycle `from` to `to`. */
  private between(queue: number, from: number, to: number): Issue[] {
    const found: Issue[] = [];
    let issue = queue < 0 ? null : this.model.issueFrom(queue, from);
    while (issue && this.model.cycleOf(issue) <= to && found.length < 4096) {
      found.push(issue);
      issue = this.model.issueFrom(queue, this.model.cycleOf(issue) + 1);
    }
    return found;
  }

  /** Cycles from the issue of an ABC until that of the ACC that takes its dot products. */
  private toAcc(): number {
    const templates = this.model.header.templates;
    const stands = templates.find((t) => t.unit === "ABC")?.stands;
    const takes = templates.find((t) => t.unit === "ACC" && t.takes != null)?.takes;
    return stands == null || takes == null ? NaN : stands - takes;
  }

  private sums(issue: Issue): Link[] {
    const { model } = this;
    const template = model.templateOf(issue.run);
    const mode = template.fields.find(([name]) => name === "mode")?.[1];
    const links: Link[] = [];
    if (mode !== "keep") {
      const cycle = model.cycleOf(issue) - this.toAcc();
      const other = Number.isNaN(cycle) ? null : model.issueAt(this.unitQueue(issue, "ABC"), cycle);
      if (other) links.push(...limited([other], "sums", "dot products"));
    }
    if (mode !== "write") {
      const found = this.near(issue, -1, (action) => action === "row");
      links.push(...limited(found, "sums", `row ${model.valueOf(issue)}`));
    }
    return links;
  }

  private taker(issue: Issue): Link[] {
    const cycle = this.model.cycleOf(issue) + this.toAcc();
    if (Number.isNaN(cycle)) return [];
    const other = this.model.issueAt(this.unitQueue(issue, "ACC"), cycle);
    if (!other) return [nobody("sums", "dot products", "nobody takes them")];
    return limited([other], "sums", "dot products");
  }

  private nextOfRow(issue: Issue): Link[] {
    const [next] = this.near(issue, 1, (action) => action === "row");
    if (!next) return [];
    const fields = this.model.templateOf(next.run).fields;
    if (fields.some(([name, value]) => name === "mode" && value === "write")) return [];
    return limited([next], "sums", `row ${this.model.valueOf(issue)}`);
  }
}

/** The repetitions of a run that have `value` in their strided field, in order. */
export function hits(model: Model, run: number, value: number): number[] {
  const stride = model.stride[run];
  const away = value - model.value[run];
  if (stride === 0) {
    return away === 0 ? Array.from({ length: model.count[run] }, (_, k) => k) : [];
  }
  const k = away / stride;
  return Number.isInteger(k) && k >= 0 && k < model.count[run] ? [k] : [];
}

function flown(
  direction: string,
  stream: number,
  size: number,
  from: { stop: number; cycle: number },
  to: { stop: number; cycle: number },
): Flight {
  return {
    ...{ direction, stream, size },
    from: { stop: from.stop, cycle: from.cycle },
    to: { stop: to.stop, cycle: to.cycle },
  };
}

function nobody(kind: Link["kind"], label: string, text: string): Link {
  return { kind, label, other: null, text, flight: null, more: 0 };
}

const SHOWN = 8;

function limited(issues: Issue[], kind: Link["kind"], label: string): Link[] {
  const links: Link[] = issues
    .slice(0, SHOWN)
    .map((other) => ({ kind, label, other, text: "", flight: null, more: 0 }));
  if (issues.length > SHOWN) links[SHOWN - 1].more = issues.length - SHOWN;
  return links;
}
