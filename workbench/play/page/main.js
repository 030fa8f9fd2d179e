// Ties the page together: state in the address bar, a training on the server, and what it sends.

import { Controls } from "./controls.js";
import { by, make } from "./elements.js";
import { Refused, keep, load, order, train } from "./server.js";
import { Side } from "./side.js";
import { DATA, parse, settings, textOf, written } from "./state.js";

const [offer, lessons] = await Promise.all([load("offer"), load("lessons.json")]);
let state, sides = [], name = "", playing = false, abort = new AbortController(), waiting = 0;

const controls = new Controls(by("settings"), offer, null, changed);
for (const [title, { name: value }] of [["your own", { name: "" }], ...lessons.map((lesson) => [lesson.title, lesson])])
  by("lesson").append(make("option", { value }, title));

function changed() {
  abort.abort();
  name = "";
  history.replaceState(null, "", written(state));
  layout();
  ready(false);
  clearTimeout(waiting);
  waiting = setTimeout(restart, 150);
}

function layout() {
  controls.show(state);
  const letters = state.b ? ["A", "B"] : ["A"];
  if (letters.length !== sides.length) {
    sides = letters.map((letter, side) => new Side(letter, offer.palette, () => keep(name, side)));
    by("sides").replaceChildren(...sides.map((side) => side.element));
    by("sides").classList.toggle("single", sides.length === 1);
    for (const board of sides.flatMap((side) => side.maps)) pen(board);
  }
  sides.forEach((side, index) => side.describe(state.b ? described(...(index ? [state.b, state.a] : [state.a, state.b])) : ""));
  const drawn = state.a.data === "points";
  for (const side of sides) {
    if (drawn) side.points(state.points);
    for (const board of side.maps) board.element.classList.toggle("drawn", drawn);
  }
  by("compare").textContent = state.b ? "Drop B" : "Compare with B";
  by("lesson").value = state.lesson;
  const lesson = lessons.find((one) => one.name === state.lesson);
  by("question").textContent = lesson?.question ?? "Choose data and a net, then press Play.";
  by("answer").hidden = !lesson;
  by("answer").lastElementChild.textContent = lesson?.answer ?? "";
  const seeds = Math.min(32, state.seeds);
  by("seed").replaceChildren(...Array.from({ length: seeds }, (_, seed) => make("option", { value: seed }, String(seed))));
  by("seed").value = state.seed = Math.min(state.seed, seeds - 1);
  by("speed").value = state.speed;
}

// Settings in which one side differs from the other.
function described(side, other) {
  const usual = (from, key) => {
    const group = key.split(".")[0];
    return offer.usual[key] ?? offer.groups[group]?.[from[group] ?? offer.usual[group]]?.[key] ?? "";
  };
  const valueIn = (from, key) => textOf(from[key] ?? usual(from, key));
  const keys = Object.keys({ ...side, ...other }).filter((key) => !DATA(key) && valueIn(side, key) !== valueIn(other, key));
  const known = keys.filter((key) => key === "architecture.hidden" || valueIn(side, key));
  return known.length ? known.map((key) => `${key}=${valueIn(side, key) || "none"}`).join(" ") : "the same net, so far";
}

function ready(is) {
  for (const id of ["play", "step", "rewind"]) by(id).disabled = !is;
  for (const side of sides) side.button.disabled = !is;
  by("play").textContent = playing ? "Pause" : "Play";
}

async function restart() {
  const { signal } = (abort = new AbortController());
  by("refused").textContent = "";
  try {
    let latest = null;
    for await (const message of train(settings(state), signal)) {
      if (signal.aborted) return;
      if (message.about) begin(message);
      else {
        message.sides = message.sides.map((frame, index) => sides[index].add(frame));
        if (!latest) requestAnimationFrame(() => {
          const frame = latest;
          latest = null;
          if (!signal.aborted) frame.sides.forEach((one, index) => sides[index].show(one, frame.seed));
        });
        latest = message;
      }
    }
    ended("The training has ended on the server.");
  } catch (error) {
    if (!signal.aborted) ended(error instanceof Refused ? error.message : "The server has ended, and training with it.");
  }
}

function ended(text) {
  playing = false;
  ready(false);
  by("refused").textContent = text;
}

function begin(message) {
  name = message.name;
  message.about.forEach((about, index) => sides[index].begin(about));
  if (state.a.data === "points") sides.forEach((side) => side.points(state.points));
  ready(true);
  tell(playing ? "play" : "pause");
}

// Give an order to the training in progress; one that begins is told all when it has begun.
async function tell(what) {
  const asked = name;
  if (!asked) return;
  try {
    await order(asked, { do: what, seed: Number(state.seed), speed: Number(state.speed) });
  } catch (error) {
    if (asked === name && error instanceof Refused) ended(error.message);
  }
}

function pen(board) {
  let last = null;
  const at = (event) => {
    const box = board.element.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * 2 - 1, 1 - ((event.clientY - box.top) / box.height) * 2];
  };
  const put = (event) => {
    const [x, y] = at(event);
    if (state.a.data !== "points" || Math.max(Math.abs(x), Math.abs(y)) > 1) return;
    if (last && Math.hypot(x - last[0], y - last[1]) < 0.12) return;
    last = [x, y];
    controls.add(x, y);
  };
  board.element.addEventListener("pointerdown", (event) => put(event));
  board.element.addEventListener("pointermove", (event) => event.buttons && put(event));
  board.element.addEventListener("pointerup", () => (last = null));
}

by("play").addEventListener("click", () => {
  playing = !playing;
  ready(true);
  tell(playing ? "play" : "pause");
});
for (const what of ["step", "rewind"])
  by(what).addEventListener("click", () => {
    playing = false;
    ready(true);
    tell("pause").then(() => tell(what));
  });
by("speed").addEventListener("change", () => {
  state.speed = Number(by("speed").value);
  history.replaceState(null, "", written(state));
  tell(playing ? "play" : "pause");
});
by("seed").addEventListener("change", () => {
  state.seed = Number(by("seed").value);
  history.replaceState(null, "", written(state));
  tell("look");
});
by("compare").addEventListener("click", () => {
  state.b = state.b ? null : Object.fromEntries(Object.entries(state.a).filter(([key]) => !key.startsWith("data")));
  controls.side = state.b ? "b" : "a";
  changed();
});
by("lesson").addEventListener("change", () => {
  const lesson = lessons.find((one) => one.name === by("lesson").value);
  open(lesson ? `lesson=${lesson.name}&${lesson.state}` : written({ ...state, lesson: "" }));
});
addEventListener("hashchange", () => open(location.hash));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed());

function open(hash) {
  state = parse(hash);
  playing = false;
  controls.side = "a";
  by("answer").open = false;
  changed();
}

open(location.hash.length > 1 ? location.hash : `lesson=${lessons[0].name}&${lessons[0].state}`);
