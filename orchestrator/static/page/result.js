// Show what was answered about an image.

import { byId, element } from "./elements.js";
import { showLabels } from "./labels.js";
import { closeViewer, openViewer } from "./viewer.js";
import { spaced } from "./wording.js";

/** Show a report. */
export function showReport(report) {
  byId("result-title").textContent = headline(report.findings);
  byId("answered").textContent = [modelText(report.model), ...report.derived.map(derivedText)].join(" ");
  byId("warnings").replaceChildren(...report.warnings.map((text) => element("li", {}, text)));
  byId("about").replaceChildren(...about(report).flatMap(([term, text]) => [
    element("dt", {}, term),
    element("dd", {}, text),
  ]));
  showLabels(report.predictions, openViewer(report));
}

/** Take a report's pictures and figures off the page. */
export function clearReport() {
  closeViewer();
  for (const id of ["result-title", "answered", "warnings", "about", "labels", "caption"]) {
    byId(id).replaceChildren();
  }
}

function headline(findings) {
  if (findings.length === 0) {
    return "No findings";
  }
  const count = findings.length === 1 ? "1 finding" : `${findings.length} findings`;
  return `${count}: ${findings.map(spaced).join(", ")}`;
}

function modelText({ name, version }) {
  return `Model ${name}, version ${version}.`;
}

function derivedText({ label, rule, positive }) {
  return `${label}: ${positive ? "yes" : "no"} (${rule}).`;
}

function about({ analysis_id, model, image, timings_ms }) {
  const total = Object.values(timings_ms).reduce((sum, each) => sum + each, 0);
  const source = model.thresholds === "card" ? "of the model's card" : `calibrated (${model.thresholds})`;
  return [
    ["Model card", model.card_digest.slice(0, 16)],
    ["Thresholds", source],
    ["Image", `${image.width} × ${image.height} pixels, upright`],
    ["Time", `${Math.round(total)} ms`],
    ["Analysis", analysis_id],
  ];
}
