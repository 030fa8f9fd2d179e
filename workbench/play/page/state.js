// The state of the page, which the address bar holds: settings of A and, to compare, of B, seeds, speed, drawn points.

export const DATA = (key) => key === "data" || key.startsWith("data.");

// A value as it is written in an address or an input: a list of whole numbers, a number, a flag, or a word.
export function valueOf(key, text) {
  const trimmed = text.trim();
  if (key === "architecture.hidden") {
    const widths = trimmed === "" ? [] : trimmed.split(/[\s,]+/).map(Number);
    return widths.every(Number.isInteger) ? widths : trimmed;
  }
  if (trimmed === "true" || trimmed === "false") return trimmed === "true";
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}

export const textOf = (value) => (Array.isArray(value) ? value.join(",") : String(value));

export function parse(hash) {
  const state = { a: {}, b: null, seeds: 16, seed: 0, speed: 0, points: [], lesson: "" };
  for (const [key, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (key === "lesson") state.lesson = text;
    else if (key === "seeds" || key === "seed" || key === "speed") state[key] = Math.max(0, Number(text) || 0);
    else if (key === "points") state.points = text ? text.split(";").map((point) => point.split(",").map(Number)) : [];
    else if (key === "b") state.b ??= {};
    else if (key.startsWith("b.")) (state.b ??= {})[key.slice(2)] = valueOf(key.slice(2), text);
    else state.a[key] = valueOf(key, text);
  }
  return state;
}

export function written(state) {
  const words = new URLSearchParams();
  if (state.lesson) words.set("lesson", state.lesson);
  for (const [key, value] of Object.entries(state.a)) words.set(key, textOf(value));
  if (state.b) words.set("b", "");
  for (const [key, value] of Object.entries(state.b ?? {})) words.set(`b.${key}`, textOf(value));
  words.set("seeds", state.seeds);
  if (state.seed) words.set("seed", state.seed);
  if (state.speed) words.set("speed", state.speed);
  if (state.points.length) words.set("points", state.points.map((point) => point.join(",")).join(";"));
  return `#${words}`;
}

// What the server is asked for: B has the data of A.
export function settings(state) {
  const data = Object.fromEntries(Object.entries(state.a).filter(([key]) => DATA(key)));
  return {
    a: state.a,
    b: state.b && { ...state.b, ...data },
    seeds: state.seeds,
    points: state.a.data === "points" ? state.points : [],
  };
}
