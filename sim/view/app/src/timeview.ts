// The cycles that are in sight, shared by all panes, and the gestures that change them.

import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomTransform } from "d3-zoom";

const NEAREST = 6; // cycles across the canvas at most zoom

export class TimeView {
  from: number;
  to: number;
  private readonly listeners: (() => void)[] = [];

  constructor(readonly cycles: number) {
    this.from = this.low;
    this.to = this.high;
  }

  get low(): number {
    return -0.01 * this.cycles - 1;
  }

  get high(): number {
    return 1.01 * this.cycles + 1;
  }

  get all(): number {
    return this.high - this.low;
  }

  listen(listener: () => void): void {
    this.listeners.push(listener);
  }

  set(from: number, to: number): void {
    const span = Math.max(NEAREST, Math.min(to - from, this.all));
    const middle = (from + to) / 2;
    const start = Math.max(this.low, Math.min(middle - span / 2, this.high - span));
    if (start === this.from && start + span === this.to) return;
    this.from = start;
    this.to = start + span;
    for (const listener of this.listeners) listener();
  }

  fit(): void {
    this.set(this.low, this.high);
  }

  /** Moves by a share of what is in sight. */
  pan(share: number): void {
    const by = share * (this.to - this.from);
    this.set(this.from + by, this.to + by);
  }

  /** Zooms about a cycle, which stays where it is. */
  zoom(factor: number, about = (this.from + this.to) / 2): void {
    const span = Math.max(NEAREST, Math.min((this.to - this.from) / factor, this.all));
    const share = (about - this.from) / (this.to - this.from);
    this.set(about - share * span, about + (1 - share) * span);
  }

  /** Brings a cycle into sight, and if asked for so close that single cycles show. */
  show(cycle: number, close = 0): void {
    let span = this.to - this.from;
    if (close && span > close) span = close;
    const inside = cycle > this.from + 0.1 * span && cycle < this.to - 0.1 * span;
    if (span !== this.to - this.from || !inside) this.set(cycle - span / 2, cycle + span / 2);
  }
}

/** Wheel, drag and touch on a canvas: zoom and pan of `view`, and scrolling of rows. */
export function gestures(
  canvas: HTMLCanvasElement,
  view: TimeView,
  scroll: (by: number) => void,
): void {
  const target = select<HTMLCanvasElement, unknown>(canvas);
  let last: ZoomTransform = zoomIdentity;
  let own = false;
  const width = () => canvas.clientWidth || 1;
  const behavior = zoom<HTMLCanvasElement, unknown>()
    .scaleExtent([1, Math.max(1, view.all / NEAREST)])
    .extent(() => [
      [0, 0],
      [width(), canvas.clientHeight],
    ])
    .translateExtent([
      [0, -1e12],
      [1e9, 1e12],
    ])
    .filter((event: MouseEvent & WheelEvent) => {
      if (event.type === "wheel")
        return !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY);
      return !event.button && event.type !== "dblclick";
    })
    .clickDistance(4)
    .on("zoom", (event: { transform: ZoomTransform; sourceEvent: Event | null }) => {
      const now = event.transform;
      if (!own) {
        const scale = view.all / width() / now.k;
        view.set(view.low - now.x * scale, view.low + (width() - now.x) * scale);
        if (now.k === last.k && now.y !== last.y) scroll(last.y - now.y);
      }
      last = now;
    });
  target.call(behavior);
  const follow = () => {
    behavior.translateExtent([
      [0, -1e12],
      [width(), 1e12],
    ]);
    const k = view.all / (view.to - view.from);
    const x = (-(view.from - view.low) / (view.to - view.from)) * width();
    const current = last;
    if (Math.abs(current.k - k) < 1e-9 * k && Math.abs(current.x - x) < 1e-6) return;
    own = true;
    target.call(behavior.transform, zoomIdentity.translate(x, current.y).scale(k));
    own = false;
  };
  view.listen(follow);
  new ResizeObserver(follow).observe(canvas);
  follow();
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (event.altKey) return;
      const across = event.deltaX || (event.shiftKey ? event.deltaY : 0);
      if (!across || (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY))) return;
      event.preventDefault();
      view.pan(across / width());
    },
    { passive: false },
  );
}
