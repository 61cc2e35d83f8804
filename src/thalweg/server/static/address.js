// @ts-check
// The whole setting is in the address, behind the hash: whoever opens the link sees the same.

const PAUSE = 300; // milliseconds between two changes in place: browsers refuse more than a hundred in half a minute

/** The address that is about to be written. @type {string | null} */
let waiting = null;
let written = 0;
const isBare = location.protocol === "about:"; // a frame in a notebook has no address: it stays here

/** Fields of older addresses, and their names of today. */
const RENAMED = { rules: "optimizers", rule: "optimizer" };

export function readFields() {
  const fields = [...new URLSearchParams((waiting ?? location.hash).replace(/^#/, ""))];
  return Object.fromEntries(fields.map(([name, value]) => [RENAMED[name] ?? name, value]));
}

/** Change some fields; null removes one. Only `push` makes a new step in the browser's history. */
export function writeFields(change, { push = false } = {}) {
  const fields = { ...readFields(), ...change };
  for (const [name, value] of Object.entries(fields)) if (value === null || value === "") delete fields[name];
  replaceFields(fields, { push });
}

/** Set all fields. */
export function replaceFields(fields, { push = false } = {}) {
  const text = `#${new URLSearchParams(fields)}`;
  if (text === (waiting ?? location.hash)) return;
  if (push && !isBare) {
    write();
    history.pushState(null, "", text);
    return;
  }
  if (waiting === null) setTimeout(write, Math.max(0, written + PAUSE - performance.now()));
  waiting = text;
}

function write() {
  if (isBare) return;
  if (waiting !== null) history.replaceState(null, "", waiting);
  waiting = null;
  written = performance.now();
}

// After a step back or forward, what was about to be written belongs to another step of the history.
addEventListener("popstate", () => (waiting = null));
