// @ts-check
// Elements, made and found. Text is always text: nothing from a run or a visitor becomes HTML.

export const byId = (id) => /** @type {any} */ (document.getElementById(id));

/**
 * An element with attributes and children; null ones are left out.
 * @param {string} name
 * @param {Record<string, any>} [attributes] `on` holds listeners, `data` the dataset
 * @param {...any} children
 */
export function make(name, attributes = {}, ...children) {
  const { on = {}, data = {}, ...plain } = attributes;
  const element = /** @type {any} */ (document.createElement(name));
  for (const [key, value] of Object.entries(plain)) {
    if (value === null || value === undefined || value === false) continue;
    if (key in element && typeof value === "boolean") element[key] = value;
    else element.setAttribute(key === "className" ? "class" : key, value === true ? "" : String(value));
  }
  Object.assign(element.dataset, data);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * Draw again after each change of size or theme, until the element is taken from the page.
 * @param {any} page @param {HTMLElement} element @param {() => void} draw
 */
export function whileShown(page, element, draw) {
  let wasShown = element.isConnected;
  const redraw = () => {
    if (element.isConnected) {
      wasShown = true;
      draw();
    } else if (wasShown) {
      observer.disconnect();
      forget();
    }
  };
  const observer = new ResizeObserver(redraw); // which is told, too, when the element is taken away
  const forget = page.onTheme(redraw);
  observer.observe(element);
}

export const note = (...children) => make("p", { class: "note" }, ...children);

/** What the keyboard reaches: a chart with keys of its own, or a table that scrolls. */
export const region = (name, label, ...children) => make("div", { class: name, tabindex: 0, role: "group", "aria-label": label }, ...children);

export const button = (text, action, attributes = {}) =>
  make("button", { type: "button", ...attributes, on: { click: action } }, text);

/** A table with a head; cells are texts or elements, the first of a row may be its head. */
export function table(columns, rows, { rowHeads = false, className = "", caption = "" } = {}) {
  const head = make("tr", {}, ...columns.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell, at) => make(rowHeads && at === 0 ? "th" : "td", rowHeads && at === 0 ? { scope: "row" } : {}, cell))),
  );
  return make(
    "table",
    { class: className || null },
    caption ? make("caption", { class: "unseen" }, caption) : null,
    make("thead", {}, head),
    make("tbody", {}, ...body),
  );
}

export function fillSelect(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => make("option", { value }, text)));
  if (chosen !== undefined && entries.some(([value]) => value === chosen)) select.value = chosen;
}

/** Names and values side by side. */
export function facts(pairs) {
  const shown = pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  return make("dl", { class: "facts" }, ...shown);
}

/** A bar from 0 to 1. */
export function bar(share) {
  const fill = make("span");
  fill.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  return make("div", { class: "track", "aria-hidden": "true" }, fill);
}
