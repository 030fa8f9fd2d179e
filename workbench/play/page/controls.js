// The form of settings, made of what the server offers: a list for each group, and inputs for an option's own values.

import { make } from "./elements.js";
import { DATA, textOf, valueOf } from "./state.js";

const LABELS = {
  data: "data", architecture: "layers", "architecture.hidden": "hidden units", activation: "activation",
  init: "weights", bias: "bias", norm: "normalize", loss: "cost", optimizer: "optimizer", "optimizer.lr": "learning rate",
  "train.batch_size": "batch size",
};
const PARTS = [
  ["Data", ["data"]],
  ["Net", ["architecture", "activation", "init", "bias", "norm", "loss"]],
  ["Training", ["optimizer"]],
];
const FEW = { optimizer: ["optimizer.lr", "optimizer.momentum", "optimizer.weight_decay"] };

export class Controls {
  // `changed` is called with nothing once the state holds what was entered.
  constructor(form, offer, state, changed) {
    Object.assign(this, { form, offer, state, changed, side: "a" });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  // Settings that the controls change: data are of both sides.
  target(key) {
    return this.state[DATA(key) ? "a" : this.side];
  }

  show(state) {
    this.state = state;
    if (!state.b) this.side = "a";
    const focused = document.activeElement?.id;
    this.form.replaceChildren(...(state.b ? [this.choiceOfSide()] : []), ...PARTS.map((part) => this.part(...part)));
    if (focused) document.getElementById(focused)?.focus();
  }

  choiceOfSide() {
    const radios = ["a", "b"].map((side) => {
      const radio = make("input", { type: "radio", name: "side", id: `side-${side}`, checked: this.side === side });
      radio.addEventListener("change", () => {
        this.side = side;
        this.show(this.state);
      });
      return make("label", {}, radio, ` ${side.toUpperCase()}`);
    });
    return make("fieldset", {}, make("legend", {}, "Change the net of"), make("div", { class: "choice" }, ...radios));
  }

  part(title, groups) {
    const of = this.state.b && title !== "Data" ? ` of ${this.side.toUpperCase()}` : "";
    const fields = groups.flatMap((group) => [this.group(group), ...this.values(group)]);
    if (title === "Data") fields.push(...this.points(), this.seeds());
    if (title === "Training") fields.push(this.value("train.batch_size", this.offer.others["train.batch_size"], false));
    return make("fieldset", {}, make("legend", {}, title + of), ...fields);
  }

  chosen(group) {
    return this.target(group)[group] ?? this.offer.usual[group];
  }

  group(group) {
    const names = Object.keys(this.offer.groups[group]);
    const select = make("select", { id: `set-${group}` },
      ...names.map((name) => make("option", { value: name, selected: name === this.chosen(group) }, name)));
    select.addEventListener("change", () => this.choose(group, select.value));
    return field(group, select);
  }

  choose(group, name) {
    const target = this.target(group);
    for (const key of Object.keys(target)) {
      if (key.startsWith(`${group}.`) && !(key in this.offer.groups[group][name])) delete target[key];
      else if (key === "optimizer.lr") delete target[key]; // a rate is good for one optimizer
    }
    target[group] = name;
    this.changed();
  }

  values(group) {
    const values = Object.entries(this.offer.groups[group][this.chosen(group)] ?? {});
    const few = FEW[group];
    return values.filter(([key]) => !few || few.includes(key)).map(([key, value]) => this.value(key, value, true));
  }

  value(key, usual, inner) {
    const target = this.target(key), now = target[key] ?? usual;
    const kind = typeof usual === "boolean" ? "checkbox" : "text";
    const words = (this.offer.words[key] ?? []).map((word) => make("option", { value: word }, word));
    const input = words.length
      ? make("select", { id: `set-${key}` }, ...words)
      : make("input", { id: `set-${key}`, type: kind, spellcheck: "false" });
    if (kind === "checkbox") input.checked = now;
    else input.value = now == null ? "" : textOf(now);
    input.addEventListener("change", () => {
      target[key] = kind === "checkbox" ? input.checked : valueOf(key, input.value);
      if (input.value === "" && key !== "architecture.hidden") delete target[key];
      this.changed();
    });
    return field(key, input, inner);
  }

  seeds() {
    const input = make("input", { id: "set-seeds", type: "number", min: 1, max: 32, value: this.state.seeds });
    input.addEventListener("change", () => {
      this.state.seeds = Number(input.value);
      this.changed();
    });
    return field("seeds", input);
  }

  points() {
    if (this.chosen("data") !== "points") return [];
    const radios = [0, 1].map((number) => {
      const radio = make("input", { type: "radio", name: "class", id: `class-${number}`, checked: number === this.pen });
      radio.addEventListener("change", () => (this.drawn = number));
      return make("label", {}, radio, ` class ${number}`);
    });
    const [x, y] = ["x", "y"].map((axis) =>
      make("input", { type: "number", step: "0.1", min: -1, max: 1, value: 0, id: `point-${axis}`, "aria-label": axis }));
    const button = (id, text, act) => {
      const made = make("button", { type: "button", id }, text);
      made.addEventListener("click", act);
      return made;
    };
    const add = button("point-add", "Add", () => this.add(Number(x.value), Number(y.value)));
    const last = button("point-remove", "Remove last", () => this.replace(this.state.points.slice(0, -1)));
    const all = button("point-clear", "Clear", () => this.replace([]));
    return [
      make("p", { class: "hint" }, "Draw points on the map, or add them here; x and y are from -1 to 1."),
      make("div", { class: "choice", role: "group", "aria-label": "Class of new points" }, ...radios),
      make("div", { class: "point" }, x, y, add),
      make("div", { class: "point" }, last, all),
    ];
  }

  get pen() {
    return this.drawn ?? 0;
  }

  add(x, y) {
    this.replace([...this.state.points, [Math.round(x * 100) / 100, Math.round(y * 100) / 100, this.pen]]);
  }

  replace(points) {
    this.state.points = points.slice(0, 600);
    this.changed();
  }
}

function field(key, input, inner = false) {
  const name = LABELS[key] ?? key.replace(/^\w+\./, "").replaceAll("_", " ");
  return make("label", { class: inner ? "field value" : "field" }, make("span", { class: "name" }, name), input);
}
