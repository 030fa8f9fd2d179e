// Charts in SVG: the band of all seeds, their median, the seed that is shown, and theory.

import { draw, make } from "./elements.js";

const WIDTH = 300, HEIGHT = 150, LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 22;
const FEW = 12; // layers whose points are marked

export const short = (value) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e4 || size < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(2)));
};

export class Chart {
  constructor(title, caption, { log = false, across = "step" } = {}) {
    this.log = log;
    this.across = across;
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
    this.note = make("span");
    this.element = make("figure", {}, this.svg, make("figcaption", {}, make("b", {}, title), ` ${caption} `, this.note));
  }

  // x [N]; low, middle, high and chosen [N]; theory [N] or null. Nulls leave gaps; on a log scale 0 is at the bottom.
  show(x, { low, middle, high, chosen, theory = [] }) {
    const every = [...low, ...middle, ...high, ...chosen, ...theory];
    const known = every.filter((value) => value != null && (!this.log || value > 0));
    if (!known.length || !x.length) return this.svg.replaceChildren();
    const scale = this.log ? Math.log10 : (value) => value;
    let bottom = this.log ? Math.min(...known) : Math.min(0, ...known), top = Math.max(...known);
    if (scale(top) - scale(bottom) < 1e-9) [bottom, top] = this.log ? [bottom / 2, top * 2] : [bottom, top + 1];
    const first = x[0], span = x.at(-1) - first || 1;
    const across = (value) => LEFT + ((value - first) / span) * (WIDTH - LEFT - RIGHT);
    const share = (value) => Math.max(0, (scale(Math.max(value, bottom)) - scale(bottom)) / (scale(top) - scale(bottom)));
    const up = (value) => HEIGHT - BOTTOM - share(value) * (HEIGHT - TOP - BOTTOM);
    const at = (values) => x.map((place, index) => values[index] != null && [across(place), up(values[index])]);
    const line = (values) => path(at(values));
    const edge = at(high).filter(Boolean), back = at(low).filter(Boolean).reverse();
    const band = edge.length ? `M${[...edge, ...back].join("L")}Z` : "";
    const dots = (values, name) =>
      x.length > FEW ? [] : at(values).filter(Boolean).map(([cx, cy]) => draw("circle", { class: name, cx, cy, r: 2.5 }));
    this.svg.replaceChildren(
      draw("path", { class: "axis", d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}` }),
      draw("text", { x: LEFT - 4, y: TOP + 8, "text-anchor": "end" }, short(top)),
      draw("text", { x: LEFT - 4, y: HEIGHT - BOTTOM, "text-anchor": "end" }, short(bottom)),
      draw("text", { x: LEFT, y: HEIGHT - 6 }, `${this.across} ${first}`),
      draw("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, String(x.at(-1))),
      draw("path", { class: "band", d: band }),
      draw("path", { class: "median", d: line(middle) }),
      draw("path", { class: "theory", d: line(theory) }),
      draw("path", { class: "chosen", d: line(chosen) }),
      ...dots(theory, "theory"),
      ...dots(chosen, "chosen"),
    );
  }
}

function path(points) {
  let pen = "M";
  return points
    .map((point) => {
      const part = point ? `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : "";
      pen = point ? "L" : "M";
      return part;
    })
    .join("");
}

// A bar for each seed.
export class Bars {
  constructor(title, caption) {
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} 70`, role: "img", "aria-label": title });
    this.element = make("figure", {}, this.svg, make("figcaption", {}, make("b", {}, title), ` ${caption}`));
  }

  show(values, chosen) {
    const width = WIDTH / values.length;
    this.svg.replaceChildren(...values.map((value, seed) => {
      const height = 60 * (value ?? 0);
      const place = { x: seed * width + 1, width: Math.max(2, width - 3), y: 66 - height, height: height + 1 };
      return draw("rect", { ...place, class: seed === chosen ? "bar on" : "bar" });
    }));
  }
}

// The losses of all seeds over steps; of many points, every second is dropped.
export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.steps = [];
    this.rows = [];
  }

  add(step, losses) {
    if (this.steps.length && step < this.steps.at(-1)) this.clear();
    if (step === this.steps.at(-1)) this.rows.pop();
    else this.steps.push(step);
    this.rows.push({ losses, sorted: losses.filter((loss) => loss != null).sort((a, b) => a - b) });
    if (this.steps.length > 400) {
      this.steps = this.steps.filter((_, index) => index % 2 === 0);
      this.rows = this.rows.filter((_, index) => index % 2 === 0);
    }
  }

  curves(chosen) {
    const of = (share) => this.rows.map(({ sorted }) => sorted[Math.round(share * (sorted.length - 1))] ?? null);
    return { low: of(0), middle: of(0.5), high: of(1), chosen: this.rows.map(({ losses }) => losses[chosen]) };
  }
}
