// A map's columns (atlas/render/points.py) and what is asked of them: which point is near, where some lie.

const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
export const SIDE = 65535;

async function get(address, base) {
  const answer = await fetch(new URL(address, base));
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer;
}

/** The map behind an address: columns by name, and what their values mean. */
export async function load(address) {
  const base = new URL(address, document.baseURI);
  const said = await (await get(base, base)).json();
  const data = await (await get(said.points, base)).arrayBuffer();
  const map = { count: said.count, model: said.model, dictionaries: said.dictionaries, sources: said.sources, densities: said.density };
  map.clusters = said.clusters.map(([name, size, x, y]) => ({ name, size, x: x / SIDE, y: y / SIDE }));
  for (const [name, type, offset] of said.columns) map[name] = new TYPES[type](data, offset, said.count);
  return map;
}

/** Points by place: which one is nearest. */
export class Grid {
  constructor({ x, y, count }) {
    this.cells = Math.max(1, Math.min(512, Math.round(Math.sqrt(count / 2))));
    this.x = x;
    this.y = y;
    const starts = new Uint32Array(this.cells ** 2 + 1), of = new Uint32Array(count);
    for (let i = 0; i < count; i++) starts[(of[i] = this.cell(y[i]) * this.cells + this.cell(x[i])) + 1]++;
    for (let i = 0; i < this.cells ** 2; i++) starts[i + 1] += starts[i];
    const next = starts.slice(), rows = new Uint32Array(count);
    for (let i = 0; i < count; i++) rows[next[of[i]]++] = i;
    Object.assign(this, { starts, rows });
  }
  cell(value) {
    return Math.max(0, Math.min(this.cells - 1, Math.floor((value / (SIDE + 1)) * this.cells)));
  }
  /** The nearest point (for which `allowed`) to a place (0 to 1), within a distance; -1 if there is none. */
  nearest(x, y, reach, allowed = () => true) {
    const px = x * SIDE, py = y * SIDE, r = reach * SIDE;
    let best = -1, least = r * r;
    for (let row = this.cell(py - r); row <= this.cell(py + r); row++) {
      for (let column = this.cell(px - r); column <= this.cell(px + r); column++) {
        const cell = row * this.cells + column;
        for (let at = this.starts[cell]; at < this.starts[cell + 1]; at++) {
          const i = this.rows[at], d = (this.x[i] - px) ** 2 + (this.y[i] - py) ** 2;
          if (d <= least && allowed(i)) [best, least] = [i, d];
        }
      }
    }
    return best;
  }
}

/** The box that holds nearly all of some points: [left, top, right, bottom], 0 to 1. */
export function box({ x, y }, rows) {
  const span = (column) => {
    const values = Float64Array.from(rows, (i) => column[i] / SIDE).sort(), cut = Math.floor(values.length / 50);
    return [values[cut], values[values.length - 1 - cut]];
  };
  const [[left, right], [top, bottom]] = [span(x), span(y)];
  return [left, top, right, bottom];
}
