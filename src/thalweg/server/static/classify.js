// @ts-check
// A photo, dropped or chosen: its top five, the picture that the network sees, and where it looks.

import { getJson, postFile, postJson } from "./api.js";
import { bar, button, byId, make, note } from "./dom.js";
import { makeChoice } from "./choosing.js";
import { percent, t } from "./texts.js";

const MOST = 24 * 2 ** 20; // bytes that the server takes

export async function mountClassify(page) {
  const [home, drop, file] = [byId("classify"), byId("classify-drop"), byId("classify-file")];
  let run = "";
  const choice = makeChoice(byId("classify-run"), (chosen) => {
    run = chosen;
    newest++;
    home.replaceChildren();
  });
  const own = button(t("classify_own"), () => classify(() => ownPhoto(run)), { id: "classify-own" });
  drop.append(note(t("classify_or")), own);

  let newest = 0;
  async function classify(ask) {
    const number = ++newest; // an answer that comes too late is not shown
    home.replaceChildren(note(t("js_working")));
    home.dataset.state = "working";
    try {
      const answer = await ask();
      if (number !== newest) return;
      home.replaceChildren(...shown(answer));
      home.dataset.state = "done";
    } catch (error) {
      if (number !== newest) return;
      home.replaceChildren(make("p", { class: "error" }, error.message));
      home.dataset.state = "refused";
    }
  }
  const send = (photo) => {
    if (!photo) return;
    if (photo.size > MOST) page.fail(new Error(t("classify_too_large")));
    else classify(() => postFile("classify", { run }, photo));
  };
  file.addEventListener("change", () => {
    send(file.files[0]);
    file.value = ""; // so that the same photo can be chosen again, for another run
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.dataset.over = String(kind === "dragenter" || kind === "dragover");
      if (kind === "drop") send(event.dataTransfer.files[0]);
    });
  }
  return { show: (fields) => choice.show(fields) };
}

/** One of the run's own validation photos, another one each time. */
async function ownPhoto(run) {
  const { samples } = await getJson("scores", { run });
  const { row } = samples[Math.floor(Math.random() * samples.length)];
  return postJson("classify/own", {}, { run, row });
}

function shown({ top, seen, side, maps, several, answer, true: right }) {
  const rows = top.flatMap(({ name, probability, given }) => [make("span", {}, several && given ? `✓ ${name}` : name), bar(probability), make("span", {}, percent(probability))]);
  const stack = (name, over) =>
    make("figure", {},
      make("div", { class: "stack" }, make("img", { src: seen, alt: t("classify_seen", { side }) }), over ? make("img", { src: over, alt: "", class: "over" }) : null),
      make("figcaption", {}, name),
    );
  return [
    make("h3", { id: "classify-answer" }, several ? answer || t("classify_no_label") : t("classify_answer", { name: top[0].name, share: percent(top[0].probability) })),
    ...(right || (several && right === "") ? [make("p", {}, t(right === answer ? "classify_right" : "classify_wrong", { name: right || t("classify_no_label") }))] : []),
    make("div", { class: "bars" }, ...rows),
    make("div", { class: "seen" },
      stack(t("classify_seen", { side }), null),
      ...Object.entries(maps).map(([tap, map]) => stack(t(`classify_map_${tap}`), map)),
    ),
    ...(several ? [note(t("classify_several"))] : []),
    note(t("classify_note")),
  ];
}
