// What the map uses of twgl.js; everything else of it is left out of the bundle as far as it can be.
export { createBufferInfoFromArrays, createProgramInfo, drawBufferInfo, setAttribInfoBufferFromArray, setBuffersAndAttributes, setUniforms } from "twgl.js/dist/7.x/twgl-full.module.js";
