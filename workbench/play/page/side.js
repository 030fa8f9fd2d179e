// One pack on the page: its maps, units, charts, and the button that keeps it.

import { Board, Units, bytes } from "./boards.js";
import { Bars, Chart, History, short } from "./charts.js";
import { make } from "./elements.js";

const median = (values) => values.filter((value) => value != null).sort((a, b) => a - b)[(values.length - 1) >> 1];

export class Side {
  // `keep` is called with nothing, and resolves to what the server said.
  constructor(letter, palette, keep) {
    this.letter = letter;
    this.history = new History();
    this.maps = [new Board(`${letter}: decisions of the seed`, palette), new Board(`${letter}: seeds that agree`, palette)];
    this.units = new Units(palette);
    this.loss = new Chart("Training loss", "Band: all seeds. Dots: their median. Line: the seed shown.");
    const byLayer = { log: true, across: "layer" };
    this.charts = {
      grad: new Chart("Gradient by layer", "Norm of dJ/d(W, b).", byLayer),
      q: new Chart("Signal by layer", "Root mean square of a.", byLayer),
      delta: new Chart("Delta by layer", "Root mean square, over that of the output.", byLayer),
    };
    this.bars = new Bars("Training accuracy", "A bar for each seed; full height is 100 %.");
    this.what = make("span", { class: "what" });
    this.numbers = make("p", { class: "numbers" });
    this.button = make("button", { type: "button", id: `keep-${letter}` }, `Keep ${letter}`);
    this.kept = make("div", { class: "kept", role: "status" });
    this.button.addEventListener("click", () => this.save(keep));
    this.captions = [make("span"), make("span")];
    const figure = (index, title) =>
      make("figure", {}, this.maps[index].element, make("figcaption", {}, make("b", {}, title), " ", this.captions[index]));
    this.responses = make("div", { class: "responses" }, make("h3", {}, "Response of each unit of the seed"), this.units.element);
    this.element = make("article", { class: "side", "aria-label": `Pack ${letter}` },
      make("div", { class: "head" }, make("h2", {}, letter), this.what, this.button),
      this.numbers,
      make("div", { class: "pictures" }, make("div", { class: "maps" },
        figure(0, "Decisions of the seed."), figure(1, "Seeds that agree with it.")),
        this.responses),
      make("div", { class: "charts" }, this.loss.element, this.bars.element,
        this.charts.grad.element, this.charts.q.element, this.charts.delta.element),
      this.kept);
  }

  // `text` says what the pack is.
  describe(text) {
    this.what.textContent = text;
  }

  begin(about) {
    const right = about.board === "plane" ? "" : "Green: right. Orange: wrong. ";
    this.captions[0].textContent = `${right}Paler: less sure.`;
    this.captions[1].textContent = `${right}Paler: fewer.`;
    this.about = about;
    this.last = {};
    this.history.clear();
    for (const chart of Object.values(this.charts)) chart.element.hidden = about.layers.length < 2;
    this.responses.hidden = about.layers.length < 2;
    this.kept.replaceChildren();
    for (const board of this.maps) board.begin(about);
    for (const name of ["q", "delta"]) {
      const known = about.theory[name].some((value) => value != null);
      this.charts[name].note.textContent = known ? "Dashes: theory before training." : "Theory does not cover this net.";
    }
  }

  points(points) {
    for (const board of this.maps) board.points(points);
  }

  // Take a frame; one without numbers keeps those before it. Returns it whole.
  add(frame) {
    if (frame.loss) this.history.add(frame.step, frame.loss);
    return (this.last = { ...this.last, ...frame });
  }

  show(frame, seed) {
    const { about } = this, classes = bytes(frame.map.classes);
    this.maps[0].show(classes, bytes(frame.map.sure), 255 / about.classes);
    this.maps[1].show(classes, bytes(frame.map.agree), 0);
    const shape = (size) => (about.board === "plane" ? [Math.sqrt(size), Math.sqrt(size)] : about.shape);
    this.units.show(frame.units, frame.states, shape);
    this.loss.show(this.history.steps, this.history.curves(seed));
    this.bars.show(frame.accuracy, seed);
    const layers = about.layers.map((_, index) => index + 1);
    for (const [name, chart] of Object.entries(this.charts)) {
      const column = (at) => frame.signals[name].map((row) => row[at]);
      const curves = { low: column(0), middle: column(1), high: column(2), chosen: column(3) };
      chart.show(layers, { ...curves, theory: about.theory[name] ?? [] });
    }
    this.tell(frame, seed);
  }

  tell(frame, seed) {
    const of = (values) => [median(values), values[seed]].map((value) => (value == null ? "none" : short(value)));
    const [loss, own] = of(frame.loss), right = frame.accuracy.filter((value) => value === 1).length;
    const parts = [
      ["step", frame.step], ["epoch", frame.epoch.toFixed(frame.epoch < 10 ? 1 : 0)],
      ["loss", `${own} (median ${loss})`], ["all right", `${right} of ${frame.accuracy.length} seeds`],
      ["dead units", `${frame.deadUnits} of ${frame.allUnits}`],
      ["dead nets", `${frame.deadNets} of ${frame.accuracy.length} seeds`],
    ];
    const diverged = frame.loss.filter((value) => value == null).length;
    if (diverged) parts.push(["diverged", `${diverged} seeds`]);
    this.numbers.replaceChildren(...parts.map(([name, value]) => make("span", {}, `${name} `, make("b", {}, String(value)))));
  }

  async save(keep) {
    this.button.disabled = true;
    this.kept.replaceChildren(make("p", {}, "Training the same sweep into the store…"));
    const kept = await keep().catch((error) => ({ ok: false, command: "", said: error.message }));
    const told = kept.ok ? `Kept as sweep ${kept.sweep}. This command repeats it:` : "It was not kept:";
    this.kept.replaceChildren(make("p", {}, told), ...(kept.command ? [make("pre", {}, kept.command)] : []),
      make("details", { open: !kept.ok }, make("summary", {}, "What it printed"), make("pre", {}, kept.said)));
    this.button.disabled = false;
  }
}
