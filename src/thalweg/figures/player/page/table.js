// @ts-check
// Every trace's numbers at the cursor, as a table that can be read aloud, and the list of what happened.

import { drawKey } from "./charts.js";
import { readingText } from "./scales.js";

/** @param {HTMLTableElement} table */
export function makeTable(table, scene) {
  const head = table.createTHead().insertRow();
  for (const text of [scene.texts.page_optimizer, ...scene.table.map(({ title }) => title)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  const rows = scene.series.map((series) => {
    const row = body.insertRow();
    const name = document.createElement("th");
    name.scope = "row";
    const key = document.createElement("canvas");
    key.setAttribute("aria-hidden", "true");
    name.append(key, series.label);
    row.append(name);
    return { row, key, cells: scene.table.map(() => row.insertCell()) };
  });
  return {
    drawKeys: () => rows.forEach(({ key }, number) => drawKey(key, scene.series[number], true)),
    show({ index, hidden }) {
      rows.forEach(({ row, cells }, number) => {
        row.hidden = hidden.has(number);
        scene.table.forEach(({ column }, at) => {
          cells[at].textContent = readingText(scene.series[number].columns[column][index]);
        });
      });
    },
  };
}

/** Each event as a button that goes to its step; a sum of many as plain text. @param {HTMLElement} list */
export function makeEvents(list, scene, moveToStep) {
  for (const { series, step, text } of scene.events) {
    const item = document.createElement("li");
    item.dataset.series = String(series);
    item.append(step === null ? text : eventButton(text, () => moveToStep(step)));
    list.append(item);
  }
  if (!scene.events.length) list.textContent = scene.texts.page_no_events;
}

function eventButton(text, go) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", go);
  return button;
}

/** What a screen reader says when the cursor rests. */
export function spoken(scene, { index, hidden }) {
  const losses = scene.series.flatMap(({ label, columns }, number) => {
    return hidden.has(number) ? [] : [`${label} ${readingText(columns.loss[index])}`];
  });
  return `${stepText(scene, index)}. ${scene.texts.page_loss}: ${losses.join(", ")}`;
}

export function stepText(scene, index) {
  const write = new Intl.NumberFormat("en-US").format;
  const last = scene.steps[scene.steps.length - 1];
  return scene.texts.page_step_of.replace("{step}", write(scene.steps[index])).replace("{steps}", write(last));
}
