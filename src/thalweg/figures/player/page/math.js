// @ts-check
// Formulas as Python wrote them, made elements.

/** @param {string} written a `<math>` element of Python's own; no text of a visitor is in it */
export function mathOf(written) {
  return document.importNode(new DOMParser().parseFromString(written, "text/html").body.firstElementChild, true);
}

/** A formula's name and its lines. @param {{title: string, lines: string[]}} block */
export function blockOf({ title, lines }) {
  const block = document.createElement("div");
  const [name, equations] = [document.createElement("p"), document.createElement("div")];
  block.className = "formula-block";
  name.className = "formula-name";
  name.textContent = title;
  equations.className = "equations";
  equations.tabIndex = 0; // a long one is scrolled
  equations.setAttribute("role", "group");
  equations.setAttribute("aria-label", title);
  equations.append(...lines.map(mathOf));
  block.append(name, equations);
  return block;
}
