// @ts-check
// The formulas of one trace: each symbol with its number at the cursor, and lit, the terms that act there.

import { blockOf, mathOf } from "./math.js";
import { readingText } from "./scales.js";

const WEIGHTS = ["x", "y"];

/**
 * @param {HTMLElement} home
 * @param {any} scene
 * @param {any} store its state says which trace, and the numbers of which weight
 * @param {(number: number) => void} explain told which trace is chosen
 */
export function makeFormulas(home, scene, store, explain) {
  const { formulas_of, formulas_weight } = scene.texts;
  const names = scene.series.map(({ label }, number) => [String(number), label]);
  const trace = choice(formulas_of, names, (value) => {
    store.set({ formula: Number(value) });
    explain(Number(value));
  });
  const weight = choice(formulas_weight, WEIGHTS.map((name) => [name, name]), (value) => store.set({ weight: value }));
  const bar = document.createElement("div");
  const blocks = document.createElement("div");
  bar.className = "buttons";
  blocks.className = "formula-blocks";
  bar.append(trace.label, weight.label);
  home.replaceChildren(bar, blocks);
  let laid = null;
  let shown = "";
  let parts = [];

  /** Lay out the blocks of a trace, where they are not those that are shown. */
  function lay(formulas) {
    if (formulas === laid) return;
    laid = formulas;
    const key = JSON.stringify(formulas);
    if (key === shown) return;
    shown = key;
    parts = formulas.map((formula) => partOf(formula, scene.texts.formulas_symbols));
    blocks.replaceChildren(...parts.map(({ block }) => block));
  }
  return ({ index, formula, weight: side }) => {
    home.hidden = !scene.series.length;
    if (home.hidden) return;
    const number = Math.min(formula, scene.series.length - 1);
    const series = scene.series[number];
    trace.select.value = String(number);
    weight.select.value = side;
    lay(series.formulas);
    const at = (names) => numberAt({ ...series.columns, steps: scene.steps }, names, WEIGHTS.indexOf(side), index);
    for (const { symbols, groups } of parts) {
      for (const { output, number: setting, columns } of symbols) output.textContent = numberText(setting ?? at(columns));
      for (const { terms, columns } of groups) {
        const acting = at(columns);
        terms.forEach((elements, place) => elements.forEach((one) => one.classList.toggle("lit", place === acting)));
      }
    }
  };
}

/** The number at the cursor in the first column that there is: of the weight, or of both. */
function numberAt(columns, names, side, index) {
  const column = names.length === 1 ? columns[names[0]] : (columns[names[side]] ?? columns[names[2]]);
  return column ? column[index] : Number.NaN;
}

const numberText = (value) => (Number.isNaN(value) ? "" : `= ${readingText(value)}`);

function partOf(formula, symbolsName) {
  const block = blockOf(formula);
  const meaning = new Map(formula.symbols.map((symbol) => [symbol.key, symbol.meaning]));
  block.addEventListener("pointerover", ({ target }) => {
    const symbol = target instanceof Element && target.closest("[data-symbol]");
    block.title = (symbol && meaning.get(symbol.getAttribute("data-symbol"))) || "";
  });
  const list = document.createElement("ul");
  list.className = "symbols";
  list.setAttribute("aria-label", symbolsName);
  const symbols = formula.symbols.map((symbol) => {
    const [item, output, words] = ["li", "span", "span"].map((name) => document.createElement(name));
    output.className = "number";
    words.textContent = symbol.meaning;
    item.append(mathOf(symbol.math), output, words);
    list.append(item);
    return { ...symbol, output };
  });
  block.append(list);
  const groups = formula.groups.map(({ terms, columns }) => {
    return { columns, terms: terms.map((name) => [...block.querySelectorAll(`[data-term="${name}"]`)]) };
  });
  return { block, symbols, groups };
}

function choice(text, entries, chosen) {
  const [label, select] = [document.createElement("label"), document.createElement("select")];
  select.append(...entries.map(([value, name]) => new Option(name, value)));
  select.addEventListener("change", () => chosen(select.value));
  label.append(text, " ", select);
  return { label, select };
}
