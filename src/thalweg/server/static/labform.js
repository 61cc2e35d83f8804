// @ts-check
// The lab's form: read for Python, written into the address, and filled from it.

import { byId, fillSelect, make } from "./dom.js";
import { makeOptimizerRows } from "./optimizerrows.js";
import { t } from "./texts.js";

const FIRST = { surface: "valley", optimizers: "sgd::;adagrad::;rmsprop::;adam::", steps: "2000" };
const FIELDS = ["surface", "parameters", "optimizers", "steps", "noise", "seed", "start"];

/**
 * @param {any} catalogue
 * @param {() => void} changed
 * @param {(number: number) => void} removed called with the number of a trace before it is removed
 */
export function makeForm(catalogue, changed, removed) {
  const named = new Map(catalogue.surfaces.map((surface) => [surface.name, surface]));
  const rows = makeOptimizerRows(catalogue, changed, removed);
  const entries = catalogue.surfaces.map(({ name, about }) => [name, `${name}: ${about}`]);
  fillSelect(byId("lab-surface"), [...entries, ["", t("lab_own_formula")]]);
  byId("schedules").append(...catalogue.schedules.map((name) => make("option", { value: name })));
  byId("lab-surface").addEventListener("change", () => {
    const name = byId("lab-surface").value;
    byId("lab-formula").value = name || byId("lab-formula").value;
    byId("lab-parameters").value = "";
    setStart(null);
    if (name) changed();
    else byId("lab-formula").select();
  });
  byId("lab-formula").addEventListener("change", () => {
    setStart(null);
    changed();
  });
  for (const id of ["lab-parameters", "lab-steps", "lab-noise", "lab-seed", "lab-x", "lab-y"]) {
    byId(id).addEventListener("change", changed);
  }
  byId("lab-form").addEventListener("submit", (event) => event.preventDefault());

  function setStart(start) {
    [byId("lab-x").value, byId("lab-y").value] = start ? start.map((value) => String(Number(value.toPrecision(6)))) : ["", ""];
  }
  function showSurface() {
    const surface = named.get(byId("lab-formula").value.trim());
    byId("lab-surface").value = surface?.name ?? "";
    byId("lab-about").textContent = surface?.about ?? t("lab_formula_help");
    const known = Object.entries(surface?.parameters ?? {});
    byId("lab-parameters-label").hidden = known.length === 0;
    byId("lab-parameters").placeholder = known.map(([name, value]) => `${name}=${value}`).join(", ");
  }
  const text = (id) => byId(id).value.trim();
  const number = (id) => (text(id) === "" ? undefined : Number(text(id)));
  const coordinate = (id) => text(id) || byId(id).placeholder; // where only one of the two is given, the other is the default
  const fields = () => ({
    surface: text("lab-formula"),
    parameters: text("lab-parameters"),
    optimizers: rows.write(),
    steps: text("lab-steps"),
    noise: Number(text("lab-noise")) ? text("lab-noise") : "",
    seed: Number(text("lab-seed")) ? text("lab-seed") : "",
    start: text("lab-x") || text("lab-y") ? `${coordinate("lab-x")},${coordinate("lab-y")}` : "",
  });
  return {
    setStart,
    showRates: rows.showRates,
    /** Show where traces begin by default. */
    showStart: ([x, y]) => ([byId("lab-x").placeholder, byId("lab-y").placeholder] = [String(x), String(y)]),
    key: () => JSON.stringify(fields()),
    /** The fields for the address, empty ones as null. */
    write: () => Object.fromEntries(Object.entries(fields()).map(([name, value]) => [name, value || null])),
    async fill(given) {
      const all = { ...(given.surface ? {} : FIRST), ...Object.fromEntries(FIELDS.map((name) => [name, given[name]]).filter(([, value]) => value)) };
      byId("lab-formula").value = all.surface;
      byId("lab-parameters").value = all.parameters ?? "";
      byId("lab-steps").value = all.steps ?? "1000";
      byId("lab-noise").value = all.noise ?? "0";
      byId("lab-seed").value = all.seed ?? "0";
      const start = (all.start ?? "").split(",").map(Number);
      setStart(start.length === 2 && start.every(Number.isFinite) ? start : null);
      rows.fill(all.optimizers ?? "");
      showSurface();
    },
    /** The request to Python. */
    read() {
      showSurface();
      const { start } = fields();
      return {
        surface: text("lab-formula"),
        parameters: parametersOf(text("lab-parameters")),
        optimizers: rows.read(),
        steps: number("lab-steps"),
        noise: number("lab-noise"),
        seed: number("lab-seed"),
        ...(start && { start: start.split(",").map(Number) }),
      };
    },
  };
}

/** `angle=0.05, condition=100` as an object; Python reports what is invalid. */
function parametersOf(text) {
  const pairs = text.split(/[,;]/).map((pair) => pair.trim()).filter(Boolean).map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([name, value]) => [name.trim(), value === undefined ? null : numberOr(value.trim())]));
}

const numberOr = (text) => (text === "" || Number.isNaN(Number(text)) ? text : Number(text));
