// Draws what is selected over the rows: boxes, the ways of words, cursors.

import type { Flight, Link } from "./links";
import type { Issue } from "./model";
import { AXIS, type Selection } from "./pane";
import { label } from "./boxes";
import { xOf, type Frame } from "./paint";
import { number } from "./dom";

/** Draws a box around a selection. */
export function paintSelection(frame: Frame, selection: Selection, firm: boolean): void {
  const { ctx, pane, theme } = frame;
  const { model } = pane;
  const { row } = pane.place(selection);
  ctx.strokeStyle = theme.select;
  ctx.lineWidth = firm ? 2 : 1.25;
  let from: number;
  let to: number;
  if (selection.type === "operation") {
    from = model.firstOf(selection.op);
    to = model.endOf(selection.op);
    span(frame, from, to, firm);
  } else {
    from = selection.type === "issue" ? model.cycleOf(selection.issue) : selection.cycle;
    to = from + 1;
  }
  if (!row) return;
  const y = pane.top + row.y - pane.scroll;
  const left = Math.max(-3, xOf(frame, from));
  const right = Math.min(frame.width + 3, xOf(frame, to));
  ctx.strokeRect(left - 1, y + 1, Math.max(3, right - left + 1), row.height - 3);
}

/** Faint ends of an operation over all rows. */
function span(frame: Frame, from: number, to: number, firm: boolean): void {
  const { ctx, theme, height } = frame;
  ctx.globalAlpha = firm ? 0.1 : 0.06;
  ctx.fillStyle = theme.select;
  ctx.fillRect(xOf(frame, from), AXIS, xOf(frame, to) - xOf(frame, from), height);
  ctx.globalAlpha = 1;
}

/** Boxes around all issues of an operation that are in sight, a run at a time. */
export function paintMembers(frame: Frame, op: number): void {
  const { ctx, pane, theme } = frame;
  const { model } = pane;
  const runs = model.runsOf(op);
  const step = Math.max(1, Math.ceil(runs.length / 2000));
  ctx.fillStyle = theme.select;
  for (let i = 0; i < runs.length; i += step) {
    const run = runs[i];
    const row = pane.queueRow(model.queue[run]);
    if (!row) continue;
    const y = pane.top + row.y - pane.scroll;
    if (y < pane.top - row.height || y > frame.height) continue;
    const left = Math.max(0, xOf(frame, model.start[run]));
    const right = Math.min(frame.width, xOf(frame, model.lastOf(run) + 1));
    if (right < 0 || left > frame.width) continue;
    ctx.fillRect(left, y + row.height - 3, Math.max(1.5, right - left), 2);
  }
}

/** The ways by which operands come to an issue and results leave it. */
export function paintLinks(frame: Frame, issue: Issue, operands: Link[], results: Link[]): void {
  for (const link of operands) paintLink(frame, link, link.other, issue);
  for (const link of results) paintLink(frame, link, issue, link.other);
}

function paintLink(frame: Frame, link: Link, from: Issue | null, to: Issue | null): void {
  if (!from || !to) return;
  const { ctx, theme } = frame;
  if (link.flight) return paintFlight(frame, link.flight, from, to);
  const a = end(frame, from);
  const b = end(frame, to);
  if (!a || !b) return;
  ctx.strokeStyle = theme.select;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([4, 3]);
  ctx.beginPath();
  ctx.moveTo(a.x, a.y);
  const bend = Math.min(60, Math.abs(b.x - a.x) / 2);
  ctx.bezierCurveTo(a.x + bend, a.y, b.x - bend, b.y, b.x, b.y);
  ctx.stroke();
  ctx.setLineDash([]);
  head(frame, b.x, b.y);
}

function end(frame: Frame, issue: Issue): { x: number; y: number } | null {
  const { pane } = frame;
  const y = pane.queueY(pane.model.queue[issue.run]);
  return y === null ? null : { x: xOf(frame, pane.model.cycleOf(issue) + 0.5), y };
}

/** A word's diagonal: from its issue to the driver's stop, over every stop, to who samples it. */
export function paintFlight(
  frame: Frame,
  flight: Flight,
  from: Issue | null,
  to: Issue | null,
): void {
  const { ctx, theme, pane } = frame;
  const points: { x: number; y: number; stop: boolean }[] = [];
  const push = (cycle: number, y: number | null, stop: boolean) => {
    if (y !== null) points.push({ x: xOf(frame, cycle + 0.5), y, stop });
  };
  if (from) {
    const queue = pane.model.queue[from.run];
    push(pane.model.cycleOf(from), pane.queueY(queue), false);
    push(flight.from.cycle, pane.queueY(queue), false);
  }
  const step = flight.direction === "E" ? 1 : -1;
  const distance = Math.abs(flight.to.stop - flight.from.stop);
  for (let hop = 1; hop <= distance; hop++) {
    const stop = flight.from.stop + step * hop;
    push(flight.from.cycle + hop, pane.streamY(flight.direction, flight.stream, stop), true);
  }
  if (to) {
    const queue = pane.model.queue[to.run];
    push(flight.to.cycle, pane.queueY(queue), false);
    push(pane.model.cycleOf(to), pane.queueY(queue), false);
  }
  const colour = flight.direction === "E" ? theme.east : theme.west;
  for (const [width, stroke] of [
    [5, theme.back],
    [2.25, colour],
  ] as const) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width;
    ctx.lineJoin = "round";
    ctx.beginPath();
    points.forEach(({ x, y }, i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.stroke();
  }
  ctx.fillStyle = colour;
  for (const { x, y, stop } of points) {
    if (!stop) continue;
    ctx.beginPath();
    ctx.arc(x, y, 3.5, 0, 7);
    ctx.fill();
  }
}

function head(frame: Frame, x: number, y: number): void {
  const { ctx, theme } = frame;
  ctx.fillStyle = theme.select;
  ctx.beginPath();
  ctx.arc(x, y, 3, 0, 7);
  ctx.fill();
}

/** The critical path from operation to operation, where their lanes are open. */
export function paintChain(frame: Frame): void {
  const { ctx, pane, theme } = frame;
  const { model } = pane;
  const rows = pane.shown.filter((row) => row.type === "lane");
  if (!rows.length) return;
  const middle = (op: number) => {
    const row = rows[pane.lane[op]];
    return row ? pane.top + row.y + row.height / 2 - pane.scroll : null;
  };
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, pane.top, frame.width, frame.height);
  ctx.clip();
  ctx.lineWidth = 1.5;
  const { path } = model.header;
  for (let i = 0; i + 1 < path.length; i++) {
    const [to, from] = [middle(path[i]), middle(path[i + 1])];
    const x = xOf(frame, Math.max(0, model.firstOf(path[i])));
    if (to === null || from === null || x < -10 || x > frame.width + 10) continue;
    ctx.strokeStyle = theme.ink;
    ctx.beginPath();
    ctx.moveTo(x, from);
    ctx.lineTo(x, to);
    ctx.stroke();
    ctx.fillStyle = theme.ink;
    ctx.beginPath();
    ctx.arc(x, to, 2.5, 0, 7);
    ctx.fill();
  }
  ctx.restore();
}

/** Cursor lines, and between them the distance. */
export function paintCursors(
  frame: Frame,
  hover: number | null,
  cursor: number | null,
  mark: number | null,
): void {
  const { ctx, theme, height } = frame;
  const line = (cycle: number, colour: string, width: number) => {
    const cell = xOf(frame, cycle + 1) - xOf(frame, cycle);
    const left = xOf(frame, cycle);
    if (cell > 4) {
      ctx.globalAlpha = 0.12;
      ctx.fillStyle = colour;
      ctx.fillRect(left, AXIS, cell, height);
      ctx.globalAlpha = 1;
    }
    ctx.fillStyle = colour;
    ctx.fillRect(Math.round(left) - (width - 1) / 2, AXIS - 4, width, height);
    tag(frame, cycle, left, colour);
  };
  if (hover !== null) line(hover, theme.muted, 1);
  if (mark !== null) line(mark, theme.west, 1);
  if (cursor !== null) line(cursor, theme.accent, 1);
  if (cursor === null || mark === null || cursor === mark) return;
  const [a, b] = [xOf(frame, Math.min(cursor, mark)), xOf(frame, Math.max(cursor, mark))];
  const words = `${number(Math.abs(cursor - mark))} cycles`;
  const left = Math.max(a, 0);
  const right = Math.min(b, frame.width);
  if (right - left < 20) return;
  ctx.fillStyle = theme.accent;
  ctx.fillRect(left, AXIS + 3, right - left, 1);
  const wide = words.length * 6.2 + 10;
  const middle = (left + right) / 2;
  ctx.fillStyle = theme.back;
  ctx.fillRect(middle - wide / 2, AXIS - 4, wide, 15);
  ctx.textAlign = "center";
  label(frame, words, middle, AXIS + 4, wide + 20, theme.accent);
}

function tag(frame: Frame, cycle: number, x: number, colour: string): void {
  const { ctx, theme, width } = frame;
  const words = number(cycle);
  const wide = words.length * 6.6 + 10;
  const left = Math.max(0, Math.min(x - wide / 2, width - wide));
  ctx.fillStyle = colour;
  ctx.beginPath();
  ctx.roundRect(left, 3, wide, AXIS - 9, 3);
  ctx.fill();
  ctx.fillStyle = theme.back;
  ctx.textAlign = "center";
  ctx.fillText(words, left + wide / 2, AXIS / 2 - 1);
}
