// Snippets out of a feature.json, with the markup that pages have; what feature pages and lists share.
//
// feature.json (atlas/render/data.py) holds the snippets in the page's order, as columns, under "top",
// "quantiles[i].snippets" and "intervals[i].snippets". Text goes into the page as text only.

import { activation, level } from "./numbers.js";
import { prepare } from "./tokens.js";

const LONGEST = 200; // characters of one token: a hostile one can be as long as a book
const loading = new Map();

/** A file's data, fetched once. */
export function load(path) {
  if (!loading.has(path)) {
    const answer = fetch(path).then((response) => {
      if (!response.ok) throw Object.assign(new Error(`${path}: ${response.status}`), { status: response.status });
      return response.json();
    });
    answer.catch(() => loading.delete(path));
    loading.set(path, answer);
  }
  return loading.get(path);
}

/** The snippets of a key such as "top" or "quantiles.2". */
export function listOf(data, key) {
  const [name, index] = key.split(".");
  const columns = (index === undefined ? data[name] : data[name]?.[index]?.snippets) || { value: [] };
  const keys = Object.keys(columns);
  return columns.value.map((_, i) => Object.fromEntries(keys.map((key) => [key, columns[key][i]])));
}

/** Text without what would not show or would reorder its surroundings (atlas/text.py does the same). */
export function visible(text) {
  return text
    .slice(0, LONGEST)
    .replace(/[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g, "")
    .replace(/\t/g, " ")
    .replace(/[\0-\x09\x0b-\x1f]/g, (char) => String.fromCharCode(0x2400 + char.charCodeAt(0)))
    .replace(/[\x7f-\x9f]/g, "\ufffd");
}

/** Text in which line ends are grey arrows and indentation stays. */
function appendText(parent, text) {
  const kept = visible(text).replace(/ {2,}/g, (run) => "\u00a0".repeat(run.length));
  kept.split("\n").forEach((line, i) => {
    if (i) {
      const arrow = document.createElement("i");
      arrow.textContent = "↵";
      parent.append(arrow, " ");
    }
    parent.append(line);
  });
}

/** The tokens of a snippet as runs: tokens that share a character have its text in the first and "" after it. */
function runsOf(item) {
  const runs = [];
  const values = new Map(item.at.map((place, i) => [place, Math.fround(item.values[i])]));
  item.tokens.forEach((text, place) => {
    const i = item.first + place;
    const value = values.get(i) || 0;
    const focus = i === item.position;
    const last = runs.at(-1);
    if (text || !last) runs.push({ text, value, focus, first: i, last: i });
    else Object.assign(last, { value: Math.max(last.value, value), focus: last.focus || focus, last: i });
  });
  return runs;
}

/** A snippet's paragraph; the same markup as atlas/render/html.py makes. */
export function paragraph(item, max) {
  const p = document.createElement("p");
  const runs = runsOf(item);
  const values = [];
  p.dir = "auto";
  if (runs[0]?.first > 0 || item.start > 0) p.append("…");
  runs.forEach((run, i) => {
    const text = i ? run.text : run.text.replace(/^ +(?=.)/s, "");
    if (run.value > 0 || run.focus) {
      const token = document.createElement("b");
      token.className = run.value > 0 ? `a${level(run.value, max)}` : "";
      if (run.focus) token.classList.add("k");
      appendText(token, text);
      p.append(token);
      values.push(activation(run.focus && run.value > 0 ? Math.fround(item.value) : run.value));
    } else {
      appendText(p, text);
    }
  });
  if (runs.at(-1)?.last < item.length - 1) p.append("…");
  p.dataset.v = values.join(" ");
  prepare(p);
  return p;
}
