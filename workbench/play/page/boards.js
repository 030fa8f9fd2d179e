// Maps of decisions and pictures of units, drawn on canvases.

import { make } from "./elements.js";

const TILE = 34, GAP = 4; // of a unit's picture
const MANY = 10; // layers, above which they stand in two columns
const dark = matchMedia("(prefers-color-scheme: dark)");

export const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const mix = (from, to, share) => from.map((value, index) => Math.round(value + (to[index] - value) * share));
const ground = () => (dark.matches ? [32, 35, 41] : [255, 255, 255]);

function image(width, height, colorOf) {
  const data = new ImageData(width, height);
  for (let index = 0; index < width * height; index++) data.data.set([...colorOf(index), 255], index * 4);
  return data;
}

// A map: decisions below, the data above, which are drawn once.
export class Board {
  constructor(label, palette) {
    this.palette = palette.map(rgb);
    this.below = make("canvas", { role: "img", "aria-label": label });
    this.above = make("canvas", { "aria-hidden": "true", width: 384, height: 384 });
    this.element = make("div", { class: "board" }, this.below, this.above);
  }

  color(number) {
    return this.palette[number % (this.palette.length - 1)];
  }

  begin(about) {
    this.about = about;
    [this.below.height, this.below.width] = about.shape;
    this.paper = this.below.getContext("2d");
    if (about.board === "plane") this.points(about.points);
    else this.examples();
  }

  points(points) {
    const paper = this.above.getContext("2d"), size = this.above.width, extent = this.about?.extent ?? 1;
    paper.clearRect(0, 0, size, size);
    const radius = points.length > 150 ? 4 : 7;
    for (const [x, y, label] of points) {
      paper.beginPath();
      paper.arc(((x / extent + 1) * size) / 2, ((1 - y / extent) * size) / 2, radius, 0, 2 * Math.PI);
      paper.fillStyle = `rgb(${this.color(label)})`;
      paper.fill();
      paper.lineWidth = 2;
      paper.strokeStyle = `rgb(${ground()})`;
      paper.stroke();
    }
  }

  examples() {
    const paper = this.above.getContext("2d"), size = this.above.width, [rows, columns] = this.about.shape;
    paper.clearRect(0, 0, size, size);
    const examples = this.about.examples;
    if (!examples) return;
    const { side } = examples, pixels = bytes(examples.pixels), small = new OffscreenCanvas(side, side);
    const ink = dark.matches ? 255 : 0;
    paper.imageSmoothingEnabled = false;
    for (let tile = 0; tile < rows * columns; tile++) {
      const data = new ImageData(side, side);
      for (let at = 0; at < side * side; at++) data.data.set([ink, ink, ink, pixels[tile * side * side + at]], at * 4);
      small.getContext("2d").putImageData(data, 0, 0);
      const width = size / columns, height = size / rows;
      paper.drawImage(small, (tile % columns) * width + 2, Math.floor(tile / columns) * height + 2, width - 4, height - 4);
    }
  }

  // `classes` by probe, and how strong each is, from `least` to 255.
  show(classes, strength, least) {
    const paper = ground(), [height, width] = this.about.shape, rows = this.about.board === "examples";
    const colorOf = (index) => {
      const right = classes[index] === Math.floor(index / width);
      const color = rows ? this.color(right ? 2 : 1) : this.color(classes[index]);
      return mix(paper, color, 0.08 + 0.62 * Math.max(0, (strength[index] - least) / (255 - least)));
    };
    this.paper.putImageData(image(width, height, colorOf), 0, 0);
  }
}

// The units of each layer, a row for each.
export class Units {
  constructor(palette) {
    this.ends = [rgb(palette[0]), rgb(palette[1])];
    this.element = make("div", { class: "layers" });
    this.rows = [];
  }

  // `states` has the dead and the saturated units of a layer, by its name.
  show(layers, states, side) {
    if (this.rows.length !== layers.length || layers.some((layer, index) => this.rows[index].count !== layer.count))
      this.begin(layers);
    const paper = dark.matches ? [72, 77, 87] : ground(); // a dead unit is darker
    this.colors = Array.from({ length: 256 }, (_, value) =>
      mix(paper, this.ends[value < 128 ? 0 : 1], Math.min(1, Math.abs(value - 127.5) / 127.5)));
    const unknown = { dead: [], saturated: [] };
    layers.forEach((layer, index) =>
      this.layer(this.rows[index], { ...layer, ...(states[layer.name] ?? unknown) }, side));
  }

  begin(layers) {
    this.rows = layers.map((layer) => {
      const shown = Math.min(16, layer.count);
      const canvas = make("canvas", { role: "img", width: shown * (TILE + GAP), height: TILE });
      canvas.style.width = `${shown * (layers.length > MANY ? 14 : TILE + GAP)}px`;
      return { canvas, shown, count: layer.count, state: make("span", { class: "state" }) };
    });
    this.element.classList.toggle("many", layers.length > MANY);
    this.element.replaceChildren(...this.rows.map((row, index) =>
      make("div", { class: "layer" }, make("span", {}, `layer ${numberOf(layers[index])}`), row.canvas, row.state)));
  }

  layer(row, layer, side) {
    const pictures = bytes(layer.pictures), size = pictures.length / row.shown, [height, width] = side(size);
    const paper = row.canvas.getContext("2d"), small = new OffscreenCanvas(width, height);
    paper.clearRect(0, 0, row.canvas.width, row.canvas.height);
    paper.imageSmoothingEnabled = false;
    for (let unit = 0; unit < row.shown; unit++) {
      const left = unit * (TILE + GAP);
      if (layer.dead[unit]) {
        paper.fillStyle = "black";
        paper.fillRect(left, 0, TILE, TILE);
      } else {
        const colorOf = (index) => this.colors[pictures[unit * size + index]];
        small.getContext("2d").putImageData(image(width, height, colorOf), 0, 0);
        paper.drawImage(small, left, 0, TILE, TILE);
        if (layer.saturated[unit]) hatch(paper, left);
      }
      paper.strokeStyle = "#808690";
      paper.strokeRect(left + 0.5, 0.5, TILE - 1, TILE - 1);
    }
    const dead = layer.dead.filter(Boolean).length, saturated = layer.saturated.filter(Boolean).length;
    const state = [dead && `${dead} dead`, saturated && `${saturated} saturated`].filter(Boolean).join(", ");
    if (row.state.textContent !== state || !row.canvas.ariaLabel) {
      row.state.textContent = state;
      row.canvas.ariaLabel = `layer ${numberOf(layer)}: ${row.count} units${state && `, ${state}`}`;
    }
  }
}

const numberOf = (layer) => layer.name.replace(/^\D+/, "");

function hatch(paper, left) {
  paper.save();
  paper.beginPath();
  paper.rect(left, 0, TILE, TILE);
  paper.clip();
  paper.strokeStyle = "rgb(0 0 0 / 70%)";
  paper.lineWidth = 2;
  paper.beginPath();
  for (let at = -TILE; at < TILE; at += 7) {
    paper.moveTo(left + at, TILE);
    paper.lineTo(left + at + TILE, 0);
  }
  paper.stroke();
  paper.restore();
}
