// What scripts and tests ask of the page: `window.tsp`.

import type { App } from "./app";
import { describe } from "./describe";
import { write } from "./hash";
import type { Issue } from "./model";
import { reason } from "./operations";
import type { Selection } from "./pane";
import { pathKinds } from "./summary";

export function api(app: App) {
  const pane = (index = 0) => app.panes[index];
  const issueOf = (queue: string, cycle: number, index = 0): Issue | null => {
    const at = pane(index).model.queueIndex(queue);
    return at < 0 ? null : pane(index).model.issueAt(at, cycle);
  };
  const told = (index: number, issue: Issue) => {
    const { model } = pane(index);
    const op = model.operation[issue.run];
    return {
      queue: model.queueOf(issue.run).name,
      cycle: model.cycleOf(issue),
      text: model.textOf(issue),
      operation: op < 0 ? null : model.nameOf(op),
    };
  };
  return {
    app,
    /** Resolves when what is computed in the background is there. */
    async settled(): Promise<void> {
      while (app.panes.some((p) => !p.flow.done)) await new Promise((go) => setTimeout(go, 20));
      await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
    },
    header: (index = 0) => pane(index).model.header,
    issues: (index = 0) => pane(index).model.issues,
    /** What lies at a point of the window. */
    hit(x: number, y: number) {
      for (const timeline of app.timelines) {
        const box = timeline.canvas.getBoundingClientRect();
        if (x < box.left || x >= box.right || y < box.top || y >= box.bottom) continue;
        const { row, cycle, selection } = timeline.hit(x - box.left, y - box.top);
        const text = selection ? describe(timeline.pane, selection) : "";
        const issue = selection?.type === "issue" ? told(timeline.index, selection.issue) : null;
        return {
          pane: timeline.index,
          row: row?.key ?? null,
          label: row?.label ?? null,
          cycle,
          text,
          selection,
          issue,
        };
      }
      return null;
    },
    /** The point of the window at which a queue issues in a cycle; its row must be in sight. */
    pointOf(queue: string, cycle: number, index = 0) {
      const timeline = app.timelines[index];
      const box = timeline.canvas.getBoundingClientRect();
      const y = pane(index).queueY(pane(index).model.queueIndex(queue));
      const { from, to } = app.view;
      return {
        x: box.left + ((cycle + 0.5 - from) / (to - from)) * box.width,
        y: box.top + (y ?? NaN),
      };
    },
    goto(what: {
      from?: number;
      to?: number;
      queue?: string;
      cycle?: number;
      pane?: number;
      open?: string[];
    }) {
      const index = what.pane ?? 0;
      for (const key of what.open ?? []) pane(index).open.add(key);
      if (what.open) pane(index).relayout();
      if (what.from !== undefined && what.to !== undefined) app.view.set(what.from, what.to);
      if (what.queue !== undefined) {
        const row = pane(index).queueRow(pane(index).model.queueIndex(what.queue));
        if (row) app.timelines[index].reveal(row);
        const issue = what.cycle === undefined ? null : issueOf(what.queue, what.cycle, index);
        if (issue) app.select(pane(index), { type: "issue", issue }, true);
      } else if (what.cycle !== undefined) app.view.show(what.cycle);
      app.paintNow();
    },
    select: (selection: Selection | null, index = 0) => app.select(pane(index), selection, true),
    selected: () =>
      app.selected && {
        pane: app.panes.indexOf(app.selected.pane),
        ...app.selected.selection,
        text: describe(app.selected.pane, app.selected.selection),
      },
    /** The value of a drive (or sample) of what a queue issues in a cycle. */
    valueAt(
      queue: string,
      cycle: number,
      which: "drives" | "samples" = "drives",
      slot = 0,
      index = 0,
    ) {
      const issue = issueOf(queue, cycle, index);
      if (!issue) return null;
      const { values } = pane(index);
      return which === "drives" ? values.driven(issue, slot) : values.sampled(issue, slot);
    },
    /** The word that stands at a stop: who drove it, its bytes, and who reads it; or null. */
    wordAt(direction: string, stream: number, stop: number, cycle: number, index = 0) {
      const streams = pane(index).streams();
      const from = streams.producer(direction, stream, stop, cycle);
      if (!from) return null;
      const bytes = pane(index).values.bytes(from, from.slot, from.part);
      const readers = streams.consumers(direction, stream, from.stop, from.cycle);
      return {
        ...{ stop: from.stop, cycle: from.cycle, from: told(index, from) },
        bytes: bytes && [...bytes],
        readers: readers.map((end) => ({ stop: end.stop, cycle: end.cycle, by: told(index, end) })),
      };
    },
    operandsOf(queue: string, cycle: number, index = 0) {
      const issue = issueOf(queue, cycle, index);
      const links = issue ? pane(index).links.operands(issue) : [];
      return links.map(({ other, ...link }) => ({ ...link, other: other && told(index, other) }));
    },
    readersOf(queue: string, cycle: number, index = 0) {
      const issue = issueOf(queue, cycle, index);
      const links = issue ? pane(index).links.results(issue) : [];
      return links.map(({ other, ...link }) => ({ ...link, other: other && told(index, other) }));
    },
    /** Steps of the critical path in order of time, and its cycles by kind. */
    path(index = 0) {
      const { model, steps } = pane(index);
      return {
        steps: steps.map((step) => ({ ...step, name: model.nameOf(step.op) })),
        kinds: Object.fromEntries(pathKinds(model)),
      };
    },
    reason: (op: number, index = 0) => reason(pane(index).model, op),
    search: (text: string) => {
      app.find(text);
      app.toolbar.refresh();
      return app.found.length;
    },
    theme: (dark: boolean) => app.setTheme(dark),
    hash: () => write(app),
    /** Milliseconds that each of the last frames took to draw. */
    frames: () => app.frames,
  };
}
