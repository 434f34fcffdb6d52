// Follow a task until it is done: listen, or ask again and again where listening doesn't work.

import { pause } from "./pause.js";
import { ask } from "./problem.js";

const DONE = new Set(["SUCCESS", "FAILURE"]);

/** Call `show` with the task whenever it has changed, until it is done; with null while the service is out of reach. */
export async function follow(task, show, signal) {
  if (!(await listen(task, show, signal))) {
    await poll(task, show, signal);
  }
}

/** Listen to the task's events, and return whether it is done; false if the connection broke. */
function listen(task, show, signal) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`tasks/${task}/events`);
    const end = (settle, value) => {
      source.close();
      settle(value);
    };
    source.addEventListener("task", (event) => {
      const found = JSON.parse(event.data);
      show(found);
      if (DONE.has(found.status)) {
        end(resolve, true);
      }
    });
    // The service's own event of that name, or a broken connection: asking tells which.
    source.addEventListener("error", () => end(resolve, false));
    signal.addEventListener("abort", () => end(reject, signal.reason));
  });
}

async function poll(task, show, signal) {
  for (;;) {
    try {
      const found = await (await ask(`tasks/${task}`, { signal })).json();
      show(found);
      if (DONE.has(found.status)) {
        return;
      }
    } catch (problem) {
      if (!problem.passes) {
        throw problem;
      }
      show(null);
    }
    await pause();
  }
}
