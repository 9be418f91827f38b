// Activations of the tokens in a snippet: shown on hover, on tap, and with the arrow keys.
//
// A snippet is <p data-v="405 318 ..."> whose <b> elements are the firing tokens; the values stand in their order.

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
const said = document.createElement("div"); // what a screen reader hears
said.className = "said";
said.setAttribute("aria-live", "polite");
let current = null;

/** The firing tokens of a snippet. */
const tokensOf = (snippet) => [...snippet.querySelectorAll("b")];

/** Make a snippet one tab stop; without JavaScript it would be a stop at which nothing can be done. */
export function prepare(snippet) {
  if (snippet.querySelector("b")) snippet.tabIndex = 0;
}

function hide() {
  tip.hidden = true;
  current?.classList.remove("on");
  current = null;
}

/** Show a token's value above it; `x` picks the line of a token that is broken over two. */
function show(token, { x = null, aloud = false } = {}) {
  const snippet = token.closest("[data-v]");
  const value = snippet.dataset.v.split(" ")[tokensOf(snippet).indexOf(token)];
  if (value === undefined) return;
  hide();
  current = token;
  tip.textContent = value;
  tip.hidden = false;
  if (aloud) {
    token.classList.add("on");
    said.textContent = `${token.textContent.trim() || "space"}: ${value}`;
  }
  const rects = [...token.getClientRects()];
  const rect = rects.find((r) => x !== null && r.left <= x && x <= r.right) || rects.sort((a, b) => b.width - a.width)[0];
  if (!rect) return;
  const left = Math.min(Math.max(rect.left + rect.width / 2 - tip.offsetWidth / 2, 4), document.documentElement.clientWidth - tip.offsetWidth - 4);
  const above = rect.top - tip.offsetHeight - 4;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 0 ? above : rect.bottom + 4) + scrollY}px`;
}

function onKey(event) {
  const snippet = event.target;
  if (!snippet.matches?.("[data-v]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return hide();
  const tokens = tokensOf(snippet);
  const rightToLeft = getComputedStyle(snippet).direction === "rtl";
  const at = tokens.indexOf(current);
  const step = { ArrowRight: rightToLeft ? -1 : 1, ArrowLeft: rightToLeft ? 1 : -1 }[event.key];
  let next;
  if (step) next = tokens[at + step] || tokens[at];
  else if (event.key === "Home") next = tokens[0];
  else if (event.key === "End") next = tokens.at(-1);
  if (!next) return;
  event.preventDefault();
  show(next, { aloud: true });
  next.scrollIntoView({ block: "nearest" });
}

/** Listen on the whole page, so that snippets added later need nothing. */
export function install() {
  document.body.append(tip, said);
  document.querySelectorAll("[data-v]").forEach(prepare);
  const token = (event) => event.target.closest?.("[data-v] b");
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse") return;
    if (token(event)) show(token(event), { x: event.clientX });
    else if (!current?.classList.contains("on")) hide();
  });
  document.addEventListener("click", (event) => (token(event) ? show(token(event), { x: event.clientX }) : hide()));
  document.addEventListener("focusin", (event) => {
    const snippet = event.target;
    if (!snippet.matches?.("[data-v]") || !snippet.matches(":focus-visible")) return;
    const first = snippet.querySelector(".k") || snippet.querySelector("b");
    if (first) show(first, { aloud: true });
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", onKey);
}
