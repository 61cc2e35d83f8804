// @ts-check
// All runs in a table: sorted by any column, filtered by any word, chosen for the charts.

import { byId, make } from "./dom.js";
import { duration, percent, short, t, whole } from "./texts.js";

const COLUMNS = [
  { id: "run", text: true },
  { id: "state", text: true, show: (run) => t(`state_${run.state}`) },
  { id: "model", text: true },
  { id: "optimizer", text: true },
  { id: "lr", show: (run) => short(run.lr) },
  { id: "schedule", text: true },
  { id: "epoch", show: (run) => short(run.epoch) },
  { id: "steps", show: (run) => whole(run.steps) },
  { id: "last_loss", show: (run) => short(run.last_loss) },
  { id: "best", show: (run) => percent(run.best) },
  { id: "test", show: (run) => percent(run.test) },
  { id: "seconds", show: (run) => duration(run.seconds) },
];
const MOST = 8;

/**
 * @param {{choose: (runs: string[]) => void, open: (run: string) => void}} told
 */
export function makeRunTable(told) {
  let runs = [];
  let sort = { id: "changed", down: true };
  let chosen = [];
  let opened = "";
  byId("runs-filter").addEventListener("input", draw);

  const head = make("tr", {}, make("th", { scope: "col" }, t("runs_chart")), ...COLUMNS.map(heading));
  const body = make("tbody");
  byId("runs-table").append(make("thead", {}, head), body);

  function heading({ id, text }) {
    const press = make("button", { type: "button", on: { click: () => by(id) } }, t(`column_${id}`));
    return make("th", { scope: "col", class: text ? "text" : null, data: { column: id } }, press);
  }
  function by(id) {
    sort = { id, down: sort.id === id ? !sort.down : id !== "run" };
    draw();
  }
  function shown() {
    const words = byId("runs-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = runs.filter((run) => {
      const text = COLUMNS.map((column) => cellText(column, run)).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const key = (run) => run[sort.id] ?? (typeof run[sort.id] === "number" ? -Infinity : "");
    const order = (one, other) => (key(one) < key(other) ? -1 : key(one) > key(other) ? 1 : 0);
    return found.sort((one, other) => (sort.down ? -order(one, other) : order(one, other)));
  }
  function draw() {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : null;
    for (const cell of head.querySelectorAll("th[data-column]")) {
      const mine = cell.dataset.column === sort.id;
      if (mine) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    body.replaceChildren(...shown().map(rowOf));
    if (focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    byId("runs-empty").hidden = runs.length > 0;
  }
  function rowOf(run) {
    const box = make("input", {
      ...{ type: "checkbox", "aria-label": t("runs_choose", { run: run.run }), data: { key: `box ${run.run}` } },
      on: { change: (event) => choose(run.run, event.target.checked) },
    });
    box.checked = chosen.includes(run.run);
    const cells = COLUMNS.map((column) => {
      if (column.id === "run") return make("th", { scope: "row" }, nameOf(run));
      const training = column.id === "state" && run.state === "training";
      return make("td", { class: [column.text && "text", training && "training"].filter(Boolean).join(" ") || null }, cellText(column, run));
    });
    return make("tr", { "aria-selected": run.run === opened ? "true" : null, data: { run: run.run } }, make("td", {}, box), ...cells);
  }
  function nameOf(run) {
    const attributes = { type: "button", class: "name", title: run.broken ?? null, data: { key: `name ${run.run}` } };
    return make("button", { ...attributes, on: { click: () => told.open(run.run) } }, run.run);
  }
  function choose(name, wanted) {
    chosen = wanted ? [...chosen, name].slice(-MOST) : chosen.filter((one) => one !== name);
    draw();
    told.choose(chosen);
  }
  return {
    show(next) {
      runs = next;
      draw();
    },
    /** Mark without telling. */
    mark(names, open) {
      chosen = names;
      opened = open;
      draw();
    },
  };
}

function cellText(column, run) {
  return column.show ? column.show(run) : String(run[column.id] ?? "–");
}
