// @ts-check
// The offline page: payload in, a player, and an address that carries what is seen.

import { listenToKeys } from "./keys.js";
import { mountPlayer } from "./player.js";
import { readScene } from "./scene.js";
import { readAddress, writeAddress } from "./state.js";

const byId = (id) => /** @type {any} */ (document.getElementById(id));

async function start() {
  const scene = await readScene(JSON.parse(byId("payload").textContent));
  const asked = readAddress(location.hash);
  const page = document.documentElement.dataset;
  page.theme = asked.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  let stepNow = scene.steps[scene.steps.length - 1];
  const keepAddress = (state, step) => {
    stepNow = step;
    history.replaceState(null, "", writeAddress({ ...state, theme: page.theme }, step));
  };
  const player = mountPlayer({ part: byId, scene, asked, rested: keepAddress });
  const help = () => {
    byId("help-text").hidden = !byId("help-text").hidden;
    byId("help").setAttribute("aria-expanded", String(!byId("help-text").hidden));
  };
  byId("help").addEventListener("click", help);
  byId("theme").addEventListener("click", () => {
    page.theme = page.theme === "dark" ? "light" : "dark";
    player.refresh();
    keepAddress(player.store.get(), stepNow);
  });
  listenToKeys({ isPicture: (target) => target === byId("picture"), actions: { ...player.actions, help } });
}

start().catch((error) => {
  byId("failure").hidden = false;
  throw error;
});
