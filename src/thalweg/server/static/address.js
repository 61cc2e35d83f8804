// @ts-check
// The whole setting lives in the address, behind the hash: whoever gets the link sees the same.

export function readFields() {
  return Object.fromEntries(new URLSearchParams(location.hash.replace(/^#/, "")));
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
  if (text === location.hash) return;
  if (push) history.pushState(null, "", text);
  else history.replaceState(null, "", text);
}
