// @ts-check
// Histories of several runs over one another, by uPlot: every row, or of a long history the
// lowest and highest values of each block, and more of a part that is zoomed into. Each chart has a keyboard cursor, which
// screen readers speak, and a table. A run has one line in a chart, or one for each process of its training.

import { getFrame } from "./api.js";
import { changesOf, markChanges } from "./curvechanges.js";
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
const NAMED = 16; // lines, at most, for a legend: of more, the cursor and the table tell

export const PANELS = [
  { id: "loss", stream: "steps", column: "loss", log: true, say: short },
  { id: "gradient", stream: "steps", column: "gradient_norm", log: true, say: short },
  { id: "map", stream: "epochs", column: "valid_map", log: false, say: exactPercent },
  { id: "accuracy", stream: "epochs", column: "valid_accuracy", log: false, say: exactPercent },
  { id: "top5", stream: "epochs", column: "valid_top5", log: false, say: exactPercent },
  { id: "train", stream: "epochs", column: "train_accuracy", log: false, say: exactPercent },
  { id: "valid", stream: "epochs", column: "valid_loss", log: false, say: short },
  { id: "lr", stream: "steps", column: "lr", log: false, say: short },
  { id: "processes", stream: "processes", column: "photos_per_second", log: false, say: whole },
];

const SHARES = ["accuracy", "train"]; // of photos with all labels right, where they may have several

export const colorOf = (number) => COLORS[document.documentElement.dataset.theme === "dark" ? "dark" : "light"][number % 8];

/**
 * @param {HTMLElement} home
 * @param {(run: string) => Record<string, any>} historyOf
 * @param {(run: string) => boolean} hasRate whether the steps of a run have a rate: those of a fit have lengths
 * @param {(run: string) => boolean} isSeveral whether photos of a run have several labels
 * @param {(run: string) => boolean} hasTop5 whether the history of a run has the top-5 accuracy
 */
export function makeCurves(home, historyOf, hasRate, isSeveral, hasTop5) {
  let charts = [];
  let runs = [];
  let several = false;
  const waiting = new Set();
  let asked = false;
  let free = 0;

  function build(next) {
    runs = next;
    for (const chart of charts) chart.destroy();
    home.replaceChildren();
    several = runs.some(isSeveral);
    const needs = { lr: hasRate, map: isSeveral, top5: hasTop5 };
    const shown = PANELS.filter((panel) => !needs[panel.id] || runs.some(needs[panel.id]));
    charts = runs.length ? shown.map(chartOf) : [];
    home.dataset.rows = "";
  }
  const chartOf = (panel) => makeChart(home, panel, runs, (run) => readable(panel, run), several);
  /** Draw the processes anew where there are others than before; theirs is the last chart. */
  function renew() {
    const last = charts.length - 1;
    if (last < 0 || !charts[last].isOutdated()) return;
    charts[last].destroy();
    charts[last] = chartOf(charts[last].panel);
  }
  /** The history of a run as a chart may draw it. */
  function readable(panel, run) {
    const history = historyOf(run);
    if (panel.id !== "lr" || hasRate(run)) return history;
    const { steps } = history;
    const empty = () => Array(steps.length).fill(null);
    return { ...history, steps: { length: steps.length, per: 1, get: (name) => (name === "lr" ? empty() : steps.get(name)) } };
  }
  function flush() {
    const began = performance.now();
    asked = false;
    if (!home.offsetParent) return; // on another tab: drawn when this one is shown
    if (waiting.has("processes")) renew();
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
  const coarse = make("p", { class: "note" });
  const place = region("chart-home", t("curve_keys", { title }));
  const rows = region("scroll", title);
  const details = make("details", {}, make("summary", {}, t("curve_table")), rows);
  const figure = make("div", { class: "curve", data: { panel: panel.id } }, make("h3", {}, title), place, coarse, note, details);
  home.append(figure);
  const lines = linesOf(panel, runs, historyOf);
  figure.hidden = !lines.length;
  let data = joined(lines);
  const changes = () => (runs.length === 1 ? changesOf(historyOf(runs[0]).steps) : []);
  // @ts-ignore - uPlot is a script of its own
  const plot = new uPlot(optionsOf(panel, lines, place, changes, () => setTimeout(refine)), data, place);
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
    if (within) return; // a part is looked at
    sayDetail(runs.map((run) => historyOf(run)[panel.stream].per));
    data = joined(lines);
    figure.dataset.points = String(data[0].length);
    if (details.open) fillTable();
    isStale = !isSeen && drawn > 0; // out of sight: drawn when it is scrolled to
    if (isStale) return;
    drawn = data[0].length;
    plot.setData(data);
  }

  const sayDetail = (pers) => (coarse.textContent = Math.max(...pers) > 1 ? t("curve_coarse", { per: whole(Math.max(...pers)) }) : "");
  let within = ""; // the part that is drawn in more detail
  /** Draw what is zoomed into in more detail, where only extremes are known. */
  async function refine() {
    const steps = runs.map((run) => historyOf(run)[panel.stream]);
    const { min, max } = plot.scales.x;
    const isPart = min > data[0][0] || max < data[0].at(-1);
    const part = isPart && steps.some(({ per }) => per > 1) ? `${Math.floor(min)} ${Math.ceil(max)}` : "";
    if (part === within) return;
    within = part;
    if (!part) return update();
    const [low, high] = part.split(" ");
    const asked = steps.map(({ per }, at) => (per > 1 ? getFrame("rows", { run: runs[at], stream: panel.stream, low, high }) : null));
    let found;
    try {
      found = await Promise.all(asked);
    } catch (error) {
      note.textContent = error.message;
      within = ""; // later rows are drawn again
      return;
    }
    if (part !== within) return;
    data = joined(lines, found.map((frame) => frame && [frame.arrays.step, frame.arrays[panel.column]]));
    sayDetail(found.map((frame) => frame?.header.per ?? 1));
    plot.setData(data, false); // which alone draws nothing
    plot.redraw();
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
    note.textContent = sayRow(panel, data, cursor, lines, changes());
  });
  details.addEventListener("toggle", () => details.open && fillTable());
  function fillTable() {
    const count = data[0].length;
    const step = Math.max(1, Math.ceil(count / TOLD));
    const places = [...Array(Math.ceil(count / step)).keys()].map((at) => Math.max(0, count - 1 - at * step));
    const cells = places.map((at) => [whole(data[0][at]), ...data.slice(1).map((column) => panel.say(column[at]))]);
    rows.replaceChildren(
      table([t("curve_step"), ...lines.map(nameOf)], cells, { rowHeads: true, caption: title }),
      make("p", { class: "note" }, step > 1 ? t("curve_some_rows", { shown: whole(places.length), of: whole(count) }) : ""),
    );
  }
  return {
    panel,
    update,
    isOutdated: () => String(linesOf(panel, runs, historyOf).map(nameOf)) !== String(lines.map(nameOf)),
    resize: () => plot.setSize({ width: place.clientWidth, height: HEIGHT }),
    destroy() {
      seen.disconnect();
      plot.destroy();
      figure.remove();
    },
  };
}

/** What a line is called within its chart. */
const nameOf = ({ label }) => label;

/** The lines of a chart, each with its columns: one of each run, or one of each process. */
function linesOf(panel, runs, historyOf) {
  const columnsOf = (run) => ["step", panel.column].map((name) => historyOf(run)[panel.stream].get(name));
  if (panel.stream !== "processes") return runs.map((run) => ({ label: run, columns: () => columnsOf(run) }));
  return runs.flatMap((run) => {
    const processes = () => historyOf(run).processes.get("process");
    return [...new Set(processes())].sort((a, b) => a - b).map((number) => ({
      label: (runs.length > 1 ? `${run} · ` : "") + t("curve_process", { number }),
      columns: () => columnsOf(run).map((column) => column.filter((_, row) => processes()[row] === number)),
    }));
  });
}

/** Steps and values with finer ones in place of those of the same part. */
function spliced([steps, values], finerSteps, finerValues) {
  if (!finerSteps?.length) return [steps, values];
  const from = steps.findIndex((step) => step >= finerSteps[0]);
  const after = steps.findIndex((step) => step > finerSteps.at(-1));
  const to = after < 0 ? steps.length : after;
  const put = (coarse, finer) => {
    const all = new Float64Array(from + finer.length + coarse.length - to);
    all.set(coarse.subarray(0, from));
    all.set(finer, from);
    all.set(coarse.subarray(to), from + finer.length);
    return all;
  };
  return [put(steps, finerSteps), put(values, finerValues)];
}

/** One x for all: the steps of the only line, the union of several. */
function joined(lines, finer = []) {
  const tables = lines.map(({ columns }, at) => spliced(columns(), ...(finer[at] ?? [])));
  if (tables.length < 2) return tables[0] ?? [[]];
  // @ts-ignore - uPlot is a script of its own
  return uPlot.join(tables.map((columns) => columns.map((column) => Array.from(column))));
}

function optionsOf(panel, lines, place, changes, scaled) {
  const style = getComputedStyle(document.documentElement);
  const [ink, faint] = [style.getPropertyValue("--muted").trim(), style.getPropertyValue("--faint").trim()];
  const axis = { stroke: ink, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, width: 1 }, font: "12px system-ui" };
  return {
    width: place.clientWidth || 400,
    height: HEIGHT,
    padding: [null, 36, null, null], // room for half of the last step's number
    scales: { x: { time: false }, y: panel.log ? { distr: 3 } : panel.stream === "processes" ? { range: (_, low, high) => [0, 1.05 * high] } : {} },
    axes: [
      { ...axis, label: t("curve_step"), space: 90, labelSize: 18, labelFont: "12px system-ui" },
      { ...axis, size: 62, values: (_, splits) => splits.map((value) => (value === null ? "" : panel.say(value))) },
    ],
    cursor: { drag: { x: true, y: false } },
    legend: { show: lines.length <= NAMED },
    hooks: { setScale: [(_, axis) => axis === "x" && scaled()], draw: [(plot) => markChanges(plot, changes(), ink)] },
    series: [
      { label: t("curve_step"), value: (_, value) => whole(value) },
      ...lines.map(({ label }, number) => ({
        label,
        stroke: colorOf(number),
        dash: DASHES[(number + Math.floor(number / 8)) % 8],
        width: panel.stream === "epochs" ? 2 : 1,
        points: { show: panel.stream === "epochs" },
        spanGaps: true,
        value: (_, value) => panel.say(value),
      })),
    ],
  };
}

function sayRow(panel, data, at, lines, changes) {
  const values = lines.map(({ label }, number) => `${label} ${panel.say(data[number + 1][at])}`);
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
