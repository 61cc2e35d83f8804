// @ts-check
// Mean squared error beside cross-entropy: two surfaces, one clock.

import { getJson, newestOnly, postFrame } from "./api.js";
import { readFields, writeFields } from "./address.js";
import { cursorOf, fieldsOf, startOver } from "./cursor.js";
import { byId, fillSelect } from "./dom.js";
import { blockOf } from "../player/math.js";
import { mountPlayer } from "../player/player.js";
import { backgroundOf, tracesOf } from "../player/scene.js";

const FIELDS = { optimizer: "losses-optimizer", lr: "losses-lr", schedule: "losses-schedule", steps: "losses-steps", x: "losses-x", y: "losses-y" };

export async function mountLosses(page) {
  const { optimizers } = await getJson("lab");
  fillSelect(byId("losses-optimizer"), optimizers.map((name) => [name, name]), "sgd");
  const usual = read();
  let player = null;
  let shownFor = "";
  let lesson = "";

  const draw = newestOnly(async () => {
    const { x, y, ...rest } = read();
    const asked = { ...rest, lr: Number(rest.lr), steps: Number(rest.steps), start: [Number(x), Number(y)] };
    try {
      const { header, arrays } = await postFrame("losses", asked);
      byId("losses-error").textContent = "";
      byId("losses-note").textContent = header.note;
      byId("losses-own-formulas").replaceChildren(...header.losses.map(blockOf));
      show(sceneFrom(header, arrays));
    } catch (error) {
      byId("losses-error").textContent = error.message;
    }
  });
  function show(scene) {
    scene.backgrounds.forEach(({ title }, number) => (byId(`losses-name-${number + 1}`).textContent = title));
    if (player) {
      player.replace(scene);
      return;
    }
    const asked = cursorOf(readFields());
    player = mountPlayer({ part: (name) => byId(`losses-${name}`), scene, asked, rested: keep });
    page.onTheme(player.refresh);
  }
  function keep(state, step) {
    if (readFields().tab === "losses") writeFields(fieldsOf(state, step));
  }
  function changed() {
    const fields = read();
    shownFor = JSON.stringify(fields);
    writeFields({ tab: "losses", ...fields });
    draw();
  }
  for (const id of Object.values(FIELDS)) byId(id).addEventListener("change", changed);
  byId("losses-form").addEventListener("submit", (event) => event.preventDefault());

  return {
    actions: new Proxy({}, { get: (_, name) => player?.actions[name] }),
    async show(fields) {
      for (const [name, id] of Object.entries(FIELDS)) byId(id).value = fields[name] ?? usual[name];
      const key = JSON.stringify(read());
      const isOther = key !== shownFor;
      shownFor = key;
      if (isOther) await draw();
      player?.stand(cursorOf(fields));
      if (fields.lesson && fields.lesson !== lesson && player) startOver(player);
      lesson = fields.lesson ?? "";
      player?.refresh();
    },
  };
}

function read() {
  return Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, byId(id).value.trim()]));
}

/** One scene with both traces for charts and table, and a background with its own trace for each picture. */
function sceneFrom(header, arrays) {
  const traces = tracesOf(header, arrays);
  const backgrounds = header.backgrounds.map((background, number) => {
    const prefix = `background${number}.`;
    const own = Object.entries(arrays).filter(([name]) => name.startsWith(prefix));
    const drawn = backgroundOf(background, Object.fromEntries(own.map(([name, array]) => [name.slice(prefix.length), array])));
    return { ...drawn, title: background.title, steps: traces.steps, series: [{ ...traces.series[number], number }] };
  });
  return { view: "contour", texts: header.texts, ...traces, backgrounds };
}
