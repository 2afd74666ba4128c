// What lies under the pointer, in a line or two.

import { number, percent } from "./dom";
import type { Hit, Pane, Selection } from "./pane";
import { idleText } from "./panel/selection";

/** A selection in one line. */
export function describe(pane: Pane, selection: Selection): string {
  const { model } = pane;
  if (selection.type === "operation") {
    const { op } = selection;
    return `${model.nameOf(op)}: cycles ${number(model.firstOf(op))} to ${number(model.endOf(op) - 1)}`;
  }
  if (selection.type === "issue") {
    const { issue } = selection;
    const op = model.operation[issue.run];
    const where = `${model.queueOf(issue.run).name}, cycle ${number(model.cycleOf(issue))}`;
    return `${model.textOf(issue)}\n${where}${op >= 0 ? `\n${model.nameOf(op)}` : ""}`;
  }
  const { direction, stream, stop, cycle } = selection;
  const end = pane.streams().producer(direction, stream, stop, cycle);
  const from = end
    ? `\ndriven by ${model.textOf(end)} of ${model.queueOf(end.run).name} in cycle ${number(end.cycle)}`
    : "";
  return `${direction.toLowerCase()}${stream} at stop ${stop} in cycle ${number(cycle)}${from}`;
}

/** What to say about a place where nothing is. */
export function emptyText(pane: Pane, hit: Hit): string {
  const { row, cycle } = hit;
  if (!row || cycle < 0 || cycle >= pane.model.cycles) return "";
  if (row.type === "queue") return idleText(pane, row.queues[0], Math.floor(cycle));
  if (row.type === "group") {
    const share = pane.busy(row).mean(cycle - 0.5, cycle + 0.5) / row.queues.length;
    return `${row.title}, cycle ${number(cycle)}: ${percent(share)} of ${row.queues.length} queues issue; click on the name to unfold`;
  }
  if (row.type === "stop") {
    const at = Math.floor(cycle);
    const words = (way: number) =>
      pane.flow.at[2 * row.stop + way]?.mean(at, at + 1).toFixed(0) ?? "?";
    return `stop ${row.stop}, cycle ${number(at)}: ${words(0)} words eastward, ${words(1)} westward`;
  }
  return "";
}
