// The search boxes: every `form.atlas-search` becomes a combobox over the index in <root>/search/.
// Nothing is fetched before a box is focused (or the home page is opened with ?q=), and nothing from another host.

import { Index, marks, search } from "./search-core.js";

const WAIT = 90; // milliseconds of quiet before a query runs
const root = (document.documentElement.dataset.root || ".").replace(/\/$/, ""); // "/" would begin another host's name
export const index = new Index(load); // the map asks it too
let boxes = 0;

async function load(path) {
  const url = new URL(`${root}/search/${path}`, document.baseURI);
  // All other files are named by their content; only the manifest can change under its name.
  const answer = await fetch(url, path === "manifest.json" ? { cache: "no-cache" } : {});
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A name with its matched parts in <mark>. */
function marked(name, terms) {
  const parts = [];
  let at = 0;
  for (const [start, end] of marks(name, terms)) {
    parts.push(name.slice(at, start), element("mark", {}, name.slice(start, end)));
    at = end;
  }
  return [...parts, name.slice(at)];
}

class Box {
  constructor(form, input) {
    this.form = form;
    this.input = input;
    this.key = `atlas-results-${boxes++}`;
    this.home = form.classList.contains("home");
    this.turn = 0; // of the latest query: answers to earlier ones are dropped
    this.shown = null; // the text that the list answers
    this.selected = -1;
    this.options = [];
    // In a listbox only options may be heard; the footer's news reaches screen readers through the live region.
    this.list = element("div", { class: "atlas-results", role: "listbox", id: this.key, "aria-label": "Features found" });
    this.list.hidden = true;
    this.live = element("div", { class: "atlas-live", role: "status", "aria-live": "polite" });
    Object.assign(this.live.style, {
      position: "absolute", width: "1px", height: "1px", overflow: "hidden", clipPath: "inset(50%)", whiteSpace: "nowrap",
    });
    for (const [name, value] of Object.entries({
      role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.key,
      "aria-haspopup": "listbox", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    })) input.setAttribute(name, value);
    form.append(this.list, this.live);
    input.addEventListener("focus", () => index.manifest().catch(() => {}));
    input.addEventListener("input", () => this.soon());
    input.addEventListener("keydown", (event) => this.press(event));
    input.addEventListener("blur", () => this.close());
    form.addEventListener("submit", (event) => { event.preventDefault(); this.open(); });
    // Keeps the focus in the input, so that a press on a result is not a blur before it is a click.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", () => this.remember());
    document.addEventListener("pointerdown", (event) => { if (!form.contains(event.target)) this.close(); });
  }

  soon() {
    clearTimeout(this.timer);
    this.turn++;
    if (this.input.value.trim()) this.timer = setTimeout(() => this.run(), WAIT);
    else this.clear();
  }

  async run() {
    clearTimeout(this.timer);
    const turn = ++this.turn, text = this.input.value.trim();
    if (!text) return;
    this.list.setAttribute("aria-busy", "true");
    try {
      const found = await search(index, text);
      if (turn === this.turn) this.show(text, found);
    } catch {
      if (turn === this.turn) this.fail();
    } finally {
      if (turn === this.turn) this.list.removeAttribute("aria-busy");
    }
  }

  show(text, found) {
    const { results, total, about, any } = found;
    this.shown = text;
    this.options = results.map((result, place) => this.option(result, place, found.terms));
    const number = total.toLocaleString("en");
    const count = results.length === 0 ? "Nothing found"
      : results.length === total && !about ? `${number} found` : `${results.length} of ${about ? "about " : ""}${number}`;
    const note = any ? "no feature has all of these words, these have some · " : "";
    const size = `${Math.ceil(index.bytes / 1000).toLocaleString("en")} KB, nothing left this page`;
    this.fill(`${note}${count} · ${size}`, results.length ? "↑ ↓ to move, Enter to open" : "");
    this.live.textContent = `${any ? "No feature has all of these words, these have some. " : ""}${count}.`;
  }

  fail() {
    this.shown = null;
    this.options = [];
    const line = location.protocol === "file:"
      ? "Search works only where the site is served: run “python -m http.server” in its folder."
      : "Search could not be read just now. Type again to retry.";
    this.fill(line, "");
    this.live.textContent = line;
  }

  option({ path, name, line, id, fields }, place, terms) {
    const address = path.split("/").map(encodeURIComponent).join("/");
    return element("a", {
      role: "option", id: `${this.key}-${place}`, "aria-selected": "false", tabindex: "-1", href: `${root}/${address}/`,
    },
    element("span", { class: "name", dir: "auto" }, ...(name ? marked(name, terms) : [id])),
    element("span", { class: "id" }, id),
    element("span", { class: "line" }, `${fields.join(", ")} · `, element("bdi", {}, line)));
  }

  fill(count, keys) {
    const footer = element("footer", { "aria-hidden": "true" }, element("span", {}, keys), element("span", {}, count));
    this.list.replaceChildren(...this.options, footer);
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", String(this.options.length > 0));
    this.select(-1);
  }

  select(place) {
    this.options[this.selected]?.setAttribute("aria-selected", "false");
    this.selected = place;
    const option = this.options[place];
    if (!option) return this.input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  press(event) {
    if (event.isComposing) return;
    const closed = this.list.hidden, count = this.options.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (closed) return void this.reopen();
      const step = event.key === "ArrowDown" ? 1 : -1;
      // One place more than there are options: the input itself, where the text can be edited on.
      if (count) this.select(((this.selected + 1 + step + count + 1) % (count + 1)) - 1);
    } else if (event.key === "Escape" && !closed) {
      event.preventDefault(); // a first Escape closes the list, a second empties the box (the browser's own)
      this.turn++;
      clearTimeout(this.timer);
      this.close();
    }
  }

  reopen() {
    if (this.shown === this.input.value.trim() && this.options.length) {
      this.list.hidden = false;
      this.input.setAttribute("aria-expanded", "true");
    } else return this.run();
  }

  /** Enter: the selected result, or the first one of what is in the box now. */
  async open() {
    const text = this.input.value.trim();
    if (!text) return;
    if (this.shown !== text) await this.run();
    if (this.shown !== text || this.input.value.trim() !== text) return;
    const option = this.options[Math.max(this.selected, 0)];
    if (option) option.click();
  }

  /** So that going back finds the home page as it was left. */
  remember() {
    if (!this.home) return;
    const url = new URL(location.href);
    url.searchParams.set("q", this.input.value.trim());
    history.replaceState(history.state, "", url);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.select(-1);
  }

  clear() {
    this.shown = null;
    this.options = [];
    this.list.replaceChildren();
    this.live.textContent = "";
    this.close();
  }
}

const made = [...document.querySelectorAll("form.atlas-search")].flatMap((form) => {
  const input = form.querySelector("input");
  return input ? [new Box(form, input)] : [];
});
const asked = new URLSearchParams(location.search).get("q");
const home = made.find((box) => box.home);
if (asked && home) {
  home.input.value = asked;
  home.run();
}
