// The page of a map: points, names of clusters over them, colours, search, the card of a feature.
//
// Without this script, or without WebGL 2, the page has a picture and the list of clusters. What is shown of a feature
// comes from the search index, where it has the number that the map knows it by.

import { explain, tints } from "./map-colours.js";
import { Grid, SIDE, box, load } from "./map-data.js";
import { Points } from "./map-points.js";
import { View } from "./map-view.js";
import { index } from "./search.js";
import { find } from "./search-core.js";

const REACH = { mouse: 9, touch: 18 }; // pixels around a pointer in which a point is meant
const WAIT = 160; // milliseconds of quiet before a search runs
const UNNAMED = "unnamed"; // as in atlas/render/map.py
const plane = document.getElementById("plane");
const said = document.getElementById("map-said");
const root = (document.documentElement.dataset.root || ".").replace(/\/$/, "");

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

class Page {
  constructor(map, canvas) {
    this.map = map;
    this.canvas = canvas;
    this.points = new Points(canvas, map);
    this.grid = new Grid(map);
    this.spot = element("div", { class: "spot", hidden: "" });
    this.ring = element("i", { class: "at", hidden: "" });
    this.names = [];
    this.shown = -1; // the row whose card is up
    this.held = -1; // the row whose card stays up
    this.turn = 0; // of the latest search: answers to earlier ones are dropped
    this.members = map.clusters.map(() => []);
    map.cluster.forEach((cluster, row) => { if (cluster) this.members[cluster - 1].push(row); });
    plane.append(canvas, this.ring, this.spot);
    plane.classList.add("live");
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.points.fill(); this.changed(); });
    this.view = new View(canvas, {
      changed: () => this.changed(),
      hover: (x, y) => this.hover(x, y),
      leave: () => { if (this.held < 0) this.hide(); },
      tap: (x, y, touch) => this.tap(x, y, touch),
    });
  }

  changed() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (!this.points.gl.isContextLost()) this.points.draw(this.view, Math.min(devicePixelRatio || 1, 2));
      this.label();
      this.put();
    });
  }

  /** Names of clusters, the largest first, where they overlap none that is there already. */
  label() {
    const taken = [], { width, height, scale, fit } = this.view;
    let used = 0;
    this.map.clusters.forEach((cluster) => {
      const [x, y] = this.view.out(cluster.x, cluster.y), half = 3.6 * cluster.name.length + 4;
      if (cluster.name === UNNAMED || used >= 12 + (6 * scale) / fit) return;
      if (x < half || x > width - half || y < 10 || y > height - 10) return;
      if (taken.some(([a, b, c]) => Math.abs(x - a) < half + c && Math.abs(y - b) < 17)) return;
      taken.push([x, y, half]);
      const name = (this.names[used++] ||= plane.appendChild(element("span", { class: "name", "aria-hidden": "true" }, element("bdi", {}))));
      name.firstChild.textContent = cluster.name;
      Object.assign(name.style, { left: `${x}px`, top: `${y}px` });
      name.hidden = false;
    });
    this.names.slice(used).forEach((name) => { name.hidden = true; });
  }

  /** The address of a row's page. */
  address(row) {
    return `${root}/${this.map.model}/${this.id(row)}/`;
  }
  id(row) {
    return `${this.map.dictionaries[this.map.dictionary[row]]}/${this.map.feature[row]}`;
  }

  near(px, py, reach) {
    const [x, y] = this.view.in(px, py), { rows } = this.points;
    const lit = rows && new Set(rows);
    return this.grid.nearest(x, y, reach / this.view.scale, lit ? (row) => lit.has(row) : undefined);
  }

  hover(px, py) {
    const row = this.near(px, py, REACH.mouse);
    this.canvas.classList.toggle("over", row >= 0);
    if (row === this.shown || (row < 0 && this.held >= 0)) return;
    this.held = -1;
    if (row < 0) this.hide();
    else this.card(row);
  }

  /** A click opens the page; a finger, which cannot hover, brings up the card first, with a link in it. */
  tap(px, py, touch) {
    const row = this.near(px, py, touch ? REACH.touch : REACH.mouse);
    if (row < 0) {
      this.held = -1;
      this.hide();
    } else if (touch) {
      this.hold(row);
    } else {
      location.href = this.address(row);
    }
  }

  hold(row) {
    this.held = row;
    this.card(row);
    history.replaceState(history.state, "", `#f=${this.id(row)}`);
  }

  hide() {
    this.shown = -1;
    this.spot.hidden = this.ring.hidden = true;
  }

  /** Name and strongest text of a row, beside its point. */
  async card(row) {
    this.shown = row;
    const link = element("a", { href: this.address(row), dir: "auto" }, "…"), line = element("p", { dir: "auto" });
    this.spot.replaceChildren(link, " ", element("code", {}, this.id(row)), line);
    this.spot.classList.toggle("held", row === this.held);
    this.spot.hidden = false;
    this.put();
    const known = await index.documents([this.map.doc[row]]).catch(() => []);
    link.textContent = known[0]?.name || this.id(row);
    line.textContent = known[0]?.line || "";
    this.put();
  }

  /** Move the card to its point, to the side where there is room. */
  put() {
    if (this.shown < 0) return;
    const [x, y] = this.view.out(this.map.x[this.shown] / SIDE, this.map.y[this.shown] / SIDE);
    const { offsetWidth: wide, offsetHeight: high } = this.spot, { width, height } = this.view;
    const left = x + 14 + wide < width ? x + 14 : x - 14 - wide;
    const top = Math.max(6, Math.min(height - high - 6, y - high / 2));
    Object.assign(this.spot.style, { left: `${Math.max(6, Math.min(width - wide - 6, left))}px`, top: `${top}px` });
    Object.assign(this.ring.style, { left: `${x}px`, top: `${y}px` });
    this.spot.hidden = this.ring.hidden = x < 0 || y < 0 || x > width || y > height;
  }

  light(rows, text) {
    this.points.highlight(rows);
    said.textContent = text;
    this.changed();
  }

  async search(text) {
    const turn = ++this.turn;
    if (!text.trim()) return this.light(null, "");
    const { hits, about, any } = await find(index, text);
    if (turn !== this.turn) return undefined;
    this.rowOf ||= new Map(Array.from(this.map.doc, (doc, row) => [doc, row]));
    const rows = hits.map(({ doc }) => this.rowOf.get(doc)).filter((row) => row !== undefined);
    const number = `${rows.length.toLocaleString("en")} ${rows.length === 1 ? "feature" : "features"}`;
    this.light(rows, rows.length ? `${about ? "The best " : ""}${number}${any ? " with some of the words" : ""}` : "None here");
    if (rows.length === 1) this.go(rows[0]);
    return undefined;
  }

  go(row) {
    const { x, y } = this.map;
    this.view.look(x[row] / SIDE, y[row] / SIDE, Math.max(this.view.scale, 6 * this.view.fit));
    this.held = row;
    this.card(row);
  }

  cluster(number) {
    const { name, size } = this.map.clusters[number];
    this.light(this.members[number], `${name}: ${size.toLocaleString("en")} features`);
    this.view.show(box(this.map, this.members[number]));
  }

  /** `#f=9-res-4k/650`: that feature. */
  follow() {
    const [, id] = /^#f=(.+)$/.exec(decodeURIComponent(location.hash)) || [];
    if (!id) return;
    const place = this.map.dictionaries.indexOf(id.split("/")[0]), feature = Number(id.split("/")[1]);
    const row = this.map.feature.findIndex((value, i) => value === feature && this.map.dictionary[i] === place);
    if (row < 0) said.textContent = `${id} is not on this map`;
    else this.go(row);
  }
}

function install(page) {
  const find = document.getElementById("map-find"), colour = document.getElementById("map-colour");
  const button = (id, work) => document.getElementById(id).addEventListener("click", work);
  const paint = () => {
    page.points.paint(tints(page.map, colour.value));
    explain(document.getElementById("map-keys"), page.map, colour.value);
    page.changed();
  };
  let timer = 0;
  colour.addEventListener("change", paint);
  find.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => page.search(find.value).catch(() => { said.textContent = "Search could not be loaded."; }), WAIT);
  });
  button("map-in", () => page.view.zoom(1.6));
  button("map-out", () => page.view.zoom(1 / 1.6));
  button("map-all", () => {
    find.value = "";
    page.light(null, "");
    page.view.whole();
  });
  for (const item of document.querySelectorAll(".clusters li")) {
    const made = element("button", { type: "button" });
    made.append(...item.querySelector("h3").childNodes);
    made.addEventListener("click", () => page.cluster(Number(item.dataset.n)));
    item.querySelector("h3").append(made);
  }
  document.getElementById("map-tools").hidden = false;
  paint();
  page.follow();
  addEventListener("hashchange", () => page.follow());
}

const canvas = element("canvas", { tabindex: "0", role: "application", "aria-label": "Map of features. Arrow keys move it, plus and minus zoom, 0 shows all of it. The clusters are listed beside it." });
try {
  if (!canvas.getContext("webgl2", { antialias: false })) throw new Error("no WebGL 2");
  install(new Page(await load(plane.dataset.src), canvas));
} catch (error) {
  // The picture stays: no WebGL 2, or the data could not be had.
  document.getElementById("map-keys").textContent = `A picture only: ${error.message}.`;
}
