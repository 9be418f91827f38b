// Further snippets and whole windows, from the feature.json beside the page.
//
// The page holds the first snippets, cut to what reads quickly. feature.json (atlas/render/data.py) holds all of
// them in the page's order: {value, tokens, at, values, position, start, source, repeats} under "top",
// "quantiles[i].snippets" and "intervals[i].snippets", and "max". Text goes into the page as text only.

import { activation, level } from "./numbers.js";
import { prepare } from "./tokens.js";

const BEFORE = 14; // tokens around the one that a cut snippet stands for, as atlas/render/snippets.py cuts
const AFTER = 10;
const LONGEST = 200; // characters of one token: a hostile one can be as long as a book
let loading = null;

/** The feature's record, fetched once. */
function record() {
  loading ||= fetch("feature.json").then((answer) => {
    if (!answer.ok) throw new Error(`feature.json: ${answer.status}`);
    return answer.json();
  });
  loading.catch(() => (loading = null));
  return loading;
}

/** The list of a key such as "top" or "quantiles.2". */
function listOf(data, key) {
  const [name, index] = key.split(".");
  return (index === undefined ? data[name] : data[name]?.[index]?.snippets) || [];
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
      arrow.className = "n";
      arrow.textContent = "↵";
      parent.append(arrow, " ");
    }
    parent.append(line);
  });
}

/** The tokens of a snippet as runs: tokens that share a character have its text in the first and "" after it. */
function runsOf(item) {
  const runs = [];
  const values = new Map(item.at.map((place, i) => [place, item.values[i]]));
  item.tokens.forEach((text, i) => {
    const value = values.get(i) || 0;
    const focus = i === item.position;
    const last = runs.at(-1);
    if (text || !last) runs.push({ text, value, focus, first: i, last: i });
    else Object.assign(last, { value: Math.max(last.value, value), focus: last.focus || focus, last: i });
  });
  return runs;
}

/** A snippet's paragraph, whole or cut; the same markup as atlas/render/html.py makes. */
function paragraph(item, max, whole) {
  const p = document.createElement("p");
  const from = whole ? 0 : item.position - BEFORE;
  const to = whole ? Infinity : item.position + AFTER;
  const runs = runsOf(item).filter((run) => run.last >= from && run.first <= to);
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
      values.push(activation(run.focus && run.value > 0 ? item.value : run.value));
    } else {
      appendText(p, text);
    }
  });
  if (runs.at(-1)?.last < item.tokens.length - 1) p.append("…");
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
      if (items[i]) labels[items[i].source] ||= li.lastElementChild.textContent.replace(/ · \d+ alike$/, "");
    });
  }
  return labels;
}

function row(item, max, labels, whole) {
  const li = document.createElement("li");
  const value = document.createElement("span");
  const source = document.createElement("small");
  value.textContent = activation(item.value);
  const label = labels[item.source] || item.source;
  source.textContent = item.repeats ? `${label} · ${item.repeats} alike` : label;
  li.append(value, paragraph(item, max, whole), source);
  return li;
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

/** Replace the strongest snippets by their whole windows, or put the cut ones back. */
async function toggleWhole(element, list) {
  const whole = element.getAttribute("aria-pressed") !== "true";
  const data = await record();
  const items = listOf(data, list.dataset.k);
  [...list.children].forEach((li, i) => {
    const p = li.querySelector("p");
    if (!items[i]) return;
    li.cut ||= p;
    p.replaceWith(whole ? paragraph(items[i], data.max, true) : li.cut);
  });
  element.setAttribute("aria-pressed", String(whole));
}

/** Put the buttons under the lists. Groups of the sample hold no whole windows, only the strongest text does. */
export function install() {
  for (const list of document.querySelectorAll("ol.sns[data-k]")) {
    const buttons = document.createElement("div");
    buttons.className = "more";
    let toggle = null;
    if (list.dataset.k === "top") {
      toggle = button("Whole windows", (element) => toggleWhole(element, list));
      toggle.setAttribute("aria-pressed", "false");
      buttons.append(toggle);
    }
    if (list.dataset.more) {
      const more = button(`Show ${list.dataset.more} more`, async () => {
        const data = await record();
        const labels = labelsOf(data);
        const whole = toggle?.getAttribute("aria-pressed") === "true";
        const from = list.children.length;
        for (const item of listOf(data, list.dataset.k).slice(from)) {
          const li = row(item, data.max, labels, whole);
          if (whole) li.cut = paragraph(item, data.max, false);
          list.append(li);
        }
        list.children[from]?.querySelector("p").focus();
        more.remove();
      });
      buttons.prepend(more);
    }
    if (buttons.childElementCount) list.after(buttons);
  }
}
