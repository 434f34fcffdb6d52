// Follow a task until it is done: listen, or ask again and again where listening doesn't work.

import { pause } from "./pause.js";
import { ask } from "./problem.js";

const DONE = new Set(["SUCCESS", "FAILURE"]);

/**
 * Return the task once it is done. Until then call `show` with it whenever it has changed, and `wait` with the problem
 * whenever the service can't be asked.
 */
export async function follow(task, { show, wait, signal }) {
  return (await listen(task, show, signal)) ?? (await poll(task, show, wait, signal));
}

/** Listen to the task's events, and return it once it is done; null if the connection broke. */
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
        end(resolve, found);
      }
    });
    // The service's own event of that name, or a broken connection: asking tells which.
    source.addEventListener("error", () => end(resolve, null));
    signal.addEventListener("abort", () => end(reject, signal.reason));
  });
}

async function poll(task, show, wait, signal) {
  for (let seconds = 0; ; await pause(seconds)) {
    try {
      const found = await ask(`tasks/${task}`, { signal });
      show(found);
      if (DONE.has(found.status)) {
        return found;
      }
      seconds = 0;
    } catch (problem) {
      if (!problem.passes) {
        throw problem;
      }
      wait(problem);
      seconds = problem.retryAfter;
    }
  }
}
