// @ts-check
// The whole setting lives in the address, behind the hash: whoever gets the link sees the same.

const PAUSE = 300; // milliseconds between two changes in place: browsers refuse more than a hundred in half a minute

/** What the address is about to say. @type {string | null} */
let waiting = null;
let written = 0;

export function readFields() {
  return Object.fromEntries(new URLSearchParams((waiting ?? location.hash).replace(/^#/, "")));
}

/** Change some fields; null takes one away. A new step in the browser's history only when `push` says so. */
export function writeFields(change, { push = false } = {}) {
  const fields = { ...readFields(), ...change };
  for (const [name, value] of Object.entries(fields)) if (value === null || value === "") delete fields[name];
  replaceFields(fields, { push });
}

/** Set all fields. */
export function replaceFields(fields, { push = false } = {}) {
  const text = `#${new URLSearchParams(fields)}`;
  if (text === (waiting ?? location.hash)) return;
  if (push) {
    write();
    history.pushState(null, "", text);
    return;
  }
  if (waiting === null) setTimeout(write, Math.max(0, written + PAUSE - performance.now()));
  waiting = text;
}

function write() {
  if (waiting !== null) history.replaceState(null, "", waiting);
  waiting = null;
  written = performance.now();
}

// Whoever goes back or forth means another step of the history: what was about to be said of this one is void.
addEventListener("popstate", () => (waiting = null));
