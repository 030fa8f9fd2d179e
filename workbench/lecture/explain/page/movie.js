// Shows the scenes of a worked training step. Every number comes from the block of data: nothing is computed here but places.

const { layers, edges, numbers, scenes, errata } = JSON.parse(document.getElementById("numbers").textContent);
const IN_FULL = 3, FEW = 16; // formulas at once, and labels of crowded edges
const TRAVEL = 700, REST = 900; // milliseconds
const root = document.getElementById("movie");
const equations = [...document.querySelectorAll(".equation")];
const narrow = matchMedia("(max-width: 700px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const state = { scene: 0, chosen: null, erratum: null, timer: null }; // chosen: a slot

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value != null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const make = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// Numbers as the chosen formulas give them.
const changed = (symbol) => state.erratum?.numbers[symbol];
const isWrong = (symbol) => changed(symbol) !== undefined;
const shown = (symbol) => (isWrong(symbol) ? changed(symbol)?.shown ?? "—" : numbers[symbol].shown);
const spoken = (symbol) => {
  if (!isWrong(symbol)) return `${symbol} = ${shown(symbol)}`;
  const printed = changed(symbol) ? `${symbol} = ${shown(symbol)}` : `${symbol} is not computed`;
  return `${printed}, wrong: right is ${numbers[symbol].shown}`;
};

// The number that a slot shows in a scene: the last that has appeared there.
const history = {};
scenes.forEach((scene, index) => scene.shows.forEach((symbol) => {
  (history[numbers[symbol].slot] ??= []).push([index, symbol]);
}));
const current = (slot) => history[slot]?.findLast(([index]) => index <= state.scene)?.[1];

let layout, svg, tokens;
const drawn = new Map(); // slot -> its element

function drawNet() {
  layout = places(layers, narrow.matches);
  drawn.clear();
  const { width, height } = layout;
  svg = draw("svg", { viewBox: `-1 -1 ${width} ${height}`, role: "group", "aria-label": "The net and its numbers",
    style: `width: ${layout.down ? "100%" : "min(100%, " + width * 1.15 + "px)"}; min-width: ${Math.min(width, layout.down ? width : width * 0.85)}px; max-width: ${width * 1.15}px` });
  const toCost = layers.at(-2).units.map((_, unit) => ({ slot: "", from: [layers.length - 2, unit], to: [layers.length - 1, 0] }));
  for (const { slot, from, to } of [...edges, ...toCost]) {
    const [[x1, y1], [x2, y2]] = ends(layout, from, to);
    svg.append(draw("line", { class: "edge", x1, y1, x2, y2, "data-from": from, "data-to": to }));
    if (slot) svg.append(draw("line", { class: "reach", x1, y1, x2, y2, onclick: () => choose(slot) }));
  }
  layers.forEach(({ name, units }, layer) => {
    const first = layout.boxes[layer][0];
    const x = layout.down ? width / 2 : first.x + UNIT / 2;
    svg.append(draw("text", { class: "name", x, y: layout.down ? first.y - 7 : 12, "text-anchor": "middle" }, name));
    units.forEach((slots, unit) => drawUnit(layout.boxes[layer][unit], slots));
  });
  for (const { slot, from, to } of edges) {
    const [x, y] = between(ends(layout, from, to), share(layout, from, to));
    place(slot, { x: x - 30, y: y - 9, w: 60, h: 18 }, from[0]);
  }
  tokens = svg.appendChild(draw("g"));
  drawing.replaceChildren(svg);
}

function drawUnit(box, slots) {
  svg.append(draw("rect", { class: "unit", x: box.x, y: box.y, width: box.w, height: box.h, rx: 7 }));
  slots.forEach((slot, row) => place(slot, { x: box.x + 2, y: box.y + PAD + row * ROW, w: box.w - 4, h: ROW }));
}

// A number in the drawing: its label at the left, or a weight on its edge, from a layer.
function place(slot, { x, y, w, h }, layer = null) {
  const weight = layer !== null;
  const label = draw("text", { class: "label", x: x + 6, y: y + h / 2 + 4 });
  const value = draw("text", { class: "amount", x: weight ? x + w / 2 : x + w - 6, y: y + h / 2 + 4.5, "text-anchor": weight ? "middle" : "end" });
  const hit = draw("rect", { x, y, width: w, height: h, rx: 4 });
  const element = draw("g", { role: "button", tabindex: -1, onclick: () => choose(slot), onfocus: () => choose(slot) },
    hit, ...(weight ? [] : [label]), value);
  svg.append(element);
  drawn.set(slot, { element, label, value, hit, middle: weight ? x + w / 2 : null, layer });
}

// The background of a weight is as wide as its text, so that it hides little of the edges.
function fit(hit, middle, text) {
  const width = text.length * 8.4 + 4;
  hit.setAttribute("x", middle - width / 2);
  hit.setAttribute("width", width);
}

function choose(slot) {
  if (!current(slot)) return;
  pause();
  state.chosen = slot;
  show(false);
}

function show(moves) {
  const scene = scenes[state.scene];
  const lit = new Set(scene.flows.map(({ slot }) => slot));
  for (const [slot, { element, label, value, hit, middle, layer }] of drawn) {
    const symbol = current(slot), first = history[slot]?.[0][1];
    label.textContent = numbers[symbol ?? first].label;
    value.textContent = symbol ? shown(symbol) : "";
    const weight = layer !== null;
    if (weight) fit(hit, middle, value.textContent);
    const hidden = weight && layout.crowded[layer] && !(lit.has(slot) && lit.size <= FEW) && slot !== state.chosen;
    element.setAttribute("class", ["number", weight && "weight", symbol && numbers[symbol].gradient && "gradient",
      scene.shows.includes(symbol) && "new", slot === state.chosen && "chosen", symbol && isWrong(symbol) && "wrong"].filter(Boolean).join(" "));
    element.style.display = hidden ? "none" : "";
    element.setAttribute("tabindex", -1);
    if (symbol) element.setAttribute("aria-label", spoken(symbol));
    else element.setAttribute("aria-label", `${first}, not computed yet`);
    element.setAttribute("aria-disabled", String(!symbol));
  }
  const visible = [...drawn.keys()].filter((slot) => current(slot) && drawn.get(slot).element.style.display !== "none");
  const stop = state.chosen ?? scene.shows.map((symbol) => numbers[symbol].slot).find((slot) => visible.includes(slot)) ?? visible[0];
  drawn.get(stop).element.setAttribute("tabindex", 0);
  for (const line of svg.querySelectorAll(".edge")) {
    const flow = scene.flows.find(({ from, to }) =>
      (String(from) === line.dataset.from && String(to) === line.dataset.to) || (String(to) === line.dataset.from && String(from) === line.dataset.to));
    line.setAttribute("class", flow ? `edge on${flow.from[0] > flow.to[0] ? " back" : ""}` : "edge");
  }
  slider.value = state.scene;
  slider.setAttribute("aria-valuetext", `step ${state.scene + 1} of ${scenes.length}: ${scene.part}, ${scene.title}`);
  count.textContent = `step ${state.scene + 1} of ${scenes.length}`;
  previous.disabled = state.scene === 0;
  next.disabled = state.scene === scenes.length - 1;
  equations.forEach((equation, index) => index === scene.equation ? equation.setAttribute("aria-current", "step") : equation.removeAttribute("aria-current"));
  explain(scene);
  tokens.replaceChildren();
  follow(drawn.get(stop).element);
  if (moves && !still.matches) flow(scene);
}

// Scrolls the drawing, and not the page, to a number.
function follow(element) {
  const [inside, around] = [element.getBoundingClientRect(), drawing.getBoundingClientRect()];
  if (inside.bottom > around.bottom || inside.top < around.top) drawing.scrollTop += inside.top - around.top - around.height / 2;
  if (inside.right > around.right || inside.left < around.left) drawing.scrollLeft += inside.left - around.left - around.width / 2;
}

// Numbers travel along their edges, one edge after the other.
const gapOf = (flows) => Math.min(450, 2200 / Math.max(1, flows.length));
function flow({ flows }) {
  const wait = gapOf(flows);
  flows.forEach(({ from, to, carries }, index) => {
    if (!carries) return;
    const [[x, y], [toX, toY]] = ends(layout, from, to);
    const text = shown(carries), w = text.length * 7.4 + 12;
    const token = draw("g", { class: `token${from[0] > to[0] ? " back" : ""}`, opacity: 0 },
      draw("rect", { x: -w / 2, y: -10, width: w, height: 20, rx: 10 }), draw("text", { y: 4, "text-anchor": "middle" }, text));
    tokens.append(token);
    const at = (px, py, opacity) => ({ transform: `translate(${px}px, ${py}px)`, opacity });
    token.animate([at(x, y, 1), at(toX, toY, 1)], { delay: index * wait, duration: TRAVEL, easing: "ease-in-out" });
  });
}

function explain(scene) {
  part.textContent = (state.chosen ? scenes.find(({ shows }) => shows.includes(current(state.chosen))) : scene).part;
  title.textContent = state.chosen ? current(state.chosen) : scene.title;
  text.textContent = state.chosen ? "" : scene.text;
  const symbols = state.chosen ? [current(state.chosen)] : scene.shows;
  formulas.classList.toggle("many", symbols.length > IN_FULL);
  formulas.replaceChildren(...symbols.map((symbol) => {
    const { formula, filled: inNumbers, shown: right } = numbers[symbol];
    const sides = symbols.length > IN_FULL ? [right] : [formula, inNumbers, right].filter(Boolean);
    const line = make("li", {}, ...sides.map((side, index) => make("span", { class: "side" }, `${index ? "" : symbol} = ${side}`)));
    if (isWrong(symbol)) line.append(make("span", { class: "side wrong" }, `as printed: ${changed(symbol) ? shown(symbol) : "not computed"}`));
    return line;
  }));
}

function describe() {
  const { erratum } = state;
  const rows = erratum ? [["printed", erratum.printed], ["correct", erratum.correct], ["here", erratum.outcome]] : [];
  about.replaceChildren(...rows.flatMap(([name, words]) =>
    [make("dt", {}, name), make("dd", { class: name === "here" ? "outcome" : null }, words)]));
}

// Chooses an erratum, and shows all gradients, where they are not shown already.
const allGradients = scenes.findLastIndex(({ part }) => part === "Gradients");
function misprint(erratum) {
  state.erratum = erratum;
  describe();
  if (erratum && state.scene < allGradients) go(allGradients, false);
  else show(false);
}

function go(scene, moves = true) {
  state.scene = Math.max(0, Math.min(scenes.length - 1, scene));
  state.chosen = null;
  show(moves);
}
function pause() {
  clearTimeout(state.timer);
  state.timer = null;
  play.textContent = "Play";
  panel.setAttribute("aria-live", "polite");
}
function step() {
  if (state.scene === scenes.length - 1) return pause();
  go(state.scene + 1);
  const { flows } = scenes[state.scene];
  state.timer = setTimeout(step, REST + (flows.some(({ carries }) => carries) ? TRAVEL + flows.length * gapOf(flows) : 400));
}
function toggle() {
  if (state.timer) return pause();
  if (state.scene === scenes.length - 1) go(0);
  play.textContent = "Pause";
  panel.setAttribute("aria-live", "off");
  state.timer = setTimeout(step, 300);
}
const turn = (by) => { pause(); go(state.scene + by); };

// Up and down go from number to number of the drawing, among those that are there.
function neighbor(by) {
  const slots = [...drawn.keys()].filter(current);
  const index = slots.findIndex((slot) => drawn.get(slot).element === document.activeElement);
  const slot = slots[(index + by + slots.length) % slots.length];
  choose(slot); // which shows it, where it is hidden among many
  drawn.get(slot).element.focus();
}
function key(event) {
  const { target } = event;
  if (target.matches("select") || event.ctrlKey || event.altKey || event.metaKey) return;
  const onNumber = target.matches(".number"), ofButton = target.matches("button, .number");
  const chooseIt = () => choose([...drawn].find(([, { element }]) => element === target)[0]);
  const acts = {
    ArrowRight: () => turn(1), ArrowLeft: () => turn(-1), Home: () => go(0), End: () => go(scenes.length - 1),
    ...(onNumber && { ArrowDown: () => neighbor(1), ArrowUp: () => neighbor(-1), Enter: chooseIt, " ": chooseIt }),
    ...(!ofButton && { " ": toggle }), ...(onNumber && { Escape: () => { state.chosen = null; show(false); } }),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  const focused = onNumber && [...drawn].find(([, { element }]) => element === target)?.[0];
  acts[event.key]();
  if (focused && event.key.match(/Left|Right|Home|End/)) drawn.get(focused).element.focus();
}

const previous = make("button", { type: "button", onclick: () => turn(-1) }, "Previous");
const play = make("button", { type: "button", class: "play", onclick: toggle }, "Play");
const next = make("button", { type: "button", onclick: () => turn(1) }, "Next");
const slider = make("input", { type: "range", min: 0, max: scenes.length - 1, "aria-label": "Step", oninput: () => { pause(); go(Number(slider.value)); } });
const count = make("output");
const drawing = make("div", { class: "drawing" });
const part = make("p", { class: "part" }), title = make("h2"), text = make("p"), formulas = make("ul", { class: "formulas" });
const about = make("dl");
const choice = make("select", { onchange: () => { pause(); misprint(errata[choice.value] ?? null); } },
  make("option", { value: "" }, "corrected"),
  ...errata.map(({ id, slide }, index) => make("option", { value: index }, `${id} as printed: ${slide}`)));
const panel = make("div", { class: "panel", "aria-live": "polite" }, part, title, text, formulas);
root.append(
  make("div", { class: "controls", role: "group", "aria-label": "Steps" }, previous, play, next, slider, count),
  drawing,
  panel,
  ...(errata.length ? [make("div", { class: "errata" }, make("label", {}, "Formulas of the lecture", choice), about)] : []),
  make("p", { class: "hint" }, "Click a number for its formula. Keys: ← and → for steps, space to play; on a number, ↑ and ↓ for the next one, Escape to let it go."),
);

// Print shows the whole step as corrected: all numbers, and gradients at the edges.
let before;
addEventListener("beforeprint", () => {
  pause();
  before = { ...state };
  Object.assign(state, { scene: allGradients, chosen: null, erratum: null });
  show(false);
});
addEventListener("afterprint", () => { Object.assign(state, before); show(false); });

root.hidden = false;
root.addEventListener("keydown", key);
narrow.addEventListener("change", () => { drawNet(); show(false); });
drawNet();
show(false);
