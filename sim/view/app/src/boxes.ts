// Draws what is drawn one by one: issues, words, accumulator rows, operations, the critical path.

import { hue, mix } from "./colours";
import { KINDS } from "./operations";
import { scale, xOf, type Frame } from "./paint";
import type { Pane } from "./pane";
import type { Template } from "./payload";
import type { Row } from "./rows";
import { diagonal } from "./streams";

const CHAR = 6.1; // pixels that a letter takes, about

/** Instructions that end something: stores, installs, emits. They are drawn in full colour. */
function strong(template: Template): boolean {
  const { unit, action, drives, mnemonic } = template;
  return action === "write" || mnemonic === "iw" || (unit === "ACC" && drives.length > 0);
}

export function paintIssues(frame: Frame, row: Row, y: number): void {
  const { pane, ctx, theme } = frame;
  const { model } = pane;
  const queue = row.queues[0];
  const colour = theme.kinds[row.kind];
  const cell = scale(frame);
  const top = Math.round(y) + 2;
  const high = row.height - 5;
  const gap = cell > 5 ? 1 : 0;
  const first = Math.max(model.runBefore(queue, frame.from), model.firstRun[queue]);
  ctx.textAlign = "center";
  for (let run = first; run < model.firstRun[queue + 1]; run++) {
    if (model.start[run] > frame.to) break;
    const template = model.templateOf(run);
    const bold = strong(template);
    const box = frame.byOperation
      ? hue(model.operation[run], theme.dark)
      : bold
        ? colour.bar
        : colour.box;
    ctx.fillStyle = box;
    const step = model.interval[run];
    const start = model.start[run];
    const low = Math.max(0, Math.ceil((frame.from - 1 - start) / step));
    const end = Math.min(model.count[run] - 1, Math.floor((frame.to - start) / step));
    for (let k = low; k <= end; k++) {
      ctx.fillRect(xOf(frame, start + k * step), top, cell - gap, high);
    }
    const ink = frame.byOperation || bold ? (theme.dark ? "#14171c" : "#ffffff") : colour.text;
    ctx.fillStyle = ink;
    const middle = y + row.height / 2;
    const name = template.mnemonic;
    if (cell > name.length * CHAR + 6) {
      for (let k = low; k <= end; k++) {
        const x = xOf(frame, start + k * step) + cell / 2;
        const value = template.strided
          ? `${name} ${model.value[run] + k * model.stride[run]}`
          : name;
        ctx.fillText(cell > value.length * CHAR + 8 ? value : name, x, middle);
      }
    } else if (step === 1) {
      const left = Math.max(0, xOf(frame, start));
      const right = Math.min(frame.width, xOf(frame, model.lastOf(run) + 1));
      const words = model.count[run] > 1 ? `${name} × ${model.count[run]}` : name;
      const needed = words.length * CHAR + 10;
      if (right - left > needed) {
        if (gap) {
          ctx.fillStyle = box;
          ctx.fillRect((left + right - needed) / 2, top, needed, high);
          ctx.fillStyle = ink;
        }
        ctx.fillText(words, (left + right) / 2, middle);
      }
    }
  }
}

export function paintWords(frame: Frame, row: Row, y: number): void {
  const { ctx, theme, pane } = frame;
  const { direction, stream, stop } = row;
  const from = Math.floor(frame.from);
  const size = Math.ceil(frame.to) - from + 1;
  const shift = diagonal(direction, from, stop);
  const { state, runs } = pane.streams().window(direction, stream, stop, shift, size);
  const colour = direction === "E" ? theme.east : theme.west;
  const pale = mix(colour, theme.back, 0.82);
  const cell = scale(frame);
  const gap = cell > 6 ? 1 : 0;
  for (let i = 0; i < size; i++) {
    if (!state[i]) continue;
    ctx.fillStyle =
      state[i] === 1
        ? pale
        : frame.byOperation
          ? hue(pane.model.operation[runs[i]], theme.dark)
          : colour;
    ctx.fillRect(xOf(frame, from + i), Math.round(y) + 2, cell - gap, row.height - 4);
  }
}

/** Accumulator rows from top to bottom: pale where one is written or added to, full where emitted. */
export function paintSums(frame: Frame, row: Row, y: number): void {
  const { ctx, theme, pane } = frame;
  const { model } = pane;
  const queue = row.queues[0];
  const colour = theme.kinds.MXM;
  const rows = rowsUsed(pane, queue);
  const pitch = (row.height - 8) / rows;
  const top = Math.round(y) + 4;
  const first = Math.max(model.runBefore(queue, frame.from), model.firstRun[queue]);
  const last = model.runBefore(queue, frame.to);
  const skip = Math.max(1, Math.ceil((last - first) / 4000));
  const cell = scale(frame);
  const thick = Math.max(1, pitch - (pitch > 3 ? 0.5 : 0));
  for (let run = first; run <= last; run += skip) {
    const template = model.templateOf(run);
    const emits = template.drives.length > 0;
    ctx.fillStyle = emits ? colour.bar : mix(colour.bar, theme.back, 0.5);
    const step = model.interval[run];
    const start = model.start[run];
    const many = Math.max(1, Math.floor(1 / (cell * step)));
    const low = Math.max(0, Math.ceil((frame.from - 1 - start) / step));
    const end = Math.min(model.count[run] - 1, Math.floor((frame.to - start) / step));
    for (let k = low; k <= end; k += many) {
      const at = model.value[run] + k * model.stride[run];
      const wide = Math.max(1, cell * (many > 1 ? many * step : 1) - (cell > 6 ? 1 : 0));
      ctx.fillRect(xOf(frame, start + k * step), top + at * pitch, wide, thick);
    }
  }
}

const used = new WeakMap<Pane, Map<number, number>>();

function rowsUsed(pane: Pane, queue: number): number {
  const known = used.get(pane) ?? new Map<number, number>();
  used.set(pane, known);
  let rows = known.get(queue);
  if (!rows) {
    const { model } = pane;
    rows = 1;
    for (let run = model.firstRun[queue]; run < model.firstRun[queue + 1]; run++) {
      const last = model.value[run] + (model.count[run] - 1) * model.stride[run];
      rows = Math.max(rows, model.value[run] + 1, last + 1);
    }
    known.set(queue, rows);
  }
  return rows;
}

export function paintLane(frame: Frame, row: Row, y: number): void {
  const { ctx, theme, pane } = frame;
  const { model } = pane;
  ctx.textAlign = "left";
  const own = pane.inLane[row.index];
  let low = 0;
  let high = own.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (model.endOf(own[middle]) <= frame.from) low = middle + 1;
    else high = middle;
  }
  let covered = -1;
  for (let i = low; i < own.length; i++) {
    const op = own[i];
    if (model.firstOf(op) > frame.to) break;
    const left = Math.max(-2, xOf(frame, model.firstOf(op)));
    const right = Math.min(frame.width + 2, Math.max(left + 1, xOf(frame, model.endOf(op))));
    if (right <= covered) continue;
    covered = Math.ceil(right);
    const tall = row.height - 3;
    const colour = hue(op, theme.dark);
    const wide = right - left;
    ctx.fillStyle = colour;
    ctx.globalAlpha = theme.dark ? 0.45 : 0.3;
    ctx.fillRect(left, y + 1, wide - (wide > 3 ? 1 : 0), tall);
    ctx.globalAlpha = 1;
    if (pane.onPath.has(op)) {
      ctx.fillStyle = theme.ink;
      ctx.fillRect(left, y + tall - 1, wide - (wide > 3 ? 1 : 0), 2);
    } else {
      ctx.fillStyle = colour;
      ctx.fillRect(left, y + 1, Math.min(2, wide), tall);
    }
    if (wide > 36)
      label(frame, model.nameOf(op), left + 5, y + row.height / 2, wide - 9, theme.ink);
  }
}

/** Text that is cut off where it would not fit. */
export function label(
  frame: Frame,
  words: string,
  x: number,
  y: number,
  room: number,
  colour: string,
): void {
  const fits = Math.floor(room / CHAR);
  if (fits < 3) return;
  frame.ctx.fillStyle = colour;
  frame.ctx.fillText(words.length > fits ? `${words.slice(0, fits - 1)}…` : words, x, y);
}

export function paintPath(frame: Frame, y: number, height: number): void {
  const { ctx, theme, pane, width } = frame;
  ctx.fillStyle = theme.panel;
  ctx.fillRect(0, y, width, height);
  ctx.textAlign = "left";
  for (const step of pane.steps) {
    const [from, to] = step.from <= step.to ? [step.from, step.to] : [step.to, step.from];
    const left = Math.max(-2, xOf(frame, from));
    const right = Math.min(width + 2, xOf(frame, to));
    if (right < 0 || left > width) continue;
    const back = step.from > step.to;
    const colour = theme.reasons[step.kind] ?? theme.muted;
    ctx.fillStyle = theme.dark ? mix(colour, theme.back, 0.35) : mix(colour, theme.back, 0.45);
    const top = y + (back ? height - 9 : 4);
    const tall = back ? 4 : height - 9;
    ctx.fillRect(left, top, Math.max(1, right - left - 1), tall);
    ctx.fillStyle = colour;
    ctx.fillRect(left, top, Math.min(3, Math.max(1, right - left)), tall);
    if (back) continue;
    const name =
      step.kind === "run"
        ? pane.model.nameOf(step.op)
        : `${KINDS[step.kind] ?? step.kind} · ${pane.model.nameOf(step.op)}`;
    label(frame, name, left + 7, y + height / 2, right - left - 11, theme.ink);
  }
  ctx.fillStyle = theme.line;
  ctx.fillRect(0, y + height - 1, width, 1);
}
