// A picture that is written pixel by pixel: many thousand bars cost less here than as rectangles.

export class Pixels {
  readonly image: ImageData;
  private readonly data: Uint32Array;
  private readonly colours = new Map<string, number>();

  /** Sizes are in device pixels; all coordinates below are in those of the page. */
  constructor(
    readonly width: number,
    readonly height: number,
    readonly ratio: number,
  ) {
    this.image = new ImageData(width, height);
    this.data = new Uint32Array(this.image.data.buffer);
  }

  /** A colour #rrggbb as it lies in memory. */
  colour(text: string): number {
    let value = this.colours.get(text);
    if (value === undefined) {
      const rgb = parseInt(text.slice(1), 16);
      value = (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
      this.colours.set(text, value);
    }
    return value;
  }

  clear(colour: string): void {
    this.data.fill(this.colour(colour));
  }

  rect(x: number, y: number, width: number, height: number, colour: string): void {
    const { ratio } = this;
    this.box(
      Math.round(x * ratio),
      Math.round(y * ratio),
      Math.round((x + width) * ratio),
      Math.round((y + height) * ratio),
      this.colour(colour),
    );
  }

  private box(left: number, top: number, right: number, bottom: number, colour: number): void {
    const from = Math.max(0, left);
    const to = Math.min(this.width, right);
    if (from >= to) return;
    for (let y = Math.max(0, top); y < Math.min(this.height, bottom); y++) {
      this.data.fill(colour, y * this.width + from, y * this.width + to);
    }
  }

  /**
   * Bars from `from` to `to`, one a device pixel, as high as a share of `full` and at least a
   * pixel where there is anything; `share` gets the place of its pixel, left and right.
   */
  bars(
    from: number,
    to: number,
    base: number,
    full: number,
    up: boolean,
    share: (left: number, right: number) => number,
    colour: (left: number) => string,
  ): void {
    const { ratio, width, height, data } = this;
    const high = Math.round(full * ratio);
    const floor = Math.round(base * ratio);
    const last = Math.min(width, Math.ceil(to * ratio));
    for (let x = Math.max(0, Math.floor(from * ratio)); x < last; x++) {
      const value = share(x / ratio, (x + 1) / ratio);
      if (!(value > 0)) continue;
      const size = Math.max(1, Math.round(Math.min(1, value) * high));
      const ink = this.colour(colour(x / ratio));
      const top = Math.max(0, up ? floor - size : floor);
      const bottom = Math.min(height, up ? floor : floor + size);
      for (let at = top * width + x; at < bottom * width; at += width) data[at] = ink;
    }
  }
}
