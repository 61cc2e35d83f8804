// @ts-check
// The guided tour: a lesson sets up the page, says what to look at, and shows its checks.

import { getJson, pictureAddress } from "./api.js";
import { readFields } from "./address.js";
import { button, byId, fillSelect, make, table } from "./dom.js";
import { t } from "./texts.js";
import { blockOf } from "../player/math.js";

/** Lessons with something to change, and what draws it. */
const VIEWS = { initialization: () => import("./depth.js"), "momentum-map": () => import("./momentummap.js") };

const FEATURED = ["adagrad-arrives-and-bursts", "momentum-escapes", "mse-or-cross-entropy"];

export function makeTour(page) {
  const known = new Map();
  const ready = getJson("lessons").then(({ lessons }) => {
    for (const lesson of lessons) known.set(lesson.name, lesson);
    byId("tour-first").append(button(t("network_title"), () => page.goTo({ tab: "network" }), { data: { to: "network" } }), ...FEATURED.map((name) => button(known.get(name).title, () => go(name), { data: { lesson: name } })));
    fillSelect(byId("tour-all"), [["", t("tour_choose")], ...lessons.map(({ name, title }, at) => [name, `${at + 1}. ${title}`])]);
    byId("tour-all").addEventListener("change", (event) => event.target.value && go(event.target.value));
  });
  ready.catch(page.fail);
  let shown = null;

  function go(name) {
    const { theme } = readFields();
    const setup = known.get(name).setup ?? { tab: "lab" };
    page.goTo({ ...setup, lesson: name, ...(theme && { theme }) });
  }
  async function tell(name) {
    const home = byId("lesson");
    home.hidden = false;
    home.replaceChildren(make("p", { class: "note" }, t("tour_running")));
    await ready;
    const lesson = await getJson("lesson", { name });
    if (shown !== name) return;
    const next = lesson.next ? known.get(lesson.next) : null;
    const rows = lesson.checks.map(({ claim, got, expected, holds }) => [claim, got, expected, holds ? "✓" : "✗"]);
    const columns = [t("tour_claim"), t("tour_got"), t("tour_expected"), t("tour_holds")];
    const view = known.get(name).has_view ? make("section", { class: "view", "aria-label": t("view_name", { title: lesson.title }) }) : null;
    home.replaceChildren(
      make("h3", {}, lesson.title),
      make("ol", {}, ...lesson.lines.map((line) => make("li", {}, line))),
      make("div", {}, table(columns, rows, { rowHeads: true, className: "checks", caption: t("tour_checks") })),
      view,
      make("div", { class: "formula-blocks" }, ...lesson.formulas.map(blockOf)),
      make("div", { class: "buttons" },
        next ? button(t("tour_next", { title: next.title }), () => go(lesson.next), { class: "primary", id: "tour-next" }) : null,
        lesson.setup || view ? button(t("tour_picture"), (event) => showPicture(home, lesson, event.target)) : null,
        button(t("tour_close"), close),
      ),
    );
    if (view) VIEWS[name]().then(({ mountView }) => mountView(view, page)).catch(page.fail);
    else if (!lesson.setup) showPicture(home, lesson, null);
  }
  function failed(error) {
    byId("lesson").hidden = true;
    page.fail(error);
  }
  function close() {
    const { lesson, ...fields } = readFields();
    page.goTo(fields);
  }
  return {
    show(name) {
      if (name === shown) return;
      shown = name;
      byId("tour-all").value = name ?? "";
      if (name) tell(name).catch(failed);
      else byId("lesson").hidden = true;
    },
  };
}

function showPicture(home, lesson, pressed) {
  pressed?.remove();
  home.append(make("img", { src: pictureAddress("lesson/picture", { name: lesson.name }), alt: lesson.title }));
}
