// @ts-check
// The lab: the form goes to Python, and the answer is played.

import { getJson, newestOnly, postFrame, Refusal } from "./api.js";
import { readFields, writeFields } from "./address.js";
import { cursorOf, fieldsOf, startOver } from "./cursor.js";
import { byId } from "./dom.js";
import { makeHandle } from "./handle.js";
import { makeForm } from "./labform.js";
import { mountPlayer } from "../player/player.js";
import { backgroundOf, tracesOf } from "../player/scene.js";

export async function mountLab(page) {
  const form = makeForm(await getJson("lab"), changed, (number) => player?.forget(number));
  let player = null;
  let handle = null;
  let background = null;
  let shownFor = "";
  let lesson = "";

  const draw = newestOnly(async () => {
    const began = performance.now();
    const drawnFor = shownFor;
    const asked = { ...form.read(), formula: player ? player.store.get().formula : cursorOf(readFields()).formula };
    try {
      const [next, traces] = await Promise.all([backgroundFrom(asked), postFrame("lab/traces", asked)]);
      background = next;
      byId("lab-title").textContent = background.title;
      byId("lab-formula-shown").textContent = background.formula;
      byId("lab-note").textContent = traces.header.note;
      byId("lab-error").textContent = "";
      show({ ...background.scene, ...tracesOf(traces.header, traces.arrays) });
      if (drawnFor === shownFor) {
        // A late answer would throw back a ring that was moved.
        form.showRates(traces.header.rates);
        handle.place(asked.start ?? background.start);
      }
      byId("player").dataset.drawn = String(Math.round(performance.now() - began));
    } catch (error) {
      byId("lab-error").textContent = error.message;
      if (!(error instanceof Refusal)) throw error;
    }
  });

  async function backgroundFrom({ surface, parameters, window }) {
    const key = JSON.stringify([surface, parameters, window]);
    if (key === background?.key) return background;
    const { header, arrays } = await postFrame("lab/background", { surface, parameters, window });
    form.showStart(header.start);
    const { title, formula, start } = header;
    return { key, title, formula, start, scene: { view: "contour", texts: header.texts, ...backgroundOf(header, arrays) } };
  }

  function show(scene) {
    if (player) {
      player.replace(scene);
      return;
    }
    handle = makeHandle(byId("lab-handle"), (start) => {
      form.setStart(start);
      changed();
    });
    player = mountPlayer({
      part: byId,
      scene,
      asked: cursorOf(readFields()),
      rested: keep,
      explain: draw,
      drawn: (view) => handle.follow(view),
    });
    page.onTheme(player.refresh);
  }

  function keep(state, step) {
    if ((readFields().tab ?? "lab") !== "lab") return;
    writeFields(fieldsOf(state, step));
  }

  /** The form has changed: write it into the address, and draw. */
  function changed() {
    shownFor = form.key();
    writeFields({ tab: "lab", ...form.write() });
    draw();
  }

  return {
    actions: new Proxy({}, { get: (_, name) => player?.actions[name] }),
    async show(fields) {
      await form.fill(fields);
      const isOther = form.key() !== shownFor;
      shownFor = form.key();
      if (isOther) await draw();
      player?.stand(cursorOf(fields));
      if (fields.lesson && (isOther || fields.lesson !== lesson) && player) startOver(player);
      lesson = fields.lesson ?? "";
      player?.refresh();
    },
  };
}
