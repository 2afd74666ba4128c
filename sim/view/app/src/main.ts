// Reads the payloads in the page and shows them.

import "uplot/dist/uPlot.min.css";
import "./panel/panel.css";
import "./style.css";
import { api } from "./api";
import { App } from "./app";
import { el } from "./dom";
import { follow, read } from "./hash";
import { listen } from "./keys";
import { Model } from "./model";
import { decode } from "./payload";

async function main(): Promise<void> {
  const root = document.getElementById("app")!;
  const times = [performance.now()];
  const scripts = ["tsp-view", "tsp-view-2"]
    .map((id) => document.getElementById(id))
    .filter((found): found is HTMLElement => found !== null);
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser cannot unpack the program; use one of 2023 or later");
  }
  const models: Model[] = [];
  for (const script of scripts) {
    models.push(new Model(await decode(script.textContent ?? "")));
    script.textContent = ""; // the text is no longer needed, and may be large
  }
  times.push(performance.now());
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  const app = new App(root, models, media.matches);
  media.addEventListener("change", () => app.setTheme(media.matches));
  document.title = `${models.map((m) => m.header.name).join(" and ")}: schedule`;
  listen(app);
  if (location.hash) read(app, location.hash);
  follow(app);
  app.paintNow();
  times.push(performance.now());
  // Milliseconds: since the page was asked for, of unpacking, of building and drawing.
  const opened = { all: times[2], unpack: times[1] - times[0], draw: times[2] - times[1] };
  Object.assign(window, { tsp: { ...api(app), opened } });
}

main().catch((error: Error) => {
  document
    .getElementById("app")!
    .replaceChildren(
      el("p", { class: "failed", role: "alert" }, `This page could not be shown: ${error.message}`),
    );
  console.error(error);
});
