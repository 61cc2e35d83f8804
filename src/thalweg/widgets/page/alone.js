// @ts-check
// One tab of the page by itself: in a file, or in the cell of a notebook.

import { byId } from "../static/dom.js";
import { readFields, replaceFields, writeFields } from "../static/address.js";
import { reachBy } from "../static/api.js";
import { listenToKeys } from "../player/keys.js";
import { playPacked } from "./packed.js";
import { connect } from "./port.js";

/** @param {string} tab @param {(page: any) => Promise<any>} mount the tab's own */
export async function standAlone(tab, mount) {
  const listeners = new Set();
  const fail = (error) => {
    byId("failure").textContent = error?.message ?? String(error);
    byId("failure").hidden = false;
    throw error;
  };
  const setTheme = (theme) => {
    document.documentElement.dataset.theme = theme;
    for (const listener of listeners) listener(theme);
  };
  let view = null;
  const show = () => view?.show(readFields());
  const page = {
    isAlone: true, // no cases to guess
    onTheme(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    goTo(fields) {
      replaceFields(fields);
      return show();
    },
    fail,
  };
  setTheme(readFields().theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  try {
    const packed = byId("packed");
    if (packed) reachBy(await playPacked(JSON.parse(packed.textContent)));
    else await connect({ setTheme, show });
    writeFields({ tab });
    view = await mount(page);
    listenToKeys({
      isPicture: (target) => target instanceof HTMLElement && target.matches(".frame"),
      actions: new Proxy({}, { get: (_, name) => view.actions[name] }),
    });
    addEventListener("hashchange", show);
    await show();
  } catch (error) {
    fail(error);
  }
}
