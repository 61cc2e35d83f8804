// @ts-check
// What the page shows now, as one plain object; whoever draws subscribes. The address carries it, so that a view can
// be shared.

/**
 * @typedef {object} State
 * @property {number} index of the kept step that is shown
 * @property {boolean} playing
 * @property {number} speed
 * @property {"contour" | "3d"} view
 * @property {Set<number>} hidden optimizers, by number
 * @property {number} formula whose formulas are shown, by number
 * @property {string} weight whose numbers the formulas have: `x` or `y`
 */

/** @param {State} state */
export function createStore(state) {
  const listeners = new Set();
  return {
    /** @returns {State} */
    get: () => state,
    /** @param {Partial<State>} change */
    set(change) {
      state = { ...state, ...change };
      for (const listener of listeners) listener(state, change);
    },
    subscribe: (listener) => listeners.add(listener),
  };
}

/** Read `#step=120&view=3d&theme=dark&hide=2,3&formula=2&weight=y`. */
export function readAddress(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const step = Number.parseInt(fields.get("step") ?? "", 10);
  return {
    step: Number.isFinite(step) ? step : null,
    view: oneOf(["contour", "3d"], fields.get("view")),
    theme: oneOf(["light", "dark"], fields.get("theme")),
    hidden: new Set((fields.get("hide") ?? "").split(",").filter(Boolean).map((number) => Number(number) - 1)),
    ...readFormula(fields.get("formula"), fields.get("weight")),
  };
}

/** Which formulas are shown, of the address's fields. */
export function readFormula(formula, weight) {
  const number = Number.parseInt(formula ?? "", 10);
  return { formula: number > 0 ? number - 1 : 0, weight: weight === "y" ? "y" : "x" };
}

/** The address's fields for the formulas that are shown; null for the first of all. */
export function writeFormula({ formula, weight }) {
  return { formula: formula ? String(formula + 1) : null, weight: weight === "y" ? "y" : null };
}

function oneOf(choices, value) {
  return choices.includes(value) ? value : null;
}

export function writeAddress(state, step) {
  const fields = new URLSearchParams({ step: String(step), view: state.view, theme: state.theme });
  for (const [name, value] of Object.entries(writeFormula(state))) if (value) fields.set(name, value);
  if (state.hidden.size) fields.set("hide", [...state.hidden].map((number) => number + 1).join(","));
  return `#${fields}`;
}
