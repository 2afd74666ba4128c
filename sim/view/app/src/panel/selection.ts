// The panel that says what is selected: text, fields, values, operands, readers, and why not sooner.

import type { App } from "../app";
import { el, number, plural } from "../dom";
import { groupText, fieldOf, type Link } from "../links";
import type { Issue } from "../model";
import { reason, IDLE } from "../operations";
import type { Pane, Selection } from "../pane";
import { show, type Value } from "../values";

export function selectionPanel(app: App, pane: Pane, selection: Selection | null): Node[] {
  if (!selection) return [hint()];
  if (selection.type === "issue") return issuePanel(app, pane, selection.issue);
  if (selection.type === "operation") return operationPanel(app, pane, selection.op);
  return wordPanel(app, pane, selection);
}

function hint(): Node {
  return el(
    "div",
    { class: "hint" },
    el("p", {}, "Point at an instruction to read it, click to keep it here."),
    el("p", {}, "Its operands and readers are drawn as the ways that their words take."),
    el("p", {}, "Zoom with the wheel, drag to pan; ", el("kbd", {}, "?"), " lists all keys."),
  );
}

function issuePanel(app: App, pane: Pane, issue: Issue): Node[] {
  const { model } = pane;
  const template = model.templateOf(issue.run);
  const queue = model.queueOf(issue.run);
  const cycle = model.cycleOf(issue);
  const { operands, results } = app.linksOf(pane, issue);
  const facts: [string, Node | string][] = [
    ["queue", queue.name],
    ["cycle", cycleButton(app, cycle)],
  ];
  if (model.count[issue.run] > 1) {
    const every =
      model.interval[issue.run] > 1 ? `, every ${model.interval[issue.run]} cycles` : "";
    facts.push(["repeat", `${number(issue.k + 1)} of ${number(model.count[issue.run])}${every}`]);
  }
  if (template.strided) facts.push([template.strided, String(model.valueOf(issue))]);
  const tensor =
    template.action === "read" || template.action === "write"
      ? model.header.tensors[model.tensorAt(model.queue[issue.run], model.valueOf(issue))]
      : undefined;
  if (tensor) {
    facts.push([
      "tensor",
      `${tensor.name || tensor.role}, word ${model.valueOf(issue) - tensor.address} of ${tensor.words}`,
    ]);
  }
  for (const [name, value] of template.fields) facts.push([name, value]);
  const op = model.operation[issue.run];
  return [
    el("h2", { class: "mono" }, model.textOf(issue)),
    definition(facts),
    ...linkList(app, pane, "Operands", operands, "needs no operand"),
    ...linkList(app, pane, "Read by", results, "drives nothing"),
    ...values(pane, issue),
    ...(op >= 0 ? belongs(app, pane, op) : []),
  ];
}

function definition(facts: [string, Node | string][]): Node {
  const list = el("dl", {});
  for (const [name, value] of facts) list.append(el("dt", {}, name), el("dd", {}, value));
  return list;
}

export function cycleButton(app: App, cycle: number): HTMLElement {
  const go = () => {
    app.setCursor(cycle);
    app.view.show(cycle);
  };
  return el("button", { class: "link", onclick: go }, number(cycle));
}

function linkList(app: App, pane: Pane, title: string, links: Link[], none: string): Node[] {
  if (!links.length) return [el("h3", {}, title), el("p", { class: "muted" }, none)];
  const items = links.slice(0, 24).map((link) => linkItem(app, pane, link));
  const more =
    links.length > 24 ? el("li", { class: "muted" }, `and ${links.length - 24} more`) : null;
  return [el("h3", {}, title), el("ul", { class: "links" }, ...items, more)];
}

function linkItem(app: App, pane: Pane, link: Link): Node {
  const { other } = link;
  if (!other) return el("li", {}, el("span", { class: "tag" }, link.label), " ", link.text);
  const { model } = pane;
  const follow = () => app.select(pane, { type: "issue", issue: other }, true);
  const where = `${model.queueOf(other.run).name}, cycle ${number(model.cycleOf(other))}`;
  const hops = link.flight ? Math.abs(link.flight.to.stop - link.flight.from.stop) : 0;
  const way = link.flight
    ? `, ${plural(hops, "hop")} ${link.flight.direction === "E" ? "east" : "west"}`
    : "";
  const more = link.more ? `, and ${link.more} more` : "";
  return el(
    "li",
    {},
    el(
      "button",
      { class: "follow", onclick: follow },
      el("span", { class: "tag" }, link.label),
      el("span", { class: "mono" }, model.textOf(other)),
      el("span", { class: "muted" }, where + way + more),
    ),
  );
}

function values(pane: Pane, issue: Issue): Node[] {
  const { model, values } = pane;
  if (!values.known) return [];
  const template = model.templateOf(issue.run);
  const parts: Node[] = [];
  const add = (which: "samples" | "drives", slot: number, value: Value | null) => {
    const name = `${fieldOf(model, issue, which, slot)} ${groupText(template[which][slot])}`;
    const whole = value && values.whole(issue, which, slot);
    const format = whole
      ? `byte ${whole.part} of ${groupText(whole.group)}, ${whole.value.format}`
      : value?.format;
    parts.push(el("h3", {}, `${name} `, el("span", { class: "muted" }, format ?? "")));
    if (!value) parts.push(el("p", { class: "muted" }, unknown(pane)));
    else parts.push(laneGrid(whole ? whole.value : value));
  };
  template.samples
    .slice(0, 4)
    .forEach((_, slot) => add("samples", slot, values.sampled(issue, slot)));
  template.drives.slice(0, 4).forEach((_, slot) => add("drives", slot, values.driven(issue, slot)));
  return parts;
}

function unknown(pane: Pane): string {
  const until = pane.model.header.values?.until;
  return until != null ? `values are kept up to cycle ${number(until)}` : "not known";
}

export function laneGrid(value: Value): Node {
  const cells = value.lanes.map((lane, i) =>
    el("li", { title: `lane ${i}: ${lane}` }, el("i", {}, i), show(lane, value.format)),
  );
  return el("ol", { class: `lanes${value.lanes.length > 64 ? " many" : ""}`, start: 0 }, ...cells);
}

function belongs(app: App, pane: Pane, op: number): Node[] {
  const open = () => app.select(pane, { type: "operation", op }, true);
  return [
    el("h3", {}, "Operation"),
    el("button", { class: "follow", onclick: open }, el("span", {}, pane.model.nameOf(op))),
    ...why(app, pane, op),
  ];
}

/** Why an operation did not start sooner, and the way to the one that it waited for. */
export function why(app: App, pane: Pane, op: number): Node[] {
  const found = reason(pane.model, op);
  const nodes: Node[] = [
    el("h3", {}, "Why not sooner"),
    el(
      "p",
      { class: "why", style: `border-color:${app.theme.reasons[found.kind] ?? "gray"}` },
      found.sentence,
    ),
  ];
  if (found.holder >= 0) {
    const { holder } = found;
    const go = () => app.select(pane, { type: "operation", op: holder }, true);
    nodes.push(
      el(
        "button",
        { class: "follow holder", onclick: go },
        el("span", { class: "tag" }, "waits for"),
        el("span", {}, pane.model.nameOf(holder)),
        el("span", { class: "muted" }, `starts in cycle ${number(pane.model.startOf(holder))}`),
      ),
    );
  }
  return nodes;
}

function operationPanel(app: App, pane: Pane, op: number): Node[] {
  const { model } = pane;
  const runs = model.runsOf(op);
  let issues = 0;
  const units = new Map<string, number>();
  for (const run of runs) {
    issues += model.count[run];
    const { name } = model.sliceOf(model.queue[run]);
    units.set(name, (units.get(name) ?? 0) + model.count[run]);
  }
  const busiest = [...units].sort((a, b) => b[1] - a[1]).slice(0, 6);
  const facts: [string, Node | string][] = [
    ["starts", cycleButton(app, model.startOf(op))],
    ["first issue", cycleButton(app, model.firstOf(op))],
    ["ends", cycleButton(app, model.endOf(op))],
    ["issues", number(issues)],
    ["uses", busiest.map(([name, count]) => `${name} (${number(count)})`).join(", ")],
  ];
  const first = runs.length ? runs[0] : -1;
  const look = () => app.select(pane, { type: "issue", issue: { run: first, k: 0 } }, true);
  return [
    el("h2", {}, model.nameOf(op)),
    model.header.path.includes(op) ? el("p", { class: "badge" }, "on the critical path") : "",
    ...why(app, pane, op),
    definition(facts),
    first >= 0
      ? el(
          "button",
          { class: "follow", onclick: look },
          el("span", {}, "Go to its first instruction"),
        )
      : "",
  ].filter((node): node is HTMLElement => node !== "");
}

function wordPanel(app: App, pane: Pane, word: Extract<Selection, { type: "word" }>): Node[] {
  const { model } = pane;
  const { direction, stream, stop, cycle } = word;
  const name = `${direction.toLowerCase()}${stream}`;
  const from = pane.streams().producer(direction, stream, stop, cycle);
  if (!from)
    return [el("h2", {}, `${name} at stop ${stop}`), el("p", {}, "Nothing valid stands there.")];
  const readers = pane.streams().consumers(direction, stream, from.stop, from.cycle);
  const flight = (to: { stop: number; cycle: number }) => ({
    direction,
    stream,
    size: 1,
    from,
    to,
  });
  const producer: Link = {
    ...{ kind: "stream", label: "driven by", other: from, text: "", more: 0 },
    flight: flight({ stop, cycle }),
  };
  const links: Link[] = readers.map((other) => ({
    ...{ kind: "stream" as const, label: "read by", other, text: "", more: 0 },
    flight: flight(other),
  }));
  const template = model.templateOf(from.run);
  const value = pane.values.driven(from, from.slot);
  const group = groupText(template.drives[from.slot]);
  return [
    el("h2", {}, `Word on ${name} at stop ${stop}`),
    definition([
      ["cycle", cycleButton(app, cycle)],
      ["driven in", cycleButton(app, from.cycle)],
      ["group", template.drives[from.slot][1] > 1 ? `${group}, byte ${from.part}` : group],
    ]),
    ...linkList(app, pane, "Comes from", [producer], ""),
    ...linkList(app, pane, "Read by", links, "nobody; it runs off the end or is overwritten"),
    ...(value
      ? [el("h3", {}, `${group} `, el("span", { class: "muted" }, value.format)), laneGrid(value)]
      : []),
    ...(model.operation[from.run] >= 0 ? belongs(app, pane, model.operation[from.run]) : []),
  ];
}

/** What to say about a place in a queue's row where nothing is issued. */
export function idleText(pane: Pane, queue: number, cycle: number): string {
  const { model } = pane;
  const before = model.issueUpTo(queue, cycle);
  const next = model.issueFrom(queue, cycle + 1);
  const from = before ? model.cycleOf(before) + 1 : 0;
  const name = model.header.queues[queue].name;
  if (!next) return `${name} has nothing more to do from cycle ${number(from)} on`;
  const to = model.cycleOf(next);
  const op = model.operation[next.run];
  const span = `${name} idles for ${plural(to - from, "cycle")}, ${number(from)} to ${number(to - 1)}`;
  if (op < 0 || (before && model.operation[before.run] === op)) return span;
  return `${span}; then “${model.nameOf(op)}”. ${reason(model, op).sentence}`;
}

export { IDLE };
