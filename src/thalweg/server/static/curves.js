// @ts-check
// Histories of several runs over one another, by uPlot, with every row drawn. Each chart has a keyboard cursor, which
// screen readers speak, and a table.

import { make, region, table } from "./dom.js";
import { exactPercent, short, t, whole } from "./texts.js";

const COLORS = {
  light: ["#0072b2", "#c04f00", "#00805d", "#9a4f7c", "#000000", "#8a5a00", "#2a7fb3", "#6b6300"],
  dark: ["#56b4e9", "#ff8f59", "#2fc79a", "#e09cc2", "#f2f4f6", "#e69f00", "#9ad1f2", "#f0e442"],
};
const DASHES = [[], [9, 4], [3, 3], [9, 3, 3, 3], [2, 5], [12, 3, 3, 3, 3, 3], [6, 2], [4, 5]];
const HEIGHT = 250;
const REST = 60; // times the duration of a drawing, before the next: a training run keeps the processor, and of two
// threads that train, both wait for the one that is disturbed
const TOLD = 40; // rows of a table

export const PANELS = [
  { id: "loss", stream: "steps", column: "loss", log: true, say: short },
  { id: "gradient", stream: "steps", column: "gradient_norm", log: true, say: short },
  { id: "map", stream: "epochs", column: "valid_map", log: false, say: exactPercent },
  { id: "accuracy", stream: "epochs", column: "valid_accuracy", log: false, say: exactPercent },
  { id: "train", stream: "epochs", column: "train_accuracy", log: false, say: exactPercent },
  { id: "valid", stream: "epochs", column: "valid_loss", log: false, say: short },
  { id: "lr", stream: "steps", column: "lr", log: false, say: short },
];

const SHARES = ["accuracy", "train"]; // of photos with all labels right, where they may have several

export const colorOf = (number) => COLORS[document.documentElement.dataset.theme === "dark" ? "dark" : "light"][number % 8];

/**
 * @param {HTMLElement} home
 * @param {(run: string) => Record<string, any>} historyOf
 * @param {(run: string) => boolean} hasRate whether the steps of a run have a rate: those of a fit have lengths
 * @param {(run: string) => boolean} isSeveral whether photos of a run have several labels
 */
export function makeCurves(home, historyOf, hasRate, isSeveral) {
  let charts = [];
  let runs = [];
  const waiting = new Set();
  let asked = false;
  let free = 0;

  function build(next) {
    runs = next;
    for (const chart of charts) chart.destroy();
    home.replaceChildren();
    const several = runs.some(isSeveral);
    const shown = PANELS.filter((panel) => (panel.id !== "lr" || runs.some(hasRate)) && (panel.id !== "map" || several));
    charts = runs.length ? shown.map((panel) => makeChart(home, panel, runs, (run) => readable(panel, run), several)) : [];
    home.dataset.rows = "";
  }
  /** The history of a run as a chart may draw it. */
  function readable(panel, run) {
    const history = historyOf(run);
    if (panel.id !== "lr" || hasRate(run)) return history;
    const { steps } = history;
    const empty = () => Array(steps.length).fill(null);
    return { ...history, steps: { length: steps.length, get: (name) => (name === "lr" ? empty() : steps.get(name)) } };
  }
  function flush() {
    const began = performance.now();
    asked = false;
    if (!home.offsetParent) return; // on another tab: drawn when this one is shown
    for (const chart of charts) if (waiting.has(chart.panel.stream)) chart.update();
    waiting.clear();
    home.dataset.rows = String(runs.reduce((sum, run) => sum + historyOf(run).steps.length, 0));
    queueMicrotask(() => {
      // after the microtasks in which uPlot draws
      const now = performance.now();
      free = now + REST * (now - began);
    });
  }
  new ResizeObserver(() => charts.forEach((chart) => chart.resize())).observe(home);
  return {
    build,
    runs: () => runs,
    /** Rows came: draw them in the next frame, however many increments come before it. */
    update(stream) {
      waiting.add(stream);
      if (asked) return;
      asked = true;
      setTimeout(() => requestAnimationFrame(flush), Math.max(0, free - performance.now()));
    },
  };
}

function makeChart(home, panel, runs, historyOf, several) {
  const title = t(`curve_${panel.id}${several && SHARES.includes(panel.id) ? "_several" : ""}`);
  const note = make("p", { class: "note", role: "status" });
  const place = region("chart-home", t("curve_keys", { title }));
  const rows = region("scroll", title);
  const details = make("details", {}, make("summary", {}, t("curve_table")), rows);
  const figure = make("div", { class: "curve", data: { panel: panel.id } }, make("h3", {}, title), place, note, details);
  home.append(figure);
  let data = joined(panel, runs, historyOf);
  const changes = () => (runs.length === 1 ? changesOf(historyOf(runs[0]).steps) : []);
  // @ts-ignore - uPlot is a script of its own
  const plot = new uPlot(optionsOf(panel, runs, place, changes), data, place);
  plot.root.querySelector("canvas")?.setAttribute("aria-hidden", "true");
  let cursor = -1;
  let isSeen = true;
  let isStale = false;
  let drawn = 0; // rows
  const seen = new IntersectionObserver(([{ isIntersecting }]) => {
    isSeen = isIntersecting;
    if (isSeen && isStale) update();
  });
  seen.observe(place);
  function update() {
    data = joined(panel, runs, historyOf);
    figure.dataset.points = String(data[0].length);
    if (details.open) fillTable();
    isStale = !isSeen && drawn > 0; // out of sight: drawn when it is scrolled to
    if (isStale) return;
    drawn = data[0].length;
    plot.setData(data);
  }

  place.addEventListener("keydown", (event) => {
    const last = data[0].length - 1;
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -100, PageDown: 100, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined || last < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const from = cursor < 0 ? last : cursor;
    cursor = Math.min(last, Math.max(0, from + by * (event.shiftKey ? 10 : 1)));
    plot.setCursor({ left: plot.valToPos(data[0][cursor], "x"), top: plot.bbox.height / 4 });
    note.textContent = sayRow(panel, data, cursor, runs, changes());
  });
  details.addEventListener("toggle", () => details.open && fillTable());
  function fillTable() {
    const count = data[0].length;
    const step = Math.max(1, Math.ceil(count / TOLD));
    const places = [...Array(Math.ceil(count / step)).keys()].map((at) => Math.max(0, count - 1 - at * step));
    const cells = places.map((at) => [whole(data[0][at]), ...data.slice(1).map((column) => panel.say(column[at]))]);
    rows.replaceChildren(
      table([t("curve_step"), ...runs], cells, { rowHeads: true, caption: title }),
      make("p", { class: "note" }, step > 1 ? t("curve_some_rows", { shown: whole(places.length), of: whole(count) }) : ""),
    );
  }
  return {
    panel,
    update,
    resize: () => plot.setSize({ width: place.clientWidth, height: HEIGHT }),
    destroy() {
      seen.disconnect();
      plot.destroy();
    },
  };
}

/** One x for all: the run's own steps where there is one run, the union where there are several. */
function joined(panel, runs, historyOf) {
  const tables = runs.map((run) => {
    const history = historyOf(run)[panel.stream];
    return [history.get("step"), history.get(panel.column)];
  });
  if (tables.length === 1) return tables[0];
  // @ts-ignore - uPlot is a script of its own
  return uPlot.join(tables.map(([steps, values]) => [Array.from(steps), Array.from(values)]));
}

function optionsOf(panel, runs, place, changes) {
  const style = getComputedStyle(document.documentElement);
  const [ink, faint] = [style.getPropertyValue("--muted").trim(), style.getPropertyValue("--faint").trim()];
  const axis = { stroke: ink, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, width: 1 }, font: "12px system-ui" };
  return {
    width: place.clientWidth || 400,
    height: HEIGHT,
    scales: { x: { time: false }, y: panel.log ? { distr: 3 } : {} },
    axes: [
      { ...axis, label: t("curve_step"), labelSize: 18, labelFont: "12px system-ui" },
      { ...axis, size: 62, values: (_, splits) => splits.map((value) => (value === null ? "" : panel.say(value))) },
    ],
    cursor: { drag: { x: true, y: false } },
    hooks: { draw: [(plot) => markChanges(plot, changes(), ink)] },
    series: [
      { label: t("curve_step"), value: (_, value) => whole(value) },
      ...runs.map((run, number) => ({
        label: run,
        stroke: colorOf(number),
        dash: DASHES[number % 8],
        width: panel.stream === "epochs" ? 2 : 1,
        points: { show: panel.stream === "epochs" },
        spanGaps: true,
        value: (_, value) => panel.say(value),
      })),
    ],
  };
}

/** Found once for all charts. @type {WeakMap<object, {rows: number, found: {at: number, name: string}[]}>} */
const changesKnown = new WeakMap();

/** Where photos of another size begin, or mixing starts or ends: there the loss jumps, which is no learning. */
function changesOf(history) {
  const known = changesKnown.get(history);
  if (known?.rows === history.length) return known.found;
  const [steps, sizes, mixed] = ["step", "size", "mixed"].map((name) => history.get(name));
  const found = [];
  for (let row = 1; row < sizes.length; row++) {
    const at = steps[row - 1];
    if (sizes[row] !== sizes[row - 1]) found.push({ at, name: t("curve_size", { size: whole(sizes[row]) }) });
    if (mixed[row] !== mixed[row - 1]) found.push({ at, name: t(mixed[row] ? "curve_mixed" : "curve_unmixed") });
  }
  changesKnown.set(history, { rows: history.length, found });
  return found;
}

/** A dotted line with its name at the top, on two levels in turn, and left of the line at the right edge. */
function markChanges(plot, changes, ink) {
  const { ctx, bbox } = plot;
  // @ts-ignore - uPlot is a script of its own
  const pixels = uPlot.pxRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.lineWidth = pixels;
  ctx.setLineDash([pixels, 3 * pixels]);
  ctx.font = `${11 * pixels}px system-ui`;
  ctx.textBaseline = "top";
  for (const [number, { at, name }] of changes.entries()) {
    const x = plot.valToPos(at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const gap = 4 * pixels;
    const fits = x + gap + ctx.measureText(name).width < bbox.left + bbox.width;
    ctx.textAlign = fits ? "left" : "right";
    ctx.fillText(name, fits ? x + gap : x - gap, bbox.top + gap + 13 * pixels * (number % 2));
  }
  plot.root.dataset.changes = changes.map(({ at, name }) => `${at} ${name}`).join("; ");
  ctx.restore();
}

function sayRow(panel, data, at, runs, changes) {
  const values = runs.map((run, number) => `${run} ${panel.say(data[number + 1][at])}`);
  const here = changes.filter((change) => change.at === data[0][at]).map((change) => change.name);
  return `${t("curve_step")} ${whole(data[0][at])}: ${[...values, ...here].join(", ")}`;
}

/** uPlot, when the first chart is wanted. */
export function loadCharts() {
  if ("uPlot" in window) return Promise.resolve();
  document.head.append(make("link", { rel: "stylesheet", href: "/static/vendor/uPlot.min.css" }));
  return new Promise((done, failed) => {
    const script = make("script", { src: "/static/vendor/uPlot.iife.min.js" });
    script.addEventListener("load", done);
    script.addEventListener("error", () => failed(new Error(t("js_unreachable"))));
    document.head.append(script);
  });
}
