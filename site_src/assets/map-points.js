// Draws points with WebGL 2, through twgl.js (see build/vendor/README.md for why that one).

import {
  createBufferInfoFromArrays, createProgramInfo, drawBufferInfo, setAttribInfoBufferFromArray, setBuffersAndAttributes, setUniforms,
} from "./vendor/twgl-7.0.0.js";

const VERTEX = `#version 300 es
in vec2 at;
in vec4 tint;
uniform vec2 middle, scale;
uniform float size, alpha;
out vec4 colour;
void main() {
  gl_Position = vec4((at - middle) * scale * vec2(1, -1), 0, 1);
  gl_PointSize = size;
  colour = vec4(tint.rgb, tint.a * alpha);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour;
uniform float size;
out vec4 pixel;
void main() {
  float edge = clamp((0.5 - length(gl_PointCoord - 0.5)) * size, 0.0, 1.0);
  pixel = vec4(colour.rgb, 1) * colour.a * edge;
}`;
const DIM = 0.16;

export class Points {
  /** Raises where there is no WebGL 2. */
  constructor(canvas, map) {
    this.canvas = canvas;
    this.map = map;
    this.places = new Uint16Array(2 * map.count);
    for (let i = 0; i < map.count; i++) {
      this.places[2 * i] = map.x[i];
      this.places[2 * i + 1] = map.y[i];
    }
    this.colours = new Uint8Array(4 * map.count);
    this.rows = null;
    this.gl = canvas.getContext("webgl2", { antialias: false });
    if (!this.gl) throw new Error("no WebGL 2");
    this.fill();
  }

  /** Put everything onto the device; once more when it has lost it. */
  fill() {
    this.program = createProgramInfo(this.gl, [VERTEX, FRAGMENT]);
    if (!this.program) throw new Error("its shader does not run here");
    this.all = this.buffers(this.places, this.colours);
    this.some = this.rows && this.subset();
  }

  buffers(places, colours) {
    return createBufferInfoFromArrays(this.gl, {
      at: { numComponents: 2, data: places, normalize: true },
      tint: { numComponents: 4, data: colours, normalize: true },
    });
  }

  subset() {
    const places = new Uint16Array(2 * this.rows.length), colours = new Uint8Array(4 * this.rows.length);
    this.rows.forEach((row, i) => {
      places.set(this.places.subarray(2 * row, 2 * row + 2), 2 * i);
      colours.set(this.colours.subarray(4 * row, 4 * row + 3), 4 * i);
      colours[4 * i + 3] = 255;
    });
    return this.buffers(places, colours);
  }

  paint(colours) {
    this.colours = colours;
    setAttribInfoBufferFromArray(this.gl, this.all.attribs.tint, colours);
    this.highlight(this.rows);
  }

  /** Dim all but these rows; null: none is dimmed. */
  highlight(rows) {
    if (this.some) for (const { buffer } of Object.values(this.some.attribs)) this.gl.deleteBuffer(buffer);
    this.rows = rows;
    this.some = rows?.length ? this.subset() : null;
  }

  draw({ x, y, scale, width, height }, ratio) {
    const { gl, canvas } = this, size = this.size(scale / Math.min(width, height)) * ratio;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(this.program.program);
    const view = { middle: [x, y], scale: [(2 * scale) / width, (2 * scale) / height] };
    this.pass(this.all, { ...view, size, alpha: this.rows ? DIM : 1 });
    if (this.some) this.pass(this.some, { ...view, size: size * 1.4 + ratio, alpha: 1 });
  }

  pass(buffers, uniforms) {
    setBuffersAndAttributes(this.gl, this.program, buffers);
    setUniforms(this.program, uniforms);
    drawBufferInfo(this.gl, buffers, this.gl.POINTS);
  }

  /** Across, in CSS pixels: smaller where there are many, larger from near. */
  size(zoom) {
    const whole = Math.max(1.6, Math.min(7, 420 / Math.sqrt(this.map.count)));
    return Math.min(14, whole * zoom ** 0.45);
  }
}
