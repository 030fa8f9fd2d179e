// Talks to the server that the page comes from, below the token in its address.

const address = (path) => new URL(path, new URL(".", location.href)).href;

export class Refused extends Error {}

async function ask(path, body, signal) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
  const response = await fetch(address(path), request);
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Refused(answer.refused ?? `the server answered ${response.status}`);
  }
  return response;
}

export const load = async (path) => (await fetch(address(path))).json();
export const order = (name, what) => ask(`train/${name}`, what);
export const keep = async (name, side) => (await ask(`keep/${name}/${side}`, {})).json();

// Begin a training; yields its first message, then its frames. The training ends with the signal.
export async function* train(settings, signal) {
  const response = await ask("train", settings, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
  }
}
