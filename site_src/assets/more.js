// Further snippets and whole windows, from the feature.json beside the page.
//
// The page holds the first snippets, cut to what reads quickly. feature.json holds all of them, whole:
// lists of {value, tokens, values, position, source, repeats} under "top", "quantiles[i].snippets" and
// "intervals[i].snippets", in the page's order, and "max". Text goes into the page as text only.

import { prepare } from "./tokens.js";

const BEFORE = 16; // tokens around the one that a cut snippet stands for
const AFTER = 12;
const STEPS = 9;
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

/** An activation as the page prints it: three significant digits. */
function printed(value) {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** Text in which line ends are grey arrows and indentation stays. */
function appendText(parent, text) {
  const kept = text.replace(/ {2,}/g, (run) => "\u00a0".repeat(run.length));
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

/** A snippet's paragraph, whole or cut; the same markup as atlas/render/html.py makes. */
function paragraph(item, max, whole) {
  const p = document.createElement("p");
  const first = whole ? 0 : Math.max(0, item.position - BEFORE);
  const last = whole ? item.tokens.length : Math.min(item.tokens.length, item.position + AFTER + 1);
  const values = [];
  p.dir = "auto";
  if (first > 0) p.append("…");
  for (let i = first; i < last; i += 1) {
    const text = i === first ? item.tokens[i].replace(/^ +(?=.)/s, "") : item.tokens[i];
    if (item.values[i] > 0) {
      const token = document.createElement("b");
      token.className = `a${Math.min(STEPS, Math.max(1, Math.ceil((STEPS * item.values[i]) / max)))}`;
      if (i === item.position) token.classList.add("k");
      appendText(token, text);
      p.append(token);
      values.push(printed(item.values[i]));
    } else {
      appendText(p, text);
    }
  }
  if (last < item.tokens.length) p.append("…");
  p.dataset.v = values.join(" ");
  prepare(p);
  return p;
}

function row(item, max, whole) {
  const li = document.createElement("li");
  const value = document.createElement("span");
  const source = document.createElement("small");
  value.textContent = printed(item.value);
  source.textContent = item.repeats ? `${item.source} · ${item.repeats} alike` : item.source;
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

/** Replace every snippet on the page by its whole window, or put the cut ones back. */
async function toggleWhole(element) {
  const whole = element.getAttribute("aria-pressed") !== "true";
  const data = await record();
  for (const list of document.querySelectorAll("ol.sns[data-k]")) {
    const items = listOf(data, list.dataset.k);
    [...list.children].forEach((li, i) => {
      const p = li.querySelector("p");
      if (!items[i]) return;
      li.cut ||= p;
      p.replaceWith(whole ? paragraph(items[i], data.max, true) : li.cut);
    });
  }
  element.setAttribute("aria-pressed", String(whole));
}

/** Put the buttons under the lists. */
export function install() {
  let toggle = null;
  for (const list of document.querySelectorAll("ol.sns[data-k]")) {
    const buttons = document.createElement("div");
    buttons.className = "more";
    if (list.dataset.more) {
      const more = button(`Show ${list.dataset.more} more`, async () => {
        const data = await record();
        const whole = toggle?.getAttribute("aria-pressed") === "true";
        const from = list.children.length;
        for (const item of listOf(data, list.dataset.k).slice(from)) {
          const li = row(item, data.max, whole);
          if (whole) li.cut = paragraph(item, data.max, false);
          list.append(li);
        }
        list.children[from]?.querySelector("p").focus();
        more.remove();
      });
      buttons.append(more);
    }
    if (list.dataset.k === "top") {
      toggle = button("Whole windows", toggleWhole);
      toggle.setAttribute("aria-pressed", "false");
      buttons.append(toggle);
    }
    if (buttons.childElementCount) list.after(buttons);
  }
}
