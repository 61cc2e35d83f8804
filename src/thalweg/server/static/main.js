// @ts-check
// Tabs, theme, language and keys. A tab is loaded when it is first shown.

import { readFields, replaceFields, writeFields } from "./address.js";
import { byId, make } from "./dom.js";
import { mountLab } from "./lab.js";
import { t } from "./texts.js";
import { makeTour } from "./tour.js";
import { listenToKeys } from "../player/keys.js";

const LOADERS = {
  lab: async (page) => mountLab(page),
  network: async (page) => (await import("./network.js")).mountNetwork(page),
  losses: async (page) => (await import("./losses.js")).mountLosses(page),
  runs: async (page) => (await import("./runs.js")).mountRuns(page),
  diagnosis: async (page) => (await import("./diagnosis.js")).mountDiagnosis(page),
  embeddings: async (page) => (await import("./embeddings.js")).mountEmbeddings(page),
  classify: async (page) => (await import("./classify.js")).mountClassify(page),
};

const mounted = new Map();
const themeListeners = new Set();
/** @type {Map<string, Record<string, string>>} the address of each tab when it was left */
const left = new Map();
let shown = "";
/** @type {any} */
let view = null;
/** @type {any} */
let tour = null;

/** What a tab may use of the page. */
const page = {
  /** Call a listener after each change of the theme, until what is returned is called. */
  onTheme(listener) {
    themeListeners.add(listener);
    return () => themeListeners.delete(listener);
  },
  goTo(fields) {
    replaceFields(fields, { push: true });
    follow();
  },
  fail,
};

function fail(error) {
  byId("failure").textContent = error?.message ?? String(error);
  byId("failure").hidden = false;
}

async function follow() {
  const fields = readFields();
  const tab = fields.tab in LOADERS ? fields.tab : "lab";
  for (const section of document.querySelectorAll("main > section")) {
    section.toggleAttribute("hidden", section instanceof HTMLElement && !(section.dataset.tab ?? "").split(" ").includes(tab));
  }
  if (fields.theme && fields.theme !== document.documentElement.dataset.theme) setTheme(fields.theme);
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link instanceof HTMLElement && link.dataset.to === tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("failure").hidden = true;
  shown = tab;
  try {
    if (!byId("tour").hidden) {
      tour ??= makeTour(page);
      tour.show(fields.lesson ?? null);
    }
    if (!mounted.has(tab)) mounted.set(tab, LOADERS[tab](page));
    view = null;
    const found = await mounted.get(tab);
    if (shown !== tab) return; // another tab was chosen meanwhile
    view = found;
    view.show?.(fields);
  } catch (error) {
    mounted.delete(tab);
    fail(error);
    throw error;
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const listener of themeListeners) listener(theme);
}

/** The page in the other language, with the same setting. */
function otherLanguage() {
  const query = new URLSearchParams(location.search);
  query.set("lang", document.documentElement.dataset.other ?? "en");
  return `?${query}#${new URLSearchParams(readFields())}`;
}

function help(isHidden = !byId("help-text").hidden) {
  byId("help-text").hidden = isHidden;
  byId("help").setAttribute("aria-expanded", String(!isHidden));
}

function fillHelp() {
  for (const line of t("js_keys").split("\n")) {
    const [keys, does] = line.split("|");
    byId("help-list").append(make("dt", {}, make("kbd", {}, keys)), make("dd", {}, does));
  }
}

/** The keys of the visible tab; Alt+1 to Alt+7 choose a tab anywhere, Escape closes the list of keys. */
function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("help-text").hidden) {
      help(true);
      byId("help").focus();
    }
    const place = event.altKey && !event.ctrlKey && /^Digit[1-7]$/.test(event.code) ? Number(event.code[5]) : 0;
    if (!place) return;
    event.preventDefault();
    const link = document.querySelectorAll("#tabs a")[place - 1];
    if (link instanceof HTMLElement) link.click();
  });
  const actions = new Proxy({ help: () => help() }, {
    get: (own, name) => own[name] ?? view?.actions?.[name],
  });
  listenToKeys({ isPicture: (target) => target instanceof HTMLElement && target.matches(".frame"), actions });
}

setTheme(readFields().theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
byId("theme").addEventListener("click", () => {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  writeFields({ theme: document.documentElement.dataset.theme });
});
for (const link of document.querySelectorAll("#tabs a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const { theme, run } = readFields();
    left.set(shown, readFields());
    const tab = (link instanceof HTMLElement && link.dataset.to) || "lab";
    page.goTo({ ...left.get(tab), tab, ...(run && { run }), ...(theme && { theme }) });
  });
}
for (const kind of ["pointerdown", "click"]) byId("language").addEventListener(kind, () => (byId("language").href = otherLanguage()));
byId("help").addEventListener("click", () => help());
fillHelp();
keys();
addEventListener("popstate", follow);
addEventListener("hashchange", follow);
follow();
