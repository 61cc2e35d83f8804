// @ts-check
// Work that a process of the server does: asked for until it is there, with a bar meanwhile.

import { getJson } from "./api.js";
import { make } from "./dom.js";
import { duration, percent, t } from "./texts.js";

export const ASK = 1000; // milliseconds between two requests for its state

/**
 * Ask until the answer is there: the server stops work that nobody asks for.
 * @param {string} path
 * @param {Record<string, any>} query
 * @param {() => boolean} isWanted whether the visitor still waits
 * @param {(answer: any) => void} going told how far it has come
 */
export async function waitFor(path, query, isWanted, going) {
  let now = await getJson(path, query);
  while (now.state === "running") {
    if (!isWanted()) return now;
    going(now);
    await new Promise((done) => setTimeout(done, ASK));
    if (!isWanted()) return now;
    now = await getJson(path, { ...query, waiting: 1 });
    if (now.state === "none") now = await getJson(path, query); // the visitor was away for long
  }
  if (now.state === "failed") throw new Error(now.message);
  return now;
}

/** How far the server has come: a bar, and the stage with the time left. */
export function makeProgress(name) {
  const bar = make("progress", { max: 1, "aria-label": name });
  const line = make("p", { class: "note" });
  return {
    elements: [bar, line],
    show({ stage, share, left }) {
      if (share) bar.value = share;
      else bar.removeAttribute("value"); // not known yet
      const known = left !== null && left !== undefined;
      line.textContent = known ? t("js_progress", { stage, share: percent(share), left: duration(left) }) : t("js_begins", { stage });
    },
  };
}
