// Draw figures: bars in a table, and columns over days.

import { element, shape } from "./elements.js";
import { spaced } from "./wording.js";

const WIDTH = 520;
const HEIGHT = 220;
const EDGE = { top: 18, right: 8, bottom: 26, left: 56 };
const ACROSS = WIDTH - EDGE.left - EDGE.right;
const DOWN = HEIGHT - EDGE.top - EDGE.bottom;
const FILLED = 0.8; // of a column's room
const SHORT = new Intl.NumberFormat("en", { notation: "compact" }); // 400K: an axis has counts of one digit and zeros

/** Return a table with a bar per label: the share of analyses that were positive, and the mean probability. */
export function labelTable(labels, title) {
  const head = ["Label", "Share", "Positive", "Mean"].map((text) => element("th", { scope: "col" }, text));
  const rows = labels.map((each) => {
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", each.analyses ? each.positives / each.analyses : 0);
    bar.style.setProperty("--mean", each.mean_probability ?? 0);
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, spaced(each.label)),
      element("td", { class: "bars" }, bar),
      element("td", {}, `${each.positives} of ${each.analyses}`),
      element("td", {}, each.mean_probability === null ? "–" : each.mean_probability.toFixed(2)),
    );
  });
  return table(title, head, rows);
}

/** Return a drawing with a column per day. */
export function dayColumns(days, name) {
  const most = Math.max(...days.map((day) => day.count));
  const top = roundUp(most);
  const room = ACROSS / days.length;
  const columns = days.map((day, number) => {
    const height = (DOWN * day.count) / top;
    const box = { x: EDGE.left + room * number, y: EDGE.top + DOWN - height, width: room * FILLED, height };
    return shape("rect", { class: "column", ...box }, shape("title", {}, `${day.date}: ${day.count}`));
  });
  const total = days.reduce((sum, day) => sum + day.count, 0);
  const words = `${name} by day: ${total} from ${days[0].date} to ${days.at(-1).date}, at most ${most} on one day`;
  return shape(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    ...[0, top / 2, top].filter(Number.isInteger).flatMap((count) => rule(count, top)),
    ...columns,
    text(EDGE.left, HEIGHT - 8, days[0].date, "start"),
    text(WIDTH - EDGE.right, HEIGHT - 8, days.at(-1).date, "end"),
  );
}

/** Return a table of the days that have a count. */
export function dayTable(days, name) {
  const head = ["Day (UTC)", name].map((each) => element("th", { scope: "col" }, each));
  const rows = days
    .filter((day) => day.count)
    .map((day) => element("tr", {}, element("th", { scope: "row" }, day.date), element("td", {}, String(day.count))));
  return table(`${name} by day`, head, rows);
}

function table(title, head, rows) {
  const caption = element("caption", { class: "unseen" }, title);
  return element("table", {}, caption, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

function rule(count, top) {
  const y = EDGE.top + DOWN - (DOWN * count) / top;
  return [
    shape("line", { class: "rule", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y }),
    text(EDGE.left - 6, y + 4, SHORT.format(count), "end"),
  ];
}

function text(x, y, content, anchor) {
  return shape("text", { x, y, "text-anchor": anchor }, content);
}

/** Return the next of 1, 2, 4, 6, 8, 10, 20, 40 …: an axis ends there. */
function roundUp(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((end) => end >= most);
}
