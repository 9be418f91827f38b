// Where the reader looks: moved by dragging, pinching, the wheel and keys.
//
// The map is the unit square. `scale` is the length of its side in CSS pixels, (x, y) is what lies in the middle.

const NEAR = 400; // times the size at which the whole map fits
const STILL = 6; // pixels that a finger may move and still tap
const KEYS = {
  ArrowLeft: [-1, 0, 1], ArrowRight: [1, 0, 1], ArrowUp: [0, -1, 1], ArrowDown: [0, 1, 1],
  "+": [0, 0, 1.5], "=": [0, 0, 1.5], "-": [0, 0, 1 / 1.5],
};

export class View {
  /** `changed()` after each move; `hover(x, y)` and `tap(x, y, isTouch)` in pixels of the canvas; `leave()`. */
  constructor(canvas, told) {
    Object.assign(this, { canvas, told, x: 0.5, y: 0.5, scale: 1, width: 1, height: 1, fingers: new Map(), moved: 0 });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.fingers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.told.leave());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.measure()).observe(canvas);
    this.measure();
  }

  measure() {
    const whole = this.scale / this.fit;
    [this.width, this.height] = [Math.max(1, this.canvas.clientWidth), Math.max(1, this.canvas.clientHeight)];
    this.scale = this.ready ? whole * this.fit : this.fit;
    this.ready = true;
    this.told.changed();
  }

  get fit() {
    return 0.96 * Math.min(this.width, this.height);
  }

  /** Where a place of the map is on the canvas, and the other way. */
  out(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }
  in(px, py) {
    return [(px - this.width / 2) / this.scale + this.x, (py - this.height / 2) / this.scale + this.y];
  }

  look(x, y, scale) {
    this.scale = Math.max(0.7 * this.fit, Math.min(NEAR * this.fit, scale));
    this.x = Math.max(0, Math.min(1, x));
    this.y = Math.max(0, Math.min(1, y));
    this.told.changed();
  }
  whole() {
    this.look(0.5, 0.5, this.fit);
  }
  /** Show a box [left, top, right, bottom] with some room around it. */
  show([left, top, right, bottom]) {
    const room = Math.min(this.width / (right - left + 1e-4), this.height / (bottom - top + 1e-4));
    this.look((left + right) / 2, (top + bottom) / 2, Math.min(0.7 * room, 12 * this.fit));
  }
  /** Zoom so that what is at a place of the canvas stays there. */
  zoom(times, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.in(px, py), scale = Math.max(0.7 * this.fit, Math.min(NEAR * this.fit, this.scale * times));
    this.look(x - (px - this.width / 2) / scale, y - (py - this.height / 2) / scale, scale);
  }

  place(event) {
    const edge = this.canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  }

  down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.place(event));
    this.moved = this.fingers.size > 1 ? Infinity : 0; // two fingers never tap
  }

  move(event) {
    const now = this.place(event), before = this.fingers.get(event.pointerId);
    if (!before) return this.told.hover(...now);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    this.moved += Math.hypot(dx, dy);
    if (this.moved <= STILL) return;
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.fingers.set(event.pointerId, now);
    if (other) {
      const far = (place) => Math.max(10, Math.hypot(place[0] - other[0], place[1] - other[1]));
      const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
      this.look(this.x - dx / 2 / this.scale, this.y - dy / 2 / this.scale, this.scale);
      this.zoom(far(now) / far(before), ...middle);
    } else {
      this.look(this.x - dx / this.scale, this.y - dy / this.scale, this.scale);
    }
  }

  up(event) {
    if (!this.fingers.delete(event.pointerId) || this.moved > STILL) return;
    this.told.tap(...this.place(event), event.pointerType === "touch");
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    this.zoom(2 ** (-Math.max(-200, Math.min(200, event.deltaY * lines)) / (event.ctrlKey ? 60 : 240)), ...this.place(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0") this.whole();
    else if (KEYS[event.key]) {
      const [right, down, times] = KEYS[event.key], step = 80 / this.scale;
      this.look(this.x + right * step, this.y + down * step, this.scale * times);
    } else return;
    event.preventDefault();
  }
}
