// @ts-check
// Runs: the table, the charts of those chosen, and one run in detail.

import { readFields, writeFields } from "./address.js";
import { byId } from "./dom.js";
import { loadCharts, makeCurves } from "./curves.js";
import { connect } from "./live.js";
import { makeNewRun } from "./newrun.js";
import { makeDetail } from "./rundetail.js";
import { makeRunTable } from "./runtable.js";

const MOST = 8; // runs in the charts

export async function mountRuns(page) {
  await loadCharts();
  let listing = { runs: [], trainings: [] };
  let first = true;
  const live = connect({ listing: heard, rows: came });
  const curves = makeCurves(byId("runs-charts"), live.historyOf);
  const detail = makeDetail(page);
  const table = makeRunTable({ choose, open });
  makeNewRun(page, (run) => open(run));

  const home = byId("tab-runs");
  const isListed = (name) => listing.runs.some((one) => one.run === name);

  function heard(next) {
    const before = new Set(listing.runs.map((one) => one.run));
    listing = next;
    if (!home.hidden) show();
    const { run, runs } = readFields();
    if (first && listing.runs.length) {
      first = false;
      const wanted = (runs ? namesIn(runs) : [run ?? listing.runs[0].run]).filter(isListed);
      follow(wanted.length ? wanted : [listing.runs[0].run], run ?? wanted[0] ?? listing.runs[0].run);
    } else if (curves.runs().some((name) => !before.has(name) && isListed(name))) {
      live.follow(curves.runs()); // a training that was just started has made its folder
    }
  }
  function show() {
    table.show(listing.runs);
    detail.heard(listing);
  }
  function came(run, stream, header) {
    curves.update(stream);
    if (stream === "steps") detail.rate(run, header.photos_per_second);
    if (stream === "epochs") detail.epoch(run);
  }
  function follow(runs, opened) {
    curves.build(runs);
    live.follow(runs);
    curves.update("steps");
    curves.update("epochs");
    table.mark(runs, opened);
    detail.open(opened, listing);
  }
  function choose(runs) {
    writeFields({ runs: namesOut(runs) || null });
    follow(runs, readFields().run ?? "");
  }
  function open(run) {
    const runs = curves.runs().includes(run) ? curves.runs() : [...curves.runs(), run].slice(-MOST);
    writeFields({ tab: "runs", run, runs: namesOut(runs) }, { push: true });
    follow(runs, run);
  }
  page.onTheme(() => follow(curves.runs(), readFields().run ?? curves.runs()[0] ?? ""));

  return {
    show({ run }) {
      show();
      if (run && run !== detail.shown() && isListed(run)) {
        follow(curves.runs().includes(run) ? curves.runs() : [...curves.runs(), run].slice(-MOST), run);
        return;
      }
      curves.update("steps");
      curves.update("epochs");
    },
  };
}

/** Names of runs in one field of the address, and back; a name may have a comma. */
const namesOut = (runs) => runs.map(encodeURIComponent).join(",");
const namesIn = (text) => text.split(",").map(decodeURIComponent);
