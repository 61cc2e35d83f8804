// @ts-check
// The whole setting is in the address, behind the hash: whoever opens the link sees the same.

// Browsers refuse more than a hundred changes in half a minute. A few at once are written at once, so that a page
// that is loaded again shows the last of them; only a torrent (a player, a slider) waits.
const PAUSE = 350; // milliseconds between two changes in a torrent
const AT_ONCE = 10;

/** The address that is about to be written. @type {string | null} */
let waiting = null;
let spent = -Infinity; // when all changes so far would have been written, one each pause
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
  const isFirst = waiting === null;
  waiting = text;
  const delay = spent - (AT_ONCE - 1) * PAUSE - performance.now();
  if (delay <= 0) write();
  else if (isFirst) setTimeout(write, delay);
}

function write() {
  if (isBare) return;
  if (waiting !== null) history.replaceState(null, "", waiting);
  waiting = null;
  spent = Math.max(spent, performance.now()) + PAUSE;
}

addEventListener("pagehide", write);
// After a step back or forward, what was about to be written belongs to another step of the history.
addEventListener("popstate", () => (waiting = null));
