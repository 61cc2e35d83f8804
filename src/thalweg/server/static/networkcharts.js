// @ts-check
// What is told of a network in numbers: loss, gradient norm and sharpness over the steps, and a table of now.

import { make, table } from "./dom.js";
import { longest } from "./networkclock.js";
import { percent, t } from "./texts.js";
import { drawKey, makeCharts } from "../player/charts.js";
import { readingText, tickText } from "../player/scales.js";

const CHARTS = { loss: ["loss", "held_loss"], gradient: ["gradient_norm"], sharpness: ["sharpness", "threshold"] };
const TOLD = ["loss", "held_loss", "accuracy", "held_accuracy", "gradient_norm", "rate", "sharpness", "threshold"];
const COLORS = [
  { light: "#0072b2", dark: "#56b4e9" },
  { light: "#c04f00", dark: "#ff8f59" },
];
const OFTEN = 6; // frames between two drawings of the lines; the cursor moves with every frame
const DECADES = [-8, 4]; // of the bars, as powers of ten

/**
 * @param {HTMLElement} home
 * @param {string[]} names of the settings that are compared; one, without a name, where there is only one
 * @param {(index: number) => void} moveTo
 */
export function makeNetworkCharts(home, names, moveTo) {
  home.replaceChildren();
  const marks = ["circle", "square"];
  const charts = Object.entries(CHARTS).map(([id, measures]) => {
    const series = names.flatMap((name, number) =>
      measures.map((measure, second) => ({
        measure, number, columns: {},
        label: [name, t(`network_${measure}`)].filter(Boolean).join(" · "),
        color: COLORS[number], mark: marks[number], dash: second ? [3, 3] : [],
      })),
    );
    const panel = { title: t(`network_chart_${id}`), summary: t(`network_chart_${id}`), column: "value", kind: "log", range: [1e-3, 1] };
    const scene = { steps: new Float64Array([0, 1]), stepAxis: { kind: "linear", name: t("curve_step") }, panels: [panel], series };
    const place = make("div", { class: "chart-place" });
    const keys = series.map(() => make("canvas", { "aria-hidden": "true" }));
    home.append(place);
    const drawn = makeCharts(place, scene, moveTo);
    place.append(make("ul", { class: "swatches" }, ...series.map(({ label }, at) => make("li", {}, keys[at], label))));
    return { scene, drawn, keys };
  });
  let frames = 0;
  /** Lines up to the farthest frame that was seen, and the cursor. */
  function draw(sources, index, farthest, colors, wholly) {
    frames += 1;
    const known = longest(sources).columns.get("step");
    for (const { scene, drawn, keys } of charts) {
      if (wholly || frames % OFTEN === 1) {
        scene.steps = known.subarray(0, farthest + 1);
        for (const one of scene.series) one.columns.value = filled(sources[one.number].columns.get(one.measure).subarray(0, farthest + 1));
        scene.panels[0].range = rangeOf(scene.series);
        drawn.drawLines(new Set(), colors);
        if (wholly) keys.forEach((canvas, at) => drawKey(canvas, scene.series[at]));
      }
      drawn.drawCursor(Math.min(index, scene.steps.length - 1), new Set(), colors);
    }
  }
  return { draw };
}

/** What is measured every so many steps holds until it is measured again. */
function filled(values) {
  let last = Number.NaN;
  return values.map((value) => (last = Number.isNaN(value) ? last : value));
}

function rangeOf(series) {
  let [low, high] = [Infinity, 0];
  for (const { columns } of series) {
    for (const value of columns.value) {
      if (value > 0 && value < Infinity) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
  }
  return high ? [Math.max(low / 1.5, high / 1e12), high * 1.5] : [1e-3, 1];
}

/** The numbers at the cursor, a row for each of the settings. */
export function makeNumbers(home, names) {
  const columns = TOLD.map((name) => t(`network_${name}`));
  const shown = table([t("network_setting"), ...columns], names.map((name) => [name || t("tab_network"), ...columns.map(() => "")]), { rowHeads: true, caption: t("network_numbers") });
  home.replaceChildren(shown);
  const cells = [...shown.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")]);
  return (sources, index) => {
    sources.forEach(({ columns: known }, number) => {
      TOLD.forEach((name, at) => {
        const column = known.get(name);
        let place = Math.min(index, known.length - 1);
        if (name === "sharpness" || name === "threshold") while (place > 0 && Number.isNaN(column[place])) place -= 1;
        cells[number][at].textContent = readingText(Number(column[place].toPrecision(4)));
      });
    });
  };
}

/** Each layer's gradient norm and update ratio as bars on one log axis, and its share of dead and saturated units. */
export function makeLayers(home, header) {
  const [low, high] = DECADES;
  const ticks = [-8, -4, 0].map((power) => {
    const tick = make("span", {}, tickText(10 ** power));
    tick.style.left = `${(100 * (power - low)) / (high - low)}%`;
    return tick;
  });
  const axis = () => make("div", { class: "log-ticks", "aria-hidden": "true" }, ...ticks.map((tick) => tick.cloneNode(true)));
  const heads = ["layer", "gradient_norm", "update_ratio", "dead", "saturated"].map((name) => make("th", { scope: "col" }, t(`network_${name}`)));
  heads.slice(1, 3).forEach((head) => head.append(axis()));
  const rows = header.layers.map(({ label }) => {
    const bars = [0, 1].map(() => ({ fill: make("span"), text: make("output") }));
    const shares = [make("td"), make("td")];
    const cells = bars.map(({ fill, text }) => make("td", {}, text, make("div", { class: "track log", "aria-hidden": "true" }, fill)));
    return { element: make("tr", {}, make("th", { scope: "row" }, label), ...cells, ...shares), bars, shares };
  });
  home.replaceChildren(
    make("table", { class: "net-layers" }, make("caption", { class: "unseen" }, t("network_layers")), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows.map(({ element }) => element))),
  );
  return ({ arrays, at }) => {
    const [layers, hidden] = [rows.length, rows.length - 1];
    rows.forEach(({ bars, shares }, row) => {
      [arrays.layer_gradient, arrays.layer_update].forEach((values, number) => {
        const value = values[at * layers + row];
        const place = (Math.log10(value) - low) / (high - low);
        bars[number].fill.style.width = `${value > 0 ? 100 * Math.min(1, Math.max(0, place)) : 0}%`;
        bars[number].text.textContent = readingText(Number(value.toPrecision(3)));
      });
      if (row === hidden) return;
      [arrays.layer_dead, arrays.layer_saturated].forEach((values, number) => {
        const share = values[at * hidden + row];
        shares[number].textContent = percent(share);
        shares[number].classList.toggle("quiet", !(share > 0));
      });
    });
  };
}
