// Further snippets, from the feature.json beside the page, and whole windows, from the site's windows/.
//
// The page holds the first snippets, cut to what reads quickly. feature.json holds all of them (see snippets.js);
// windows/ holds the tokens of whole windows, which features share.

import { activation } from "./numbers.js";
import { listOf, load, paragraph } from "./snippets.js";

const PER_FILE = 16; // windows, as in atlas/render/data.py

/** The feature's record. */
const record = () => load("feature.json");

/** A snippet with the tokens of its whole window, and what is known of its document. */
async function whole(item) {
  const root = document.documentElement.dataset.root;
  const file = await load(`${root}/windows/${Math.floor(item.window / PER_FILE)}.json`);
  const at = file.window.indexOf(item.window);
  const of = Object.fromEntries(["tokens", "document", "url", "licence"].map((key) => [key, file[key][at]]));
  return { ...item, ...of, first: 0 };
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
