// Further snippets, from the feature.json beside the page, and whole windows, from the site's windows/.
//
// The page holds the first snippets, cut to what reads quickly. feature.json (atlas/render/data.py) holds all of
// them in the page's order, as columns, under "top", "quantiles[i].snippets" and "intervals[i].snippets"; windows/
// holds the tokens of whole windows, which features share. Text goes into the page as text only.

import { activation, level } from "./numbers.js";
import { prepare } from "./tokens.js";

const PER_FILE = 16; // windows, as in atlas/render/data.py
const LONGEST = 200; // characters of one token: a hostile one can be as long as a book
const loading = new Map();

/** A file's data, fetched once. */
function load(path) {
  if (!loading.has(path)) {
    const answer = fetch(path).then((response) => {
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      return response.json();
    });
    answer.catch(() => loading.delete(path));
    loading.set(path, answer);
  }
  return loading.get(path);
}

/** The feature's record. */
const record = () => load("feature.json");

/** The snippets of a key such as "top" or "quantiles.2". */
function listOf(data, key) {
  const [name, index] = key.split(".");
  const columns = (index === undefined ? data[name] : data[name]?.[index]?.snippets) || { value: [] };
  const keys = Object.keys(columns);
  return columns.value.map((_, i) => Object.fromEntries(keys.map((key) => [key, columns[key][i]])));
}

/** A snippet with the tokens of its whole window, and what is known of its document. */
async function whole(item) {
  const root = document.documentElement.dataset.root;
  const file = await load(`${root}/windows/${Math.floor(item.window / PER_FILE)}.json`);
  const at = file.window.indexOf(item.window);
  const of = Object.fromEntries(["tokens", "document", "url", "licence"].map((key) => [key, file[key][at]]));
  return { ...item, ...of, first: 0 };
}

/** Text without what would not show or would reorder its surroundings (atlas/text.py does the same). */
function visible(text) {
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
function paragraph(item, max) {
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

/** What the page calls each source, read off the rows that it holds already. */
function labelsOf(data) {
  const labels = {};
  for (const list of document.querySelectorAll("ol.sns[data-k]")) {
    const items = listOf(data, list.dataset.k);
    [...list.children].forEach((li, i) => {
      if (items[i]) labels[items[i].source] ||= li.lastElementChild.firstChild.textContent.replace(/ · \d+ alike$/, "");
    });
  }
  return labels;
}

function row(item, max, labels) {
  const li = document.createElement("li");
  const value = document.createElement("span");
  const source = document.createElement("small");
  value.textContent = activation(Math.fround(item.value));
  const label = labels[item.source] || item.source;
  source.textContent = item.repeats ? `${label} · ${item.repeats} alike` : label;
  li.append(value, paragraph(item, max), source);
  return li;
}

/** Says which document a snippet is of, with its address and licence where the row does not have them yet. */
function cite(source, item) {
  source.title = item.document;
  if (source.childElementCount || !(item.url || item.licence)) return;
  const [, label, alike] = source.textContent.match(/^(.*?)( · \d+ alike)?$/s);
  const name = document.createElement(/^https?:/.test(item.url) ? "a" : "span");
  name.textContent = label;
  if (name.href !== undefined) Object.assign(name, { href: item.url, rel: "external nofollow" });
  const licence = document.createElement("span");
  licence.textContent = item.licence ? ` · ${item.licence}` : "";
  source.replaceChildren(name, licence, alike || "");
}

/** A button whose work may fail for want of a network; it then says so and can be pressed again. */
function button(label, work) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = label;
  element.addEventListener("click", async () => {
    element.disabled = true;
    try {
      await work(element);
    } catch {
      element.textContent = `${label} (could not load; try again)`;
    }
    element.disabled = false;
  });
  return element;
}

/** Replace the snippets of a list that are cut by their whole windows, or put the cut ones back. */
async function showWhole(list, wanted) {
  const data = await record();
  const items = listOf(data, list.dataset.k).slice(0, list.children.length);
  const full = wanted ? await Promise.all(items.map(whole)) : [];
  [...list.children].forEach((li, i) => {
    const p = li.querySelector("p");
    if (!items[i]) return;
    li.cut ||= p;
    p.replaceWith(wanted ? paragraph(full[i], Math.fround(data.max)) : li.cut);
    if (wanted) cite(li.lastElementChild, full[i]);
    if (!wanted) delete li.cut;
  });
}

/** Put the buttons under the lists. */
export function install() {
  for (const list of document.querySelectorAll("ol.sns[data-k]")) {
    const buttons = document.createElement("div");
    buttons.className = "more";
    const toggle = button("Whole windows", async () => {
      const wanted = toggle.getAttribute("aria-pressed") !== "true";
      await showWhole(list, wanted);
      toggle.setAttribute("aria-pressed", String(wanted));
    });
    toggle.setAttribute("aria-pressed", "false");
    buttons.append(toggle);
    if (list.dataset.more) {
      const more = button(`Show ${list.dataset.more} more`, async () => {
        const data = await record();
        const labels = labelsOf(data);
        const from = list.children.length;
        for (const item of listOf(data, list.dataset.k).slice(from)) list.append(row(item, Math.fround(data.max), labels));
        if (toggle.getAttribute("aria-pressed") === "true") await showWhole(list, true);
        list.children[from]?.querySelector("p").focus();
        more.remove();
      });
      buttons.prepend(more);
    }
    list.after(buttons);
  }
}
