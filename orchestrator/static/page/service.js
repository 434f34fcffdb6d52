// Say which model answers, and what every reader must know of it, or what is away.

import { byId, element } from "./elements.js";
import { ask } from "./problem.js";

/** Show the state of the service. */
export async function showService() {
  try {
    const [{ model }] = await Promise.all([ask("health/ready"), ask("health/workers")]);
    const name = element("p", {}, `Model ${model.name}, version ${model.version}`);
    byId("service").replaceChildren(name, ...model.warnings.map((text) => element("p", { class: "warning" }, text)));
  } catch (problem) {
    const text = `Images would have to wait now. ${problem.title}: ${problem.detail}`;
    byId("service").replaceChildren(element("p", { class: "warning" }, text));
  }
}
