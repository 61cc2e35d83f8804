// @ts-check
// The choice of a run, the same on three tabs, and in the address.

import { getJson } from "./api.js";
import { readFields, writeFields } from "./address.js";
import { fillSelect } from "./dom.js";

/**
 * @param {HTMLSelectElement} select
 * @param {(run: string) => void} chosen
 */
export function makeChoice(select, chosen) {
  let now = "";
  const choose = (run) => {
    now = run;
    if (run) chosen(run);
  };
  select.addEventListener("change", () => {
    writeFields({ run: select.value });
    choose(select.value);
  });
  return {
    /** Fill the list; choose the run of the address, else the newest. */
    async show(fields) {
      const { runs } = await getJson("runs");
      const names = runs.map(({ run }) => run);
      fillSelect(select, names.map((name) => [name, name]));
      const wanted = names.includes(fields.run) ? fields.run : names[0] ?? "";
      select.value = wanted;
      if (wanted && readFields().run !== wanted) writeFields({ run: wanted });
      if (wanted !== now) choose(wanted);
      return wanted;
    },
  };
}
