// Colours of the map: ten for what has no order (those of atlas/render/picture.py and map.css), a ramp for density.
// All have a contrast of 3:1 or more on both schemes' grounds.

export const GREY = [140, 148, 156];
export const COLOURS = [
  [209, 73, 91], [46, 134, 171], [190, 112, 0], [58, 143, 77], [143, 95, 192],
  [176, 84, 140], [26, 148, 136], [138, 122, 28], [93, 122, 153], [179, 98, 58],
];
const RAMP = [[108, 146, 200], [142, 92, 176], [196, 70, 70], [226, 104, 0]]; // rare to dense
const MOST = 254; // of the source column: beyond it, it does not say which

const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const category = (i) => COLOURS[i % COLOURS.length];

function ramp(share) {
  const at = Math.min(share, 0.9999) * (RAMP.length - 1), i = Math.floor(at);
  return RAMP[i].map((value, c) => Math.round(value + (at - i) * (RAMP[i + 1][c] - value)));
}

/** What a column's values look like on this map: a colour for each value that occurs. */
function scale(map, by) {
  if (by === "density") {
    let low = 255, high = 0;
    for (const value of map.density) { low = Math.min(low, value); high = Math.max(high, value); }
    return { low, high, of: (value) => ramp(high > low ? (value - low) / (high - low) : 0) };
  }
  if (by === "cluster") return { of: (value) => (value ? category(value - 1) : GREY) };
  return { of: (value) => (value > MOST && by === "source" ? GREY : category(value)) };
}

/** Red, green, blue, alpha of every point. */
export function tints(map, by) {
  const { of } = scale(map, by), column = map[by], known = new Map(), out = new Uint8Array(4 * map.count);
  for (let i = 0; i < map.count; i++) {
    const value = column[i];
    if (!known.has(value)) known.set(value, of(value));
    const [r, g, b] = known.get(value);
    out.set([r, g, b, by === "cluster" && !value ? 150 : 230], 4 * i);
  }
  return out;
}

function swatch(colour, text) {
  const mark = document.createElement("i"), item = document.createElement("span");
  mark.style.background = css(colour);
  item.append(mark, text);
  return item;
}

/** Say under the map what its colours mean. */
export function explain(element, map, by) {
  if (by === "density") {
    const { low, high } = scale(map, by), [from, to] = map.densities;
    const percent = (value) => `${Number((100 * 10 ** (from + (value / 255) * (to - from))).toPrecision(2))}%`;
    const bar = document.createElement("i");
    bar.className = "ramp";
    bar.style.background = `linear-gradient(90deg, ${RAMP.map(css).join()})`;
    const line = document.createElement("span");
    line.append(`fires on ${percent(low)} of tokens`, bar, percent(high));
    element.replaceChildren(line);
  } else if (by === "cluster") {
    element.replaceChildren("Ten colours for all clusters: neighbours differ by their names. Grey: in no cluster.");
  } else {
    const there = new Set(map[by]), names = by === "source" ? map.sources : map.dictionaries;
    element.replaceChildren(...names.flatMap((name, i) => (there.has(i) ? [swatch(scale(map, by).of(i), name)] : [])));
  }
}
