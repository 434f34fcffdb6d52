// Show how often which label was found.

import { dayColumns, dayTable, labelTable } from "./charts.js";
import { byId, element } from "./elements.js";
import { ask } from "./problem.js";
import { spaced } from "./wording.js";

const DAYS = 30;
const ALL = "";

let days = [];

/** Fetch the figures and draw them. */
export async function showStatistics() {
  try {
    const [summary, daily] = await Promise.all([
      figures("stats/diseases/summary"),
      figures(`stats/diseases/daily?days=${DAYS}`),
    ]);
    days = daily.days;
    show(summary);
  } catch (problem) {
    byId("statistics-text").textContent = `${problem.title}: ${problem.detail}`;
    byId("charts").hidden = true;
  }
}

/** Redraw the days when another count is chosen. */
export function watchSeries() {
  byId("series").addEventListener("change", drawDays);
}

function figures(path) {
  return ask(path, { headers: { Accept: "application/json" } });
}

function show({ analyses, labels, start, end }) {
  byId("charts").hidden = analyses === 0;
  if (analyses === 0) {
    byId("statistics-text").textContent = "Nothing was analysed yet.";
    return;
  }
  const count = analyses === 1 ? "1 analysis" : `${analyses} analyses`;
  byId("statistics-text").textContent = `${count} from ${start} to ${end}, days in UTC.`;
  byId("labels-chart").replaceChildren(labelTable(labels, byId("labels-chart-title").textContent));
  offerSeries(labels.map((each) => each.label));
  drawDays();
}

function offerSeries(labels) {
  const series = byId("series");
  const chosen = series.value;
  const options = labels.map((label) => element("option", { value: label }, `Positives: ${spaced(label)}`));
  series.replaceChildren(element("option", { value: ALL }, "Analyses"), ...options);
  series.value = labels.includes(chosen) ? chosen : ALL;
}

function drawDays() {
  const label = byId("series").value;
  const counts = days.map((day) => ({ date: day.date, count: countOf(day, label) }));
  const name = label === ALL ? "Analyses" : `Positives of ${spaced(label)}`;
  byId("days-chart").replaceChildren(dayColumns(counts, name));
  byId("days-table").replaceChildren(dayTable(counts, name));
}

function countOf(day, label) {
  return label === ALL ? day.analyses : (day.labels.find((each) => each.label === label)?.positives ?? 0);
}
