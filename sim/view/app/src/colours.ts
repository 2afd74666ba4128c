// Colours of the page: those of the floor plan in the docs, for light and for dark.

export interface Theme {
  dark: boolean;
  back: string;
  panel: string;
  line: string;
  faint: string;
  ink: string;
  muted: string;
  accent: string;
  select: string;
  /** Of each kind of slice: behind a bar, the bar, a box, the text in it. */
  kinds: Record<string, { track: string; bar: string; box: string; text: string }>;
  east: string;
  west: string;
  reasons: Record<string, string>;
}

const STRONG: Record<string, [string, string, string]> = {
  // Fill and outline of the docs' floor plan, and the outline as it shows on dark.
  MXM: ["#f6c9a8", "#b5652b", "#e0904f"],
  SXM: ["#dcc9ef", "#7a4fa8", "#a884d6"],
  MEM: ["#c5e3c8", "#3f8a4a", "#62b36e"],
  VXM: ["#bcd9f5", "#2f6fae", "#5b9fe0"],
  C2C: ["#e3e3e3", "#777777", "#9a9a9a"],
  ICU: ["#fff3bf", "#a98a1c", "#d6b441"],
};

const REASONS: Record<string, [string, string]> = {
  run: ["#8a8f98", "#737a86"],
  start: ["#c3c7cd", "#4d545f"],
  choice: ["#d9c7a3", "#7d6f52"],
  issue: ["#c9a227", "#d6b441"],
  stream: ["#3f7fbf", "#5b9fe0"],
  result: ["#5aa7c7", "#6fbcdc"],
  buffer: ["#e08e4f", "#e0904f"],
  array: ["#c7682c", "#d57a3c"],
  weights: ["#e8ab7c", "#c98d60"],
  row: ["#b5527f", "#cf6f9b"],
  sums: ["#cf83a6", "#b5658a"],
  word: ["#4f9a5a", "#62b36e"],
  reuse: ["#8bbf93", "#4f8a59"],
  flow: ["#8463b0", "#a884d6"],
};

/** Colours of where the idle cycles of planes went. */
const IDLE: Record<string, [string, string]> = {
  ...{ busy: ["#b5652b", "#e0904f"], fill: ["#c9ced6", "#566070"], drain: ["#a5adb9", "#738094"] },
  ...{ weights: REASONS.weights, operands: REASONS.word, banks: REASONS.issue },
  ...{ accumulators: REASONS.row, pace: REASONS.stream, planes: REASONS.flow },
  ...{ choice: REASONS.choice, other: REASONS.choice, unused: ["#e4e6ea", "#343b46"] },
};

export function theme(dark: boolean): Theme {
  const kinds: Theme["kinds"] = {};
  for (const [kind, [fill, outline, light]] of Object.entries(STRONG)) {
    kinds[kind] = dark
      ? {
          track: mix(light, "#14171c", 0.88),
          bar: light,
          box: mix(light, "#14171c", 0.45),
          text: "#f3f5f7",
        }
      : {
          track: mix(fill, "#ffffff", 0.72),
          bar: mix(outline, "#ffffff", 0.12),
          box: fill,
          text: "#1d2126",
        };
  }
  const pick = (table: Record<string, [string, string] | string[]>) =>
    Object.fromEntries(Object.entries(table).map(([k, v]) => [k, v[dark ? 1 : 0]]));
  return {
    dark,
    back: dark ? "#14171c" : "#ffffff",
    panel: dark ? "#1b1f26" : "#f7f8fa",
    line: dark ? "#303640" : "#d8dce2",
    faint: dark ? "#20252d" : "#eef0f3",
    ink: dark ? "#e8ebef" : "#1d2126",
    muted: dark ? "#98a1ad" : "#5d6672",
    accent: dark ? "#7fb8ff" : "#1f5fb0",
    select: dark ? "#ffd34d" : "#d4006a",
    kinds,
    east: dark ? "#6aa9ea" : "#2f6fae",
    west: dark ? "#e57a5f" : "#b5402b",
    reasons: { ...pick(IDLE), ...pick(REASONS) },
  };
}

/** `share` of the way from one colour to another, both as #rrggbb. */
export function mix(from: string, to: string, share: number): string {
  const part = (i: number) => {
    const a = parseInt(from.slice(i, i + 2), 16);
    const b = parseInt(to.slice(i, i + 2), 16);
    return Math.round(a + (b - a) * share)
      .toString(16)
      .padStart(2, "0");
  };
  return `#${part(1)}${part(3)}${part(5)}`;
}

/** A colour of an operation, far from that of the next. */
export function hue(operation: number, dark: boolean): string {
  if (operation < 0) return dark ? "#566070" : "#b3bac4";
  const turn = Math.round((operation * 137.508) % 360);
  const [saturation, lightness] = dark ? [0.55, 0.6] : [0.6, 0.5];
  const reach = saturation * Math.min(lightness, 1 - lightness);
  const part = (n: number) => {
    const k = (n + turn / 30) % 12;
    const value = lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value)
      .toString(16)
      .padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}
