// @ts-check
// All runs in a table: sorted by a column, filtered by words, chosen for the charts. A damaged run says what is wrong.

import { byId, make } from "./dom.js";
import { duration, scored, short, t, whole } from "./texts.js";

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
  { id: "best", show: (run) => scored(run, run.best) },
  { id: "test", show: (run) => scored(run, run.test) },
  { id: "seconds", show: (run) => duration(run.seconds) },
];
const MOST = 8;

/**
 * @param {{choose: (runs: string[]) => void, open: (run: string) => void}} listener
 */
export function makeRunTable(listener) {
  let runs = [];
  let sort = { id: "changed", down: true };
  let chosen = [];
  let opened = "";
  /** @type {Map<string, any>} */
  const rows = new Map();
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
    const key = (run) => run[sort.id] ?? null;
    return found.sort((one, other) => {
      if (key(one) === null || key(other) === null) return Number(key(one) === null) - Number(key(other) === null); // last
      const order = key(one) < key(other) ? -1 : Number(key(one) > key(other));
      return sort.down ? -order : order;
    });
  }
  function draw() {
    for (const cell of head.querySelectorAll("th[data-column]")) {
      const mine = cell.dataset.column === sort.id;
      if (mine) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    const wanted = shown().map(rowOf);
    const same = wanted.length === body.children.length && wanted.every((row, at) => row === body.children[at]);
    if (!same) {
      const focused = document.activeElement;
      body.replaceChildren(...wanted);
      if (focused instanceof HTMLElement && body.contains(focused)) focused.focus();
    }
    byId("runs-empty").hidden = runs.length > 0;
  }
  /** The row of a run: made once, so that the pressed or focused element stays, and filled again. */
  function rowOf(run) {
    if (!rows.has(run.run)) rows.set(run.run, makeRow(run.run));
    const { row, box, cells, problem } = rows.get(run.run);
    box.checked = chosen.includes(run.run);
    if (problem.textContent !== (run.broken ?? "")) problem.textContent = run.broken ?? "";
    if (run.run === opened) row.setAttribute("aria-selected", "true");
    else row.removeAttribute("aria-selected");
    COLUMNS.forEach((column, at) => {
      if (column.id === "run") return;
      const text = cellText(column, run);
      if (cells[at].textContent !== text) cells[at].textContent = text;
      if (column.id === "state") cells[at].classList.toggle("training", run.state === "training");
    });
    return row;
  }
  function makeRow(run) {
    const box = make("input", {
      ...{ type: "checkbox", "aria-label": t("runs_choose", { run }) },
      on: { change: (event) => choose(run, event.target.checked) },
    });
    const name = make("button", { type: "button", class: "name", on: { click: () => listener.open(run) } }, run);
    const problem = make("p", { class: "error" });
    const cells = COLUMNS.map((column) =>
      column.id === "run" ? make("th", { scope: "row" }, name, problem) : make("td", { class: column.text ? "text" : null }),
    );
    return { row: make("tr", { data: { run } }, make("td", {}, box), ...cells), box, cells, problem };
  }
  function choose(name, wanted) {
    chosen = wanted ? [...chosen, name].slice(-MOST) : chosen.filter((one) => one !== name);
    draw();
    listener.choose(chosen);
  }
  return {
    show(next) {
      runs = next;
      draw();
    },
    /** Mark without calling the listener. */
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
