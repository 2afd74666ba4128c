// Draws the rows of a pane: aggregates from far, issues and words from near.

import { scaleLinear } from "d3-scale";
import { paintIssues, paintLane, paintPath, paintSums, paintWords } from "./boxes";
import { hue, type Theme } from "./colours";
import { number } from "./dom";
import { AXIS, type Pane } from "./pane";
import type { Pixels } from "./pixels";
import type { Row } from "./rows";
import type { Sums } from "./series";

export const FONT = '11px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const NEAR = 3; // pixels a cycle from which single issues are drawn

export interface Frame {
  ctx: CanvasRenderingContext2D;
  pane: Pane;
  theme: Theme;
  width: number;
  height: number;
  from: number;
  to: number;
  byOperation: boolean;
  pixels: Pixels;
}

export function xOf(frame: Frame, cycle: number): number {
  return ((cycle - frame.from) / (frame.to - frame.from)) * frame.width;
}

export function scale(frame: Frame): number {
  return frame.width / (frame.to - frame.from);
}

/** Everything but what is selected: bars as pixels first, boxes and text over them. */
export function paintRows(frame: Frame): void {
  const { ctx, pane, theme, width, height, pixels } = frame;
  const seen = pane.shown.filter((row) => {
    const y = pane.top + row.y - pane.scroll;
    return y + row.height >= pane.top && y <= height;
  });
  pixels.clear(theme.back);
  for (const { x } of ticks(frame)) pixels.rect(Math.round(x), 0, 1, height, theme.faint);
  for (const row of seen) {
    const y = pane.top + row.y - pane.scroll;
    pixels.rect(0, Math.round(y + row.height) - 1, width, 1, theme.faint);
    paintBars(frame, row, y);
  }
  ctx.putImageData(pixels.image, 0, 0);
  ctx.font = FONT;
  ctx.textBaseline = "middle";
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, pane.top, width, height - pane.top);
  ctx.clip();
  for (const row of seen) paintBoxes(frame, row, pane.top + row.y - pane.scroll);
  outside(frame);
  ctx.restore();
  if (pane.pinned) paintPath(frame, AXIS, pane.pinned);
  paintAxis(frame);
}

function paintBars(frame: Frame, row: Row, y: number): void {
  const far = scale(frame) < NEAR;
  switch (row.type) {
    case "operations":
      return paintActive(frame, row, y);
    case "group":
      return paintShare(frame, row, y, frame.pane.busy(row), row.queues.length);
    case "queue":
      if (far) return paintQueueFar(frame, row, y);
      return track(frame, Math.round(y) + 2, row.height - 5, frame.theme.kinds[row.kind].track);
    case "stop":
      return paintStop(frame, row, y);
    case "stream":
      return far ? paintStreamFar(frame, row, y) : undefined;
    case "sums":
      return track(frame, Math.round(y) + 2, row.height - 6, frame.theme.kinds.MXM.track);
  }
}

function paintBoxes(frame: Frame, row: Row, y: number): void {
  const far = scale(frame) < NEAR;
  switch (row.type) {
    case "lane":
      return paintLane(frame, row, y);
    case "queue":
      return far ? undefined : paintIssues(frame, row, y);
    case "stream":
      return far ? undefined : paintWords(frame, row, y);
    case "sums":
      return paintSums(frame, row, y);
  }
}

function ticks(frame: Frame): { value: number; x: number }[] {
  const s = scaleLinear([frame.from, frame.to], [0, frame.width]);
  const whole = s
    .ticks(Math.max(2, frame.width / 110))
    .filter((t) => Number.isInteger(t) && t >= 0);
  return whole.map((value) => ({ value, x: s(value) }));
}

function paintAxis(frame: Frame): void {
  const { ctx, theme, width } = frame;
  ctx.fillStyle = theme.panel;
  ctx.fillRect(0, 0, width, AXIS);
  ctx.fillStyle = theme.line;
  ctx.fillRect(0, AXIS - 1, width, 1);
  ctx.font = FONT;
  for (const { value, x } of ticks(frame)) {
    ctx.fillStyle = theme.line;
    ctx.fillRect(Math.round(x), AXIS - 6, 1, 6);
    ctx.fillStyle = theme.muted;
    ctx.textAlign = "left";
    ctx.fillText(number(value), Math.round(x) + 4, AXIS / 2);
  }
}

/** Shades what is before cycle 0 and after the end. */
function outside(frame: Frame): void {
  const { ctx, theme, pane, width, height } = frame;
  ctx.fillStyle = theme.dark ? "rgba(0,0,0,.35)" : "rgba(90,100,115,.10)";
  const start = xOf(frame, 0);
  const end = xOf(frame, pane.model.header.cycles);
  if (start > 0) ctx.fillRect(0, 0, start, height);
  if (end < width) ctx.fillRect(end, 0, width - end, height);
  ctx.fillStyle = theme.muted;
  ctx.fillRect(Math.round(end), 0, 1, height);
}

/** Bars whose height is a share of the cycles that a pixel stands for. */
function bars(
  frame: Frame,
  share: (from: number, to: number) => number,
  base: number,
  full: number,
  up: boolean,
  colour: string | ((cycle: number) => string),
): void {
  const { width, pane, from } = frame;
  const step = (frame.to - from) / width;
  const first = Math.max(0, xOf(frame, 0));
  const last = Math.min(width, xOf(frame, pane.model.cycles));
  const ink = typeof colour === "string" ? () => colour : (x: number) => colour(from + x * step);
  frame.pixels.bars(
    first,
    last,
    base,
    full,
    up,
    (x, y) => share(from + x * step, from + y * step),
    ink,
  );
}

function paintShare(frame: Frame, row: Row, y: number, sums: Sums, most: number): void {
  const colour = frame.theme.kinds[row.kind] ?? frame.theme.kinds.ICU;
  const base = Math.round(y + row.height) - 3;
  const full = row.height - 6;
  track(frame, base - full, full, colour.track);
  bars(frame, (from, to) => sums.mean(from, to) / most, base, full, true, colour.bar);
}

/** A pale strip from the first cycle of the program to its last. */
function track(frame: Frame, y: number, height: number, colour: string): void {
  const { width, pane } = frame;
  const from = Math.max(0, xOf(frame, 0));
  const to = Math.min(width, xOf(frame, pane.model.cycles));
  frame.pixels.rect(from, y, to - from, height, colour);
}

function paintQueueFar(frame: Frame, row: Row, y: number): void {
  const { pane, theme } = frame;
  const { model } = pane;
  const sums = pane.busy(row);
  const queue = row.queues[0];
  const colour = theme.kinds[row.kind];
  const base = Math.round(y + row.height) - 3;
  const full = row.height - 6;
  track(frame, base - full, full, colour.track);
  // A pixel of fewer cycles than the sums tell apart is counted by its issues.
  const fine = (frame.to - frame.from) / frame.width < 1 << sums.shift;
  const share = fine
    ? (from: number, to: number) =>
        (model.issuesBefore(queue, to) - model.issuesBefore(queue, from)) / (to - from)
    : (from: number, to: number) => sums.mean(from, to);
  const step = (frame.to - frame.from) / frame.width;
  const operation = (cycle: number) => {
    const run = model.runBefore(queue, cycle + step);
    return hue(run < 0 ? -1 : model.operation[run], theme.dark);
  };
  bars(frame, share, base, full, true, frame.byOperation ? operation : colour.bar);
}

function paintStop(frame: Frame, row: Row, y: number): void {
  const { theme, pane } = frame;
  const { flow } = pane;
  const middle = Math.round(y + row.height / 2);
  const half = row.height / 2 - 2;
  track(frame, middle - half, 2 * half, theme.faint);
  const least = 2 / half; // a single word can be seen
  for (const way of [0, 1]) {
    const sums = flow.at[2 * row.stop + way];
    if (!sums) continue;
    const share = (from: number, to: number) => {
      const words = sums.mean(from, to);
      return words > 0 ? Math.max(least, words / flow.most) : 0;
    };
    const base = way === 0 ? middle : middle + 1;
    bars(frame, share, base, half, way === 0, way === 0 ? theme.east : theme.west);
  }
  track(frame, middle, 1, theme.line);
}

function paintStreamFar(frame: Frame, row: Row, y: number): void {
  const { theme, pane } = frame;
  const sums = pane.flow.stream(row.direction, row.stream, row.stop);
  const base = Math.round(y + row.height) - 2;
  const share = (from: number, to: number) => sums.mean(from, to);
  bars(frame, share, base, row.height - 4, true, row.direction === "E" ? theme.east : theme.west);
}

function paintActive(frame: Frame, row: Row, y: number): void {
  const { theme, pane } = frame;
  const sums = pane.active();
  const base = Math.round(y + row.height) - 3;
  const full = row.height - 6;
  track(frame, base - full, full, theme.faint);
  const share = (from: number, to: number) => sums.mean(from, to) / pane.laneCount;
  bars(frame, share, base, full, true, theme.muted);
}
