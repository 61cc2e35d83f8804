// @ts-check
// Photos laid out by the middle and the top layer, side by side and linked, over the epochs.

import { getFrame, newestOnly, pictureAddress } from "./api.js";
import { byId, make, note } from "./dom.js";
import { makeChoice } from "./choosing.js";
import { makeScatter, swatchesOf } from "./scatter.js";
import { percent, t } from "./texts.js";

const LAYERS = ["mid", "top"];

export async function mountEmbeddings(page) {
  const home = byId("embeddings");
  const scrub = byId("embeddings-scrub");
  let run = "";
  let known = [];
  let scatters = null;
  let shown = null;
  let front = 0; // the photo in front

  const chosen = () => known[Number(scrub.value)] ?? "best";
  const load = newestOnly(async () => {
    const asked = run;
    const at = chosen();
    home.dataset.state = "working";
    if (!scatters) home.replaceChildren(note(t("embeddings_working")));
    try {
      const found = await getFrame("embedding", { run: asked, at });
      if (asked !== run) return;
      show(found, at === chosen() ? found.header.at : chosen()); // a slider moved meanwhile stays
      home.dataset.state = "done";
    } catch (error) {
      scatters = null;
      home.replaceChildren(make("p", { class: "message" }, error.message));
      home.dataset.state = "refused";
    }
  });

  function show({ header, arrays }, standing) {
    known = header.known;
    scrub.max = String(known.length - 1);
    scrub.value = String(known.indexOf(standing));
    scrub.setAttribute("aria-valuetext", nameOf(header.at));
    byId("embeddings-scrub-label").hidden = known.length < 2;
    byId("embeddings-at").textContent = nameOf(header.at);
    home.dataset.at = header.at;
    shown = { header, arrays };
    if (!scatters) build(header);
    LAYERS.forEach((layer, place) => {
      scatters[place].show({ positions: arrays[layer], labels: arrays.labels, predicted: arrays.predicted, named: header.named });
      scatters[place].note(t(header.true ? "embeddings_agreement_rarest" : "embeddings_agreement", { share: percent(header.agreement[layer]) }));
    });
    byId("embeddings-right").textContent = t(header.true ? "embeddings_all_right" : "embeddings_right", { share: percent(header.right), count: arrays.rows.length });
    look(front < arrays.rows.length ? front : 0, false);
  }
  function build(header) {
    const before = make("div", { class: "front", "aria-live": "polite" });
    const maps = make("div", { class: "maps" });
    home.replaceChildren(make("p", { class: "note", id: "embeddings-right" }), ...(header.about ? [note(header.about)] : []), maps, swatchesOf(header.named.map((label) => header.classes[label])));
    if (header.named.length < header.classes.length) home.append(note(t(header.true ? "embeddings_named_rarest" : "embeddings_named", { named: header.named.length, count: header.classes.length })));
    if (known.length < 2) home.append(note(t("embeddings_no_epochs")));
    scatters = LAYERS.map((layer) => makeScatter(maps, { title: t(`embeddings_${layer}`), keys: t("embeddings_keys"), look }));
    maps.append(before);
    before.id = "embeddings-front";
  }
  /** Show a photo in front, and ring it on both maps. */
  function look(place, chosen = true) {
    const { header, arrays } = shown;
    front = place;
    for (const scatter of scatters) scatter.ring(place);
    const several = Boolean(header.true);
    const [right, predicted] = several ? [header.true[place], header.given[place]] : [header.classes[arrays.labels[place]], header.classes[arrays.predicted[place]]];
    byId("embeddings-front").replaceChildren(
      make("img", { src: pictureAddress("photo", { run, row: arrays.rows[place], side: 200 }), alt: right }),
      make("p", {}, t(several ? "embeddings_labels" : "embeddings_true", { name: right })),
      make("p", {}, several ? t("embeddings_given", { name: predicted }) : t("embeddings_predicted", { name: predicted, share: percent(arrays.probability[place]) })),
      note(right === predicted ? t("embeddings_is_right") : t("embeddings_is_wrong")),
    );
    if (chosen) home.dataset.looked = String(place);
  }
  const choice = makeChoice(byId("embeddings-run"), (chosen) => {
    run = chosen;
    [known, scatters, front] = [[], null, 0];
    load();
  });
  scrub.addEventListener("input", load);
  page.onTheme(() => shown && scatters && (build(shown.header), show(shown)));
  return { show: (fields) => choice.show(fields) };
}

function nameOf(at) {
  return at === "best" ? t("embeddings_best") : t("embeddings_epoch", { epoch: Number(at.replace("epoch-", "")) });
}
