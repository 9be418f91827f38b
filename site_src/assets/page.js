// Entry module of every page: colour scheme, keys, copy buttons; snippets and their data where there are any.

const SCHEMES = ["", "default", "slate"]; // stored under "atlas-scheme"; "" follows the system
const WORDS = { "": "Auto", default: "Light", slate: "Dark" };
const dark = matchMedia("(prefers-color-scheme: dark)");

/** The stored scheme, "" where there is none or storage is refused. */
function stored() {
  try {
    return localStorage.getItem("atlas-scheme") || "";
  } catch {
    return "";
  }
}

/** Paint the page in a scheme and say so on the switch. */
function paint(button, scheme) {
  document.body.setAttribute("data-md-color-scheme", scheme || (dark.matches ? "slate" : "default"));
  button.textContent = WORDS[scheme] || WORDS[""];
  button.setAttribute("aria-label", `Colours: ${button.textContent}. Change`);
}

function installScheme(button) {
  let scheme = stored();
  paint(button, scheme);
  button.hidden = false;
  button.addEventListener("click", () => {
    scheme = SCHEMES[(SCHEMES.indexOf(scheme) + 1) % SCHEMES.length];
    try {
      if (scheme) localStorage.setItem("atlas-scheme", scheme);
      else localStorage.removeItem("atlas-scheme");
    } catch {
      // Storage is refused: the choice lasts for this page.
    }
    paint(button, scheme);
  });
  dark.addEventListener("change", () => paint(button, scheme));
}

/** "/" goes to the search box, j and k to the next and the previous feature. */
function installKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "/") {
      const box = document.querySelector(".atlas-search.home input, .atlas-search input");
      if (!box) return;
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.key === "j" || event.key === "k") {
      document.querySelector(`.pager a[rel="${event.key === "j" ? "next" : "prev"}"]`)?.click();
    }
  });
}

/** A button that copies an element's text; the clipboard exists on secure origins only. */
function installCopy(pre) {
  if (!navigator.clipboard) return;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  pre.parentElement.insertBefore(button, pre.parentElement.classList.contains("cite") ? pre.parentElement.firstChild : pre);
}

document.querySelectorAll(".atlas-scheme").forEach(installScheme);
document.querySelectorAll(".cite pre, .card pre").forEach(installCopy);
installKeys();
if (document.querySelector("[data-v]")) import("./tokens.js").then((module) => module.install());
if (document.querySelector("ol.sns[data-k]")) import("./more.js").then((module) => module.install());
