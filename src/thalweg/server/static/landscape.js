// @ts-check
// The landscape of one run: Python computes the slice, and the player flies over it.

import { readFields, writeFields } from "./address.js";
import { cursorOf, fieldsOf } from "./cursor.js";
import { button, fillSelect, make, note } from "./dom.js";
import { t } from "./texts.js";
import { makeProgress, waitFor } from "./waiting.js";
import { mountPlayer } from "../player/player.js";
import { readScene } from "../player/scene.js";

const PREFIX = "landscape-";
const PLANES = ["trajectory", "random"];

/** @param {any} page @param {string} run */
export function makeLandscape(page, run) {
  let player = null;
  let wanted = 0;
  const body = make("div", { "aria-live": "polite" });
  const plane = make("select", { id: `${PREFIX}plane`, on: { change: () => (keep({ landscape: plane.value, step: null }), draw(plane.value)) } });
  fillSelect(plane, PLANES.map((name) => [name, t(`landscape_${name}`)]));
  const views = ["contour", "3d"].map((name) => button(t(`landscape_${name}`), () => {}, { id: `${PREFIX}view-${name}`, "aria-pressed": "false" }));
  const element = make("section", { id: "run-landscape", "aria-label": t("landscape_title") },
    make("h3", {}, t("landscape_title")),
    make("div", { class: "bar" }, make("label", {}, t("landscape_plane"), " ", plane), make("div", { class: "buttons small" }, ...views)),
    body,
  );

  async function draw(asked) {
    const mine = ++wanted;
    const isWanted = () => mine === wanted && element.isConnected;
    const progress = makeProgress(t("landscape_title"));
    player = null;
    element.dataset.state = "running";
    body.replaceChildren(note(t("landscape_running")), ...progress.elements);
    try {
      const found = await waitFor("landscape", { run, ...(PLANES.includes(asked) && { plane: asked }) }, isWanted, progress.show);
      if (!isWanted()) return;
      plane.value = found.plane;
      await show(found);
      element.dataset.state = "done";
    } catch (error) {
      if (!isWanted()) return;
      body.replaceChildren(make("p", { class: "message" }, error.message));
      element.dataset.state = "refused";
    }
  }
  async function show({ scene, stage_html: html }) {
    // of Python's own template; every text in it is escaped there
    const stage = new DOMParser().parseFromString(html, "text/html").body;
    const heading = make("p", {}, make("strong", {}, scene.title), make("span", { class: "formula" }, ` ${scene.formula}`));
    body.replaceChildren(heading, ...stage.childNodes, ...scene.notes.map((text) => note(text)));
    player = mountPlayer({
      part: (name) => element.querySelector(`#${PREFIX}${CSS.escape(name)}`),
      scene: await readScene(scene),
      asked: cursorOf(readFields()),
      rested: (state, step) => keep(fieldsOf(state, step)),
    });
  }
  function keep(fields) {
    if (element.isConnected && readFields().tab === "runs") writeFields(fields);
  }
  const close = page.onTheme(() => element.isConnected && player?.refresh());
  return {
    element,
    draw,
    close,
    actions: () => player?.actions,
    stand: (fields) => player?.stand(cursorOf(fields)),
  };
}
