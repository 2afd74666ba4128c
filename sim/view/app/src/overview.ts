// The whole program as a strip: load of planes, ALUs, banks, streams; a window of what is in sight.

import type { App } from "./app";
import { el } from "./dom";
import { mix } from "./colours";
import { loads } from "./summary";

const STRIP = 8;

export class Overview {
  readonly element: HTMLElement;
  private readonly canvas = el("canvas", { "aria-hidden": "true" });
  private picture: HTMLCanvasElement | null = null;
  private made = "";

  constructor(readonly app: App) {
    const rows = loads(app.panes[0].model).map(({ name }) => el("span", {}, name));
    this.element = el(
      "div",
      { class: "overview" },
      el(
        "div",
        { class: "overview-names", "aria-hidden": "true" },
        ...rows,
        el("span", {}, "streams"),
      ),
      this.canvas,
    );
    const go = (event: PointerEvent) => {
      const { view } = app;
      const at = view.low + (event.offsetX / this.canvas.clientWidth) * view.all;
      const half = (view.to - view.from) / 2;
      view.set(at - half, at + half);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      go(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && go(event));
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        app.view.zoom(event.deltaY < 0 ? 1.25 : 0.8);
      },
      { passive: false },
    );
    new ResizeObserver(() => app.draw()).observe(this.canvas);
  }

  paint(): void {
    const { app, canvas } = this;
    const { view, theme } = app;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const ctx = canvas.getContext("2d")!;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const state = `${width}|${theme.dark}|${app.panes[0].flow.done}|${app.current.index}`;
    if (state !== this.made) {
      this.made = state;
      this.picture = this.strips(width, height);
    }
    ctx.clearRect(0, 0, width, height);
    if (this.picture) ctx.drawImage(this.picture, 0, 0);
    const x = (cycle: number) => ((cycle - view.low) / view.all) * width;
    const [from, to] = [x(view.from), x(view.to)];
    ctx.fillStyle = theme.dark ? "rgba(0,0,0,.5)" : "rgba(90,100,115,.22)";
    ctx.fillRect(0, 0, from, height);
    ctx.fillRect(to, 0, width - to, height);
    ctx.strokeStyle = theme.accent;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(from + 0.75, 0.75, Math.max(2, to - from - 1.5), height - 1.5);
    if (app.cursor !== null) {
      ctx.fillStyle = theme.accent;
      ctx.fillRect(x(app.cursor), 0, 1, height);
    }
  }

  private strips(width: number, height: number): HTMLCanvasElement {
    const { app } = this;
    const { theme, view } = app;
    const { pane } = app.current;
    const picture = el("canvas", { width, height });
    const ctx = picture.getContext("2d")!;
    const step = view.all / width;
    const groups = loads(pane.model).map(({ name, kind, queues }) => {
      const sums = pane.busyUnit(name, () => queues);
      return {
        mean: (a: number, b: number) => sums.mean(a, b) / queues.length,
        colour: theme.kinds[kind].bar,
      };
    });
    const { stops, streams } = pane.model.header.config;
    groups.push({
      mean: (a, b) => pane.flow.total.mean(a, b) / (streams * (stops - 1)),
      colour: theme.muted,
    });
    groups.forEach(({ mean, colour }, i) => {
      const top = 2 + i * (STRIP + 1);
      for (let x = 0; x < width; x++) {
        const at = view.low + x * step;
        if (at + step < 0 || at > pane.model.cycles) continue;
        const share = Math.min(1, mean(at, at + step));
        ctx.fillStyle = mix(theme.faint, colour, share > 0 ? 0.15 + 0.85 * share : 0);
        ctx.fillRect(x, top, 1, STRIP);
      }
    });
    return picture;
  }
}
