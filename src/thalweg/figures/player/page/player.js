// @ts-check
// A player: the large picture, charts, table, events and the controls over them, all at one cursor. What it plays can
// be replaced while it runs; the cursor stays at its step.

import { drawCritical, pageColors, prepare } from "./canvas.js";
import { drawKey, makeCharts } from "./charts.js";
import { makeFormulas } from "./formulas.js";
import { makePicture } from "./picture.js";
import { makePlayback, makeTimeline } from "./playback.js";
import { nearestIndex } from "./scales.js";
import { createStore } from "./state.js";
import { makeEvents, makeTable, spoken, stepText } from "./table.js";

/**
 * @param {object} given
 * @param {(name: string) => any} given.part the page's element of a name, or null where this page has none
 * @param {any} given.scene
 * @param {{step: number | null, view: string | null, hidden: Set<number>, formula: number, weight: string}} given.asked
 * @param {(state: any, step: number) => void} given.rested told when the cursor rests
 * @param {(number: number) => void} [given.explain] told whose formulas are looked at
 * @param {(view: any) => void} [given.drawn] told what the first picture shows, and where things lie on it
 */
export function mountPlayer({ part, scene: first, asked, rested, explain, drawn }) {
  const scene = { ...first };
  const store = createStore({
    index: asked.step === null ? scene.steps.length - 1 : nearestIndex(scene.steps, asked.step),
    playing: false,
    speed: 1,
    view: asked.view ?? scene.view,
    hidden: asked.hidden,
    formula: asked.formula,
    weight: asked.weight,
  });
  const timeline = makeTimeline(scene);
  const playback = makePlayback(store, timeline, scene);
  const moveToStep = (step) => playback.moveTo(nearestIndex(scene.steps, step));
  const redraw = makeRedraw(() => drawMoving());
  const pictures = pictureNames(part).map((name) => makePicture(part(name), sceneOf(scene, name), store, redraw));
  const say = makeSpeaker(part("live"));
  let built = build(null);

  /** What the page has for a scene; of the one before, all that would be the same: a slider's paths change numbers, not
   *  rows, and laying out a new table takes longer than the paths do. */
  function build(before) {
    part("events")?.replaceChildren();
    if (part("events")) makeEvents(part("events"), scene, moveToStep);
    part("step").max = String(scene.steps[scene.steps.length - 1]);
    const kept = before?.charts.renew();
    if (!kept) part("charts").replaceChildren();
    const charts = kept ? before.charts : makeCharts(part("charts"), scene, playback.moveTo);
    const labels = scene.series.map(({ label }) => label);
    const rows = JSON.stringify([labels, scene.table, scene.criticalKinds]);
    if (rows === before?.rows) return { ...before, charts };
    for (const name of ["table", "optimizers", "legend"]) part(name)?.replaceChildren();
    return {
      rows,
      charts,
      table: makeTable(part("table"), scene),
      showFormulas: part("formulas") ? makeFormulas(part("formulas"), scene, store, explain ?? (() => {})) : () => {},
      optimizerKeys: makeOptimizers(part("optimizers"), scene, store),
      legendKeys: part("legend") ? makeLegend(part("legend"), scene) : [],
    };
  }
  function drawStill() {
    const colors = pageColors();
    const { index, hidden } = store.get();
    built.charts.drawLines(hidden, colors);
    built.charts.drawCursor(index, hidden, colors); // lines have new scales
    built.table.drawKeys();
    built.optimizerKeys.forEach(({ canvas }, number) => drawKey(canvas, scene.series[number]));
    built.legendKeys.forEach(({ canvas, kind }) => {
      drawCritical(prepare(canvas).context, kind, 8, 8, colors.ink, colors.background);
    });
  }
  function drawMoving() {
    if (!part("player").offsetParent) return; // its tab is not shown
    const state = store.get();
    const views = pictures.map((picture) => picture.draw(state));
    drawn?.(views[0]);
    built.charts.drawCursor(state.index, state.hidden, pageColors());
    built.table.show(state);
    built.showFormulas(state);
    showControls(part, scene, timeline, built.optimizerKeys, state);
  }
  store.subscribe((state, change) => {
    if ("hidden" in change) redraw(drawStill);
    redraw();
    if (state.playing) return;
    say(() => spoken(scene, state));
    rested(state, scene.steps[state.index]);
  });
  const home = part("player");
  new ResizeObserver((_, observer) => (home.isConnected ? redraw(drawStill) : observer.disconnect())).observe(home);
  const actions = connect(part, scene, store, { playback, timeline, pictures, moveToStep });
  drawStill();
  drawMoving();
  part("player").dataset.ready = "true";
  return {
    store,
    actions,
    moveToStep,
    /** As an address says; what it does not say is as at first: the end, from the scene's side, nothing hidden. */
    stand({ step, view, hidden, formula, weight }) {
      const index = step === null ? scene.steps.length - 1 : nearestIndex(scene.steps, step);
      const wanted = { index, view: view ?? scene.view, hidden, formula, weight, playing: false };
      const now = store.get();
      const isHidden = String([...hidden]) === String([...now.hidden]);
      const same = isHidden && ["index", "view", "formula", "weight"].every((name) => wanted[name] === now[name]);
      if (!same || now.playing) store.set(wanted);
    },
    /** A path is about to be taken out: those behind it move up, and so does what is hidden of them. */
    forget(number) {
      const kept = [...store.get().hidden].filter((one) => one !== number);
      const { formula } = store.get();
      store.set({
        hidden: new Set(kept.map((one) => (one > number ? one - 1 : one))),
        formula: formula > number ? formula - 1 : formula,
      });
    },
    /** Everything again, in the colors and sizes of now. */
    refresh: () => redraw(drawStill),
    /** Play something else; a cursor that stood at the end stays at the end. */
    replace(next) {
      const state = store.get();
      const step = scene.steps[state.index];
      const atEnd = state.index === scene.steps.length - 1;
      Object.assign(scene, next);
      timeline.measure();
      pictures.forEach((picture, number) => picture.show(sceneOf(scene, pictureNames(part)[number])));
      built = build(built);
      const index = atEnd && !state.playing ? scene.steps.length - 1 : nearestIndex(scene.steps, step);
      const hidden = new Set([...state.hidden].filter((number) => number < scene.series.length));
      redraw(drawStill);
      store.set({ index, hidden });
    },
  };
}

/** One picture, or two side by side. */
function pictureNames(part) {
  return ["picture", "picture-2"].filter((name) => part(name));
}

/** What one picture shows: all of the scene, or, of two, each its own background with its own trace. */
function sceneOf(scene, name) {
  return scene.backgrounds ? scene.backgrounds[name === "picture" ? 0 : 1] : scene;
}

/** At most one drawing a frame; what is asked for meanwhile is drawn with it. What moves comes first: the paths are
 *  what a hand on a slider looks at, and the charts' lines, which take longest, follow in the next frame. */
function makeRedraw(drawMoving) {
  const before = new Set();
  let waiting = false;
  return (still) => {
    if (still) before.add(still);
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const later = [...before];
      before.clear();
      drawMoving();
      if (later.length) requestAnimationFrame(() => later.forEach((draw) => draw()));
    });
  };
}

function makeOptimizers(home, scene, store) {
  return scene.series.map(({ label }, number) => {
    const button = document.createElement("button");
    const [canvas, key] = [document.createElement("canvas"), document.createElement("kbd")];
    button.type = "button";
    button.dataset.optimizer = String(number);
    canvas.setAttribute("aria-hidden", "true");
    key.textContent = String(number + 1);
    button.append(canvas, label, key);
    button.addEventListener("click", () => toggleOptimizer(store, number));
    home.append(button);
    return { canvas, button };
  });
}

function toggleOptimizer(store, number) {
  const hidden = new Set(store.get().hidden);
  if (!hidden.delete(number)) hidden.add(number);
  store.set({ hidden });
}

function makeLegend(home, scene) {
  return scene.criticalKinds.map(({ kind, text }) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    item.append(canvas, text);
    home.append(item);
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

function showControls(part, scene, timeline, optimizerKeys, state) {
  const step = scene.steps[state.index];
  part("player").dataset.step = String(step);
  part("scrub").value = String(timeline.at(state.index));
  part("scrub").setAttribute("aria-valuetext", stepText(scene, state.index));
  if (document.activeElement !== part("step")) part("step").value = String(step);
  part("player").dataset.playing = String(state.playing);
  part("play").setAttribute("aria-label", state.playing ? scene.texts.page_pause : scene.texts.page_play);
  part("view-contour").setAttribute("aria-pressed", String(state.view === "contour"));
  part("view-3d").setAttribute("aria-pressed", String(state.view === "3d"));
  optimizerKeys.forEach(({ button }, number) => button.setAttribute("aria-pressed", String(!state.hidden.has(number))));
}

function connect(part, scene, store, { playback, timeline, pictures, moveToStep }) {
  const each = (name) => (...given) => pictures.forEach((picture) => picture[name](...given));
  const actions = {
    toggle: playback.toggle,
    step: (by) => playback.moveTo(store.get().index + by),
    first: () => playback.moveTo(0),
    last: () => playback.moveTo(scene.steps.length - 1),
    zoom: each("zoom"),
    movePicture: each("move"),
    resetPicture: each("reset"),
    toggleOptimizer: (number) => number < scene.series.length && toggleOptimizer(store, number),
  };
  const click = (id, action) => part(id).addEventListener("click", action);
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
  part("scrub").addEventListener("input", (event) => playback.moveTo(timeline.indexAt(Number(event.target.value))));
  part("step").addEventListener("change", (event) => moveToStep(Number(event.target.value)));
  part("speed").addEventListener("change", (event) => playback.setSpeed(Number(event.target.value)));
  return actions;
}
