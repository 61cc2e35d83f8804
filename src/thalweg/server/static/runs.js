// @ts-check
// Runs: the table, the charts of the chosen runs, and one run in detail.

import { readFields, writeFields } from "./address.js";
import { byId } from "./dom.js";
import { loadCharts, makeCurves } from "./curves.js";
import { connect, STREAMS } from "./live.js";
import { makeNewRun } from "./newrun.js";
import { makeDetail } from "./rundetail.js";
import { makeRunTable } from "./runtable.js";

const MOST = 8; // runs in the charts

export async function mountRuns(page) {
  await loadCharts();
  let listing = { runs: [], trainings: [] };
  let first = true;
  const live = connect({ listing: take, rows: came });
  const curves = makeCurves(byId("runs-charts"), live.historyOf, (run) => hasRate(run), (run) => isSeveral(run), (run) => hasTop5(run));
  const detail = makeDetail(page);
  const table = makeRunTable({ choose, open });
  makeNewRun(page, (run) => open(run));

  const home = byId("tab-runs");
  const isListed = (name) => listing.runs.some((one) => one.run === name);

  const hasRate = (name) => !listing.runs.find((one) => one.run === name)?.fitted;
  const hasTop5 = (name) => Boolean(listing.runs.find((one) => one.run === name)?.top5);
  const isSeveral = (name) => Boolean(listing.runs.find((one) => one.run === name)?.several);

  function take(next) {
    const before = new Set(listing.runs.map((one) => one.run));
    listing = next;
    if (!home.hidden) show();
    if (first && listing.runs.length) {
      first = false;
      follow(...wantedBy(readFields()));
    } else if (curves.runs().some((name) => !before.has(name) && isListed(name))) {
      live.follow(curves.runs()); // a run that was just started has made its folder
    }
  }
  function show() {
    table.show(listing.runs);
    detail.update(listing);
  }
  /** Which runs an address charts, and which it opens: those it names, else the newest. */
  function wantedBy({ run, runs }) {
    const newest = listing.runs[0].run;
    const opened = run && isListed(run) ? run : null;
    const charted = runs ? namesIn(runs).filter(isListed) : [opened ?? newest];
    return /** @type {[string[], string]} */ ([charted, opened ?? charted[0] ?? newest]);
  }
  function came(run, stream, header) {
    curves.update(stream);
    if (stream === "steps") detail.rate(run, header.photos_per_second);
    if (stream === "epochs") detail.epoch(run);
  }
  function follow(runs, opened) {
    curves.build(runs);
    live.follow(runs);
    for (const stream of STREAMS) curves.update(stream);
    table.mark(runs, opened);
    detail.open(opened, listing);
  }
  function choose(runs) {
    writeFields({ run: detail.shown() || null, runs: namesOut(runs) });
    follow(runs, detail.shown());
  }
  function open(run) {
    const runs = curves.runs().includes(run) ? curves.runs() : [...curves.runs(), run].slice(-MOST);
    writeFields({ tab: "runs", run, runs: namesOut(runs) }, { push: true });
    follow(runs, run);
  }
  page.onTheme(() => follow(curves.runs(), readFields().run ?? curves.runs()[0] ?? ""));

  return {
    actions: new Proxy({}, { get: (_, name) => detail.actions()?.[name] }),
    show(fields) {
      show();
      if (!listing.runs.length || !curves.runs().every(isListed)) return; // a run that was just started is not listed yet
      const [charted, opened] = wantedBy(fields);
      if (opened !== detail.shown() || charted.join("\n") !== curves.runs().join("\n")) follow(charted, opened);
      for (const stream of STREAMS) curves.update(stream);
    },
  };
}

/** Names of runs in one field of the address, and back; a name may have a comma. A comma alone means none. */
const namesOut = (runs) => runs.map(encodeURIComponent).join(",") || ",";
const namesIn = (text) => text.split(",").map(decodeURIComponent);
