// @ts-check
// Activations and gradients through the depth for several first weights: measured as marks, in closed form as lines.

import { getFrame } from "./api.js";
import { button, make, region, whileShown } from "./dom.js";
import { short, t } from "./texts.js";
import { pageColors } from "../player/canvas.js";
import { drawKey, makeCharts } from "../player/charts.js";
import { makeTable } from "../player/table.js";

const PARTS = ["activations", "gradients"];

/** @param {HTMLElement} home @param {any} page */
export async function mountView(home, page) {
  const state = { normalized: false, index: 0, hidden: new Set() };
  let scene = null;
  let charts = null;
  let table = null;
  const chartHome = make("div", { class: "charts view-charts" });
  const tableHome = region("scroll", t("view_numbers"));
  const kinds = make("div", { class: "optimizers", role: "group", "aria-label": t("view_kinds") });
  const note = make("p", { class: "note", "aria-live": "polite" });
  const fault = make("p", { class: "error", role: "alert" });
  const normalized = make("input", { type: "checkbox", on: { change: () => ((state.normalized = normalized.checked), lay()) } });
  const layer = make("input", { type: "range", class: "layer", min: 1, step: 1, on: { input: () => moveTo(Number(layer.value) - 1) } });
  const at = make("output");
  const fields = {};
  const form = make("form", { class: "bar", on: { submit: (event) => event.preventDefault() } });
  home.replaceChildren(
    form, kinds, chartHome,
    make("div", { class: "bar" }, make("label", { class: "inline" }, t("view_layer"), " ", layer, " ", at)),
    tableHome, note, fault,
  );

  async function load() {
    const asked = Object.fromEntries(Object.entries(fields).map(([name, input]) => [name, input.value]));
    note.textContent = t("js_working");
    try {
      const { header, arrays } = await getFrame("lesson/view", { name: "initialization", ...asked });
      fault.textContent = "";
      fill(header, arrays);
    } catch (error) {
      fault.textContent = error.message;
      note.textContent = "";
    }
  }
  function fill(header, arrays) {
    if (!form.children.length) {
      for (const [name, [least, most]] of Object.entries(header.limits)) {
        fields[name] = make("input", { type: "number", min: least, max: most, step: 1, value: header.settings[name], on: { change: load } });
        form.append(make("label", {}, t(`view_${name}`), " ", fields[name]));
      }
      form.append(make("label", { class: "inline" }, normalized, " ", t("view_normalized")));
    }
    const series = header.series.map((one, number) => ({ ...one, columns: columnsOf(arrays, number) }));
    scene = { header, series, steps: arrays.steps, stepAxis: { kind: "linear", name: header.layer }, texts: { ...header.texts, page_optimizer: t("view_kind") }, panels: [], table: [] };
    layer.max = String(header.settings.depth);
    state.index = Math.min(state.index || header.settings.depth - 1, header.settings.depth - 1);
    note.textContent = t("view_agrees", { error: short(header.error) });
    lay();
  }
  function lay() {
    const which = state.normalized ? "normed" : "plain";
    const { header } = scene;
    scene.panels = PARTS.map((part) => {
      const title = header.titles[`${which}_${part}`];
      return { column: `${which}_${part}_closed`, marks: `${which}_${part}`, title, summary: `${title}. ${header.alt}`, kind: "log", range: header.ranges[`${which}_${part}`] };
    });
    scene.table = header.columns.map(({ column, title }) => ({ column: `${which}_${column}`, title }));
    if (!charts?.renew()) {
      chartHome.replaceChildren();
      charts = makeCharts(chartHome, { get steps() { return scene.steps; }, get stepAxis() { return scene.stepAxis; }, get series() { return scene.series; }, get panels() { return scene.panels; } }, moveTo);
    }
    const element = make("table");
    table = makeTable(element, scene);
    tableHome.replaceChildren(element);
    kinds.replaceChildren(...scene.series.map(keyOf));
    draw();
  }
  function keyOf(series, number) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    const toggle = () => {
      if (!state.hidden.delete(number)) state.hidden.add(number);
      lay();
      kinds.children[number].focus();
    };
    const key = button("", toggle, { "aria-pressed": String(!state.hidden.has(number)) });
    key.append(canvas, series.label);
    return key;
  }
  function moveTo(index) {
    state.index = Math.min(scene.steps.length - 1, Math.max(0, index));
    drawCursor();
  }
  function draw() {
    if (!home.isConnected) return;
    charts.drawLines(state.hidden, pageColors());
    table.drawKeys();
    [...kinds.querySelectorAll("canvas")].forEach((canvas, number) => drawKey(canvas, scene.series[number]));
    drawCursor();
  }
  function drawCursor() {
    charts.drawCursor(state.index, state.hidden, pageColors());
    table.show(state);
    layer.value = String(state.index + 1);
    at.textContent = `${state.index + 1} / ${scene.steps.length}`;
  }
  await load();
  if (home.isConnected) whileShown(page, home, () => scene && draw());
}

function columnsOf(arrays, number) {
  const mine = Object.entries(arrays).filter(([name]) => name.startsWith(`${number}.`));
  return Object.fromEntries(mine.map(([name, values]) => [name.slice(`${number}.`.length), values]));
}
