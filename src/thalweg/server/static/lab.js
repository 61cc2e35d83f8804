// @ts-check
// The lab: what the form says goes to Python, and what comes back is played.

import { getJson, newestOnly, postFrame, Refusal } from "./api.js";
import { readFields, writeFields } from "./address.js";
import { byId } from "./dom.js";
import { makeHandle } from "./handle.js";
import { makeForm } from "./labform.js";
import { makeTour } from "./tour.js";
import { mountPlayer } from "../player/player.js";
import { groundOf, tracesOf } from "../player/scene.js";

const PART = (name) => byId(name);

export async function mountLab(page) {
  const tour = makeTour(page);
  const form = makeForm(await getJson("lab"), changed);
  let player = null;
  let handle = null;
  let ground = null;
  let shownFor = "";

  const draw = newestOnly(async () => {
    const began = performance.now();
    const asked = form.read();
    try {
      const [nextGround, traces] = await Promise.all([groundFrom(asked), postFrame("lab/paths", asked)]);
      ground = nextGround;
      byId("lab-title").textContent = ground.title;
      byId("lab-formula-shown").textContent = ground.formula;
      form.showRates(traces.header.rates);
      byId("lab-note").textContent = traces.header.note;
      byId("lab-error").textContent = "";
      show({ ...ground.scene, ...tracesOf(traces.header, traces.arrays) });
      handle.place(asked.start ?? ground.start);
      byId("player").dataset.drawn = String(Math.round(performance.now() - began));
    } catch (error) {
      byId("lab-error").textContent = error.message;
      if (!(error instanceof Refusal)) throw error;
    }
  });

  async function groundFrom({ surface, parameters, window }) {
    const key = JSON.stringify([surface, parameters, window]);
    if (key === ground?.key) return ground;
    const { header, arrays } = await postFrame("lab/ground", { surface, parameters, window });
    form.showStart(header.start);
    const { title, formula, start } = header;
    return { key, title, formula, start, scene: { view: "contour", texts: header.texts, ...groundOf(header, arrays) } };
  }

  function show(scene) {
    if (player) {
      player.replace(scene);
      return;
    }
    const fields = readFields();
    const hidden = new Set((fields.hide ?? "").split(",").filter(Boolean).map((number) => Number(number) - 1));
    const step = fields.step === undefined ? null : Number(fields.step);
    const asked = { step: Number.isFinite(step) ? step : null, view: fields.view === "3d" ? "3d" : null, hidden };
    handle = makeHandle(byId("lab-handle"), (start) => {
      form.setStart(start);
      changed();
    });
    player = mountPlayer({
      part: PART,
      scene,
      asked,
      rested: keep,
      drawn: (view) => handle.follow(view),
    });
    page.onTheme(player.refresh);
  }

  function keep(state, step) {
    if ((readFields().tab ?? "lab") !== "lab") return;
    const hide = [...state.hidden].map((number) => number + 1).join(",");
    writeFields({ step: String(step), view: state.view === "3d" ? "3d" : null, hide: hide || null });
  }

  /** The form has changed: say so in the address, and draw. */
  function changed() {
    shownFor = form.key();
    writeFields({ tab: "lab", ...form.write() });
    draw();
  }

  return {
    actions: new Proxy({}, { get: (_, name) => player?.actions[name] }),
    async show(fields) {
      await form.fill(fields);
      tour.show(fields.lesson ?? null);
      if (form.key() !== shownFor) {
        shownFor = form.key();
        await draw();
        if (fields.lesson && player) startOver(player);
      } else player?.refresh();
    },
  };
}

/** A lesson is played from its beginning; where less motion is wanted, it lies there finished. */
function startOver(player) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  player.actions.first();
  player.actions.toggle();
}
