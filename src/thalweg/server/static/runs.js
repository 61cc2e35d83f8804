// @ts-check
// Runs: the table, the charts of those chosen, and one run in detail.

import { readFields, writeFields } from "./address.js";
import { byId } from "./dom.js";
import { loadCharts, makeCurves } from "./curves.js";
import { connect } from "./live.js";
import { makeNewRun } from "./newrun.js";
import { makeDetail } from "./rundetail.js";
import { makeRunTable } from "./runtable.js";

export async function mountRuns(page) {
  await loadCharts();
  let listing = { runs: [], trainings: [] };
  let first = true;
  const live = connect({ listing: heard, rows: came });
  const curves = makeCurves(byId("runs-charts"), live.historyOf);
  const detail = makeDetail(page);
  const table = makeRunTable({ choose, open });
  makeNewRun(page, (run) => open(run));

  function heard(next) {
    listing = next;
    table.show(listing.runs);
    detail.heard(listing);
    const { run, runs } = readFields();
    if (first && listing.runs.length) {
      first = false;
      const wanted = (runs ?? run ?? listing.runs[0].run).split(",").filter((name) => listing.runs.some((one) => one.run === name));
      follow(wanted.length ? wanted : [listing.runs[0].run], run ?? wanted[0] ?? listing.runs[0].run);
    } else if (run && !curves.runs().includes(run) && listing.runs.some((one) => one.run === run)) {
      follow([...curves.runs(), run], run); // a training that was just started has made its folder
    }
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
    writeFields({ runs: runs.join(",") || null });
    follow(runs, readFields().run ?? "");
  }
  function open(run) {
    const runs = curves.runs().includes(run) ? curves.runs() : [...curves.runs(), run].slice(-8);
    writeFields({ tab: "runs", run, runs: runs.join(",") }, { push: true });
    follow(runs, run);
  }
  page.onTheme(() => follow(curves.runs(), readFields().run ?? curves.runs()[0] ?? ""));

  return {
    show() {
      curves.update("steps");
      curves.update("epochs");
    },
  };
}
