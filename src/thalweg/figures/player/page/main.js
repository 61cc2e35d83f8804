// @ts-check
// Wires the page: payload in, controls to the store, the store to the drawings.

import { pageColors, prepare, drawCritical } from "./canvas.js";
import { drawKey, makeCharts } from "./charts.js";
import { listenToKeys } from "./keys.js";
import { makePicture } from "./picture.js";
import { makePlayback, makeTimeline } from "./playback.js";
import { nearestIndex } from "./scales.js";
import { readScene } from "./scene.js";
import { createStore, readAddress, writeAddress } from "./state.js";
import { makeEvents, makeTable, spoken, stepText } from "./table.js";

const byId = (id) => /** @type {any} */ (document.getElementById(id));

async function start() {
  const scene = await readScene(JSON.parse(byId("payload").textContent));
  const count = scene.steps.length;
  const asked = readAddress(location.hash);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const store = createStore({
    index: asked.step === null ? count - 1 : nearestIndex(scene.steps, asked.step),
    playing: false,
    speed: 1,
    view: asked.view ?? scene.view,
    theme: asked.theme ?? (dark ? "dark" : "light"),
    hidden: asked.hidden,
  });
  const timeline = makeTimeline(scene);
  const playback = makePlayback(store, timeline, count);
  const moveToStep = (step) => playback.moveTo(nearestIndex(scene.steps, step));
  const redraw = makeRedraw(() => drawMoving());
  const charts = makeCharts(byId("charts"), scene, playback.moveTo);
  const picture = makePicture(byId("picture"), scene, store, redraw);
  const table = makeTable(byId("table"), scene);
  makeEvents(byId("events"), scene, moveToStep);
  const ruleKeys = makeRules(scene, store);
  const legendKeys = makeLegend(scene);
  const say = makeSpeaker(byId("live"));

  function drawStill() {
    const colors = pageColors();
    charts.drawLines(store.get().hidden, colors);
    table.drawKeys();
    ruleKeys.forEach((canvas, number) => drawKey(canvas, scene.series[number]));
    legendKeys.forEach(({ canvas, kind }) => {
      drawCritical(prepare(canvas).context, kind, 8, 8, colors.ink, colors.ground);
    });
  }
  function drawMoving() {
    const state = store.get();
    picture.draw(state);
    charts.drawCursor(state.index, state.hidden, pageColors());
    table.show(state);
    showControls(scene, timeline, state);
  }
  store.subscribe((state, change) => {
    document.documentElement.dataset.theme = state.theme;
    if ("hidden" in change || "theme" in change) redraw(drawStill);
    redraw();
    if (state.playing) return;
    say(() => spoken(scene, state));
    history.replaceState(null, "", writeAddress(state, scene.steps[state.index]));
  });
  new ResizeObserver(() => redraw(drawStill)).observe(byId("player"));
  connect(scene, store, { playback, timeline, picture, moveToStep });

  document.documentElement.dataset.theme = store.get().theme;
  byId("step").max = String(scene.steps[count - 1]);
  drawStill();
  drawMoving();
  byId("player").dataset.ready = "true";
}

/** At most one drawing a frame; what is asked for meanwhile is drawn with it. */
function makeRedraw(drawMoving) {
  const before = new Set();
  let waiting = false;
  return (still) => {
    if (still) before.add(still);
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const draw of before) draw();
      before.clear();
      drawMoving();
    });
  };
}

function makeRules(scene, store) {
  return scene.series.map(({ label }, number) => {
    const button = document.createElement("button");
    const [canvas, key] = [document.createElement("canvas"), document.createElement("kbd")];
    button.type = "button";
    button.dataset.rule = String(number);
    canvas.setAttribute("aria-hidden", "true");
    key.textContent = String(number + 1);
    button.append(canvas, label, key);
    button.addEventListener("click", () => toggleRule(store, number));
    byId("rules").append(button);
    return canvas;
  });
}

function toggleRule(store, number) {
  const hidden = new Set(store.get().hidden);
  if (!hidden.delete(number)) hidden.add(number);
  store.set({ hidden });
}

function makeLegend(scene) {
  return scene.criticalKinds.map(({ kind, text }) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    item.append(canvas, text);
    byId("legend").append(item);
    return { canvas, kind };
  });
}

/** Say a sentence once the cursor has rested. */
function makeSpeaker(live) {
  let timer = 0;
  return (sentence) => {
    clearTimeout(timer);
    timer = setTimeout(() => (live.textContent = sentence()), 400);
  };
}

function showControls(scene, timeline, state) {
  const step = scene.steps[state.index];
  byId("player").dataset.step = String(step);
  byId("scrub").value = String(timeline.at(state.index));
  byId("scrub").setAttribute("aria-valuetext", stepText(scene, state.index));
  if (document.activeElement !== byId("step")) byId("step").value = String(step);
  byId("player").dataset.playing = String(state.playing);
  byId("play").setAttribute("aria-label", state.playing ? scene.texts.page_pause : scene.texts.page_play);
  byId("view-contour").setAttribute("aria-pressed", String(state.view === "contour"));
  byId("view-3d").setAttribute("aria-pressed", String(state.view === "3d"));
  document.querySelectorAll("#rules button").forEach((button, number) => {
    button.setAttribute("aria-pressed", String(!state.hidden.has(number)));
  });
}

function connect(scene, store, { playback, timeline, picture, moveToStep }) {
  const last = scene.steps.length - 1;
  const actions = {
    toggle: playback.toggle,
    step: (by) => playback.moveTo(store.get().index + by),
    first: () => playback.moveTo(0),
    last: () => playback.moveTo(last),
    zoom: picture.zoom,
    movePicture: picture.move,
    resetPicture: picture.reset,
    toggleRule: (number) => number < scene.series.length && toggleRule(store, number),
    help: () => {
      byId("help-text").hidden = !byId("help-text").hidden;
      byId("help").setAttribute("aria-expanded", String(!byId("help-text").hidden));
    },
  };
  const click = (id, action) => byId(id).addEventListener("click", action);
  click("first", actions.first);
  click("back", () => actions.step(-1));
  click("play", actions.toggle);
  click("forward", () => actions.step(1));
  click("last", actions.last);
  click("zoom-in", () => actions.zoom(1.25));
  click("zoom-out", () => actions.zoom(0.8));
  click("zoom-reset", actions.resetPicture);
  click("view-contour", () => store.set({ view: "contour" }));
  click("view-3d", () => store.set({ view: "3d" }));
  click("theme", () => store.set({ theme: store.get().theme === "dark" ? "light" : "dark" }));
  click("help", actions.help);
  byId("scrub").addEventListener("input", (event) => playback.moveTo(timeline.indexAt(Number(event.target.value))));
  byId("step").addEventListener("change", (event) => moveToStep(Number(event.target.value)));
  byId("speed").addEventListener("change", (event) => playback.setSpeed(Number(event.target.value)));
  listenToKeys({ picture: byId("picture"), actions });
}

start().catch((error) => {
  byId("failure").hidden = false;
  throw error;
});
