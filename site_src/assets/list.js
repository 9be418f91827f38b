// A list of features that lies in the page's address and nowhere else:
//
//     list/#title=Two%20of%20them&model/dictionary/650,model/dictionary/842
//
// Each feature is read from its feature.json. The list is ordered, cut and added to here, and the address follows.
// Whatever comes from an address or a file is set as text only.

import { activation, percent } from "./numbers.js";
import { listOf, load, paragraph, visible } from "./snippets.js";
import { install } from "./tokens.js";

const MOST = 200; // features of a list
const LONGEST_TITLE = 120;
const PROMOTED = 5;
const ID = /^[a-z0-9][a-z0-9._-]*\/[a-z0-9][a-z0-9._-]*\/(?:0|[1-9]\d{0,8})$/;
const root = (document.documentElement.dataset.root || ".").replace(/\/$/, "");
const $ = (id) => document.getElementById(id);
const [page, items, status] = [$("list"), $("list-items"), $("list-status")];
const [heading, atlas] = [page.querySelector("h1"), document.title.split(" · ").slice(1).join(" · ")];
const unnamed = heading.textContent;
const lines = new Map(); // of each entry, its <li>
let title = "";
let entries = []; // addresses of features, and what was no address as it was given

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** What an address says, or the text as it stands where it is not encoded as addresses are. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `model/dictionary/index` of an id or of a link to a feature; the text itself if it is neither. */
function address(text) {
  const plain = text.trim();
  const path = plain.replace(/[?#].*$/s, "").replace(/^[a-z]+:\/\/[^/]*/i, "");
  const parts = path.replace(/\/(?:index\.html|feature\.json)$/, "/").split("/").filter((part) => part && !/^\.+$/.test(part));
  const id = (parts.length === 2 ? [page.dataset.model, ...parts] : parts.slice(-3)).join("/");
  return ID.test(id) ? id : plain;
}

/** The title and the entries of what stands behind a "#". */
function parsed(hash) {
  const parts = hash.replace(/^#/, "").split("&");
  const named = parts.find((part) => part.startsWith("title="));
  const texts = parts.filter((part) => part !== named).join("&").split(",");
  return { title: decoded(named?.slice(6) ?? "").slice(0, LONGEST_TITLE), entries: texts.map((text) => address(decoded(text))).filter(Boolean) };
}

/** Text as an address takes it; half of a surrogate pair would be an error. */
const encoded = (text) => encodeURIComponent(text.replace(/\p{Surrogate}/gu, "\ufffd"));

/** The address of the list as it is. */
function hash() {
  const ids = entries.map((entry) => (ID.test(entry) ? entry : encoded(entry))).join(",");
  return [title && `title=${encoded(title)}`, ids].filter(Boolean).join("&");
}

/** What a screen reader hears, and everyone sees, of the last change. */
function say(text) {
  status.textContent = text;
}

const short = (text) => (text.length > 80 ? `${visible(text).slice(0, 80)}…` : visible(text));
const count = (number) => (number === 1 ? "1 feature" : `${number} features`);

/** Fill a line with what the feature's file says. */
function show(line, id, data) {
  const max = Math.fround(data.max);
  const [best] = listOf(data, "top");
  const name = data.name.text || `Feature ${data.index} of ${data.dictionary}`;
  const tokens = data.logits.top.token.slice(0, PROMOTED).flatMap((token, i) => {
    const text = visible(token.replace(/ /g, "␣").replace(/\t/g, "⇥").replace(/\n/g, "↵"));
    return [i ? ", " : "Promotes ", element("code", { textContent: text })];
  });
  const numbers = data.count ? `density ${percent(data.density)} · maximum ${activation(max)}` : "never fired on the text that was read";
  line.querySelector(".what").replaceWith(
    element("a", { href: `${root}/${id}/`, dir: "auto", textContent: name }),
    best ? paragraph(best, max) : element("p", {}),
  );
  line.querySelector("small").textContent = id.split("/").slice(1).join("/");
  line.querySelector(".moves").before(
    ...(tokens.length ? [element("p", { className: "fine" }, ...tokens)] : []),
    element("p", { className: "fine", textContent: `${data.hook_point} · ${numbers}` }),
  );
  label(line, name);
}

/** Say in a line why it has no feature. */
function fail(line, entry, error) {
  const served = location.protocol !== "file:";
  const wrong = !ID.test(entry) ? "is no feature: an id is model/dictionary/index"
    : error?.status === 404 ? "is no feature of this atlas"
    : served ? "could not be loaded just now; reload the page to try again"
    : "can be read only where the site is served: run “python -m http.server” in its folder";
  line.querySelector(".what").textContent = `“${short(entry)}” ${wrong}.`;
}

/** Name a line's buttons after its feature, for those who hear them one by one. */
function label(line, name) {
  line.dataset.name = name;
  for (const button of line.querySelectorAll("button")) button.setAttribute("aria-label", `${button.textContent}: ${name}`);
}

/** The line of an entry, made once. */
function lineOf(entry) {
  const made = lines.get(entry);
  if (made) return made;
  const button = (text, work) => {
    const pressed = element("button", { type: "button", textContent: text });
    pressed.addEventListener("click", () => work(pressed));
    return pressed;
  };
  const moves = element(
    "div", { className: "moves" },
    button("Up", (pressed) => move(entry, -1, pressed)),
    button("Down", (pressed) => move(entry, 1, pressed)),
    button("Remove", () => remove(entry)),
  );
  const line = element("li", {}, element("span", { className: "what", textContent: ID.test(entry) ? `${entry} …` : "" }), element("small", {}), moves);
  lines.set(entry, line);
  label(line, short(entry));
  if (ID.test(entry)) load(`${root}/${entry}/feature.json`).then((data) => show(line, entry, data)).catch((error) => fail(line, entry, error));
  else fail(line, entry);
  return line;
}

/** Put the list as it is on the page. */
function draw() {
  heading.textContent = title || unnamed;
  document.title = `${heading.textContent} · ${atlas}`;
  if ($("title").value !== title) $("title").value = title;
  items.replaceChildren(...entries.map(lineOf));
  entries.forEach((entry, place) => {
    const [up, down] = lines.get(entry).querySelectorAll("button");
    up.disabled = place === 0;
    down.disabled = place === entries.length - 1;
  });
  $("list-count").textContent = count(entries.length);
  items.closest("section").hidden = entries.length === 0;
}

/** Draw a changed list and put it into the address. */
function changed(said) {
  history.replaceState(history.state, "", `#${hash()}`);
  draw();
  say(said);
}

function move(entry, step, pressed) {
  const from = entries.indexOf(entry);
  entries.splice(from, 1);
  entries.splice(from + step, 0, entry);
  changed(`${lines.get(entry).dataset.name}: now ${from + step + 1} of ${entries.length}.`);
  const other = pressed.nextElementSibling.textContent === "Down" ? pressed.nextElementSibling : pressed.previousElementSibling;
  (pressed.disabled ? other : pressed).focus(); // a line that moves loses the focus
}

function remove(entry) {
  const place = entries.indexOf(entry);
  const { name } = lines.get(entry).dataset;
  entries.splice(place, 1);
  lines.delete(entry);
  changed(`Removed ${name}.`);
  const next = lines.get(entries[Math.min(place, entries.length - 1)]);
  (next?.querySelector(".moves").lastElementChild ?? $("entry")).focus();
}

/** Add an id, a link to a feature, or all features of a link to a list. */
function add(text) {
  const listed = /\/list\/(?:index\.html)?#(.*)$/s.exec(text.trim());
  const given = listed ? parsed(listed[1]).entries : [address(text)].filter(Boolean);
  const wrong = given.find((entry) => !ID.test(entry));
  if (!given.length) return say("Nothing to add: give an id, or a link to a feature.");
  if (wrong !== undefined) return say(`“${short(wrong)}” is no feature: an id is model/dictionary/index.`);
  const fresh = [...new Set(given)].filter((entry) => !entries.includes(entry));
  if (!fresh.length) return say("It is in the list already.");
  if (entries.length + fresh.length > MOST) return say(`A list holds at most ${MOST} features.`);
  entries.push(...fresh);
  $("entry").value = "";
  return changed(`Added ${fresh.length === 1 ? fresh[0] : count(fresh.length)}.`);
}

/** Take the list from the address. */
function open() {
  const found = parsed(location.hash);
  const distinct = [...new Set(found.entries)];
  title = found.title;
  entries = distinct.slice(0, MOST);
  draw();
  if (distinct.length > MOST) say(`The address lists ${distinct.length} features; these are the first ${MOST}.`);
  else say(entries.length ? "" : "No features yet. Add one here, or begin from a feature’s page.");
}

$("list-add").addEventListener("submit", (event) => {
  event.preventDefault();
  add($("entry").value);
});
$("list-title").addEventListener("submit", (event) => event.preventDefault());
$("title").addEventListener("input", () => {
  title = $("title").value.trim();
  history.replaceState(history.state, "", `#${hash()}`);
  heading.textContent = title || unnamed;
  document.title = `${heading.textContent} · ${atlas}`;
});
$("list-copy").hidden = !navigator.clipboard; // it exists on secure origins only
$("list-copy").addEventListener("click", () => navigator.clipboard.writeText(location.href)
  .then(() => say("The link was copied."), () => say("The browser did not allow copying; the address bar has the link.")));
addEventListener("hashchange", open);
install();
$("list-title").hidden = $("list-add").hidden = false;
open();
