// Lead from an image to its result: start, progress, and then a result or a problem.

import { byId } from "./elements.js";
import { follow } from "./follow.js";
import { watchForImages } from "./picker.js";
import { Problem } from "./problem.js";
import { showSending, showTask, showWaiting } from "./progress.js";
import { clearReport, showReport } from "./result.js";
import { showService } from "./service.js";
import { showStatistics, watchSeries } from "./statistics.js";
import { fetchReport, forget, submit } from "./task.js";
import { watchOpacity } from "./viewer.js";

const VIEWS = ["start", "progress", "problem", "result"];

let view = "start";
let image = null; // kept for another try
let task = null; // identifier of what lies on the server
let work = new AbortController();

/** Show one view, and move the focus there: whoever doesn't see the page change hears of it. */
function show(name) {
  view = name;
  for (const each of VIEWS) {
    byId(each).hidden = each !== name;
  }
  byId(`${name}-title`).focus({ preventScroll: name === "start" });
}

async function analyse(chosen) {
  image = chosen;
  work = new AbortController();
  const { signal } = work;
  show("progress");
  showSending();
  try {
    // Not stopped by a cancellation, as nobody would then know whether there is a task to delete.
    const accepted = await submit(image);
    if (signal.aborted) {
      await forget(accepted);
      return;
    }
    task = accepted;
    const done = await follow(task, { show: showTask, wait: showWaiting, signal });
    showReport(await fetchReport(done, { wait: showWaiting, signal }));
    show("result");
    image = null;
    showStatistics();
  } catch (error) {
    if (!signal.aborted) {
      complain(error);
    }
  }
}

function complain(error) {
  const problem = error instanceof Problem ? error : defect(error);
  byId("problem-title").textContent = problem.title;
  byId("problem-detail").textContent = problem.detail;
  byId("problem-advice").textContent = problem.advice;
  byId("problem-reference").textContent = problem.reference ? `Reference: ${problem.reference}` : "";
  byId("again").hidden = image === null || !problem.passes;
  show("problem");
  tidy();
}

function defect(error) {
  console.error(error);
  return new Problem({ title: "This page has a defect", detail: `It can't go on: ${error.message}.`, status: 500 });
}

/** Take everything of an image off the page. */
function clear() {
  work.abort();
  image = null;
  clearReport();
  show("start");
}

/** Delete what lies on the server, and begin anew. */
async function startOver() {
  const ended = work;
  clear();
  showService();
  try {
    await forgetTask();
  } catch (problem) {
    if (work === ended) {
      complain(problem); // else another image is being analysed by now
    }
  }
}

async function forgetTask() {
  const forgotten = task;
  task = null;
  if (forgotten !== null) {
    await forget(forgotten);
  }
}

/** Delete what nobody will look at; should that fail, it is forgotten when its time is over. */
function tidy() {
  forgetTask().catch(() => {});
}

watchForImages(() => view === "start" || view === "problem", analyse, complain);
watchOpacity();
watchSeries();
byId("cancel").addEventListener("click", startOver);
byId("over").addEventListener("click", startOver);
byId("another").addEventListener("click", startOver);
byId("again").addEventListener("click", () => analyse(image));
// The browser may keep the page as it is, and show it to whoever goes back.
addEventListener("pagehide", () => {
  clear();
  tidy();
});
addEventListener("pageshow", () => {
  showService();
  showStatistics();
});
