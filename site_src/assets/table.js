// The table of a dictionary: sorted, filtered and paged in the browser from one columnar file.
//
// The page holds its first rows as plain HTML. The file is fetched when the reader first sorts, filters
// or turns a page, not before: it grows with the dictionary. Rows are numbers into the columns; their
// order in the file is the static rank.

import { activation, percent } from "./numbers.js";

const PER_PAGE = 100;
const NUMERIC = new Set(["index", "density", "max"]);
const table = document.querySelector("table.feats[data-src]");
const body = table.tBodies[0];
const count = document.getElementById("count");
const filter = document.getElementById("filter");
const state = { columns: null, texts: [], rows: [], key: "", descending: false, page: 0 };
let loading = null;

const printed = {
  density: (value) => (typeof value === "number" ? percent(value) : value),
  max: (value) => (typeof value === "number" ? activation(value) : value),
  tokens: (value) => (Array.isArray(value) ? value.join(" ") : value),
};

/** A cell's text. */
function text(key, row) {
  const value = state.columns[key]?.[row] ?? "";
  return String(printed[key] ? printed[key](value) : value);
}

/** Fetch the columns once, and the text that the filter looks through. */
function load() {
  loading ||= fetch(table.dataset.src).then(async (answer) => {
    if (!answer.ok) throw new Error(String(answer.status));
    state.columns = await answer.json();
    state.texts = state.columns.index.map((_, row) => ["index", "name", "source", "tokens"].map((key) => text(key, row)).join(" ").toLowerCase());
  });
  loading.catch(() => {
    loading = null;
    count.textContent = "The table’s data could not be loaded.";
  });
  return loading;
}

/** The rows that hold every word of the filter, in the chosen order. */
function select() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let rows = state.texts.map((_, row) => row);
  if (words.length) rows = rows.filter((row) => words.every((word) => state.texts[row].includes(word)));
  if (state.key) {
    const column = state.columns[state.key];
    const sign = state.descending ? -1 : 1;
    const order = new Intl.Collator("en", { numeric: true });
    const compare = NUMERIC.has(state.key)
      ? (a, b) => Number.parseFloat(column[a]) - Number.parseFloat(column[b])
      : (a, b) => order.compare(String(column[a]), String(column[b]));
    rows.sort((a, b) => sign * compare(a, b) || a - b);
  }
  state.rows = rows;
}

function cell(key, row, folder) {
  const element = document.createElement(key === "name" ? "th" : "td");
  if (NUMERIC.has(key)) element.className = "r";
  if (key === "name") {
    element.scope = "row";
    const link = document.createElement("a");
    link.dir = "auto";
    link.href = new URL(`${state.columns.index[row]}/`, folder);
    link.textContent = text(key, row);
    element.append(link);
  } else {
    element.textContent = text(key, row);
  }
  return element;
}

/** Draw the current page of rows and the buttons under it. */
function draw() {
  const keys = [...table.tHead.rows[0].cells].map((head) => head.dataset.c);
  const folder = new URL(".", new URL(table.dataset.src, location.href));
  const from = state.page * PER_PAGE;
  const shown = state.rows.slice(from, from + PER_PAGE);
  body.replaceChildren(
    ...shown.map((row) => {
      const line = document.createElement("tr");
      line.append(...keys.map((key) => cell(key, row, folder)));
      return line;
    }),
  );
  const number = (value) => value.toLocaleString("en");
  count.textContent = state.rows.length ? `${number(from + 1)}–${number(from + shown.length)} of ${number(state.rows.length)}` : "No feature matches.";
  for (const head of table.tHead.rows[0].cells) {
    if (head.dataset.c === state.key) head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  drawPages();
}

function drawPages() {
  let pages = document.getElementById("pages");
  if (!pages) {
    pages = document.createElement("nav");
    pages.id = "pages";
    pages.className = "pages";
    pages.setAttribute("aria-label", "Pages of this table");
    table.closest("section").append(pages);
  }
  const last = Math.max(0, Math.ceil(state.rows.length / PER_PAGE) - 1);
  const turn = (label, to) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.disabled = to < 0 || to > last;
    button.addEventListener("click", () => {
      state.page = to;
      draw();
      table.closest("section").scrollIntoView();
    });
    return button;
  };
  const place = document.createElement("span");
  place.textContent = `Page ${state.page + 1} of ${last + 1}`;
  pages.hidden = last === 0;
  pages.replaceChildren(turn("← previous", state.page - 1), place, turn("next →", state.page + 1));
}

async function update() {
  await load();
  state.page = 0;
  select();
  draw();
}

/** Sort by a column: its natural direction first, then the other, then back to the rank. */
function sortBy(key) {
  const natural = NUMERIC.has(key) && key !== "index"; // large first
  if (state.key !== key) Object.assign(state, { key, descending: natural });
  else if (state.descending === natural) state.descending = !natural;
  else state.key = "";
  update().catch(() => {});
}

for (const head of table.tHead.rows[0].cells) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  button.addEventListener("click", () => sortBy(head.dataset.c));
  head.replaceChildren(button);
}
let waiting = 0;
filter.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => update().catch(() => {}), 120);
});
document.getElementById("tools").hidden = false;
