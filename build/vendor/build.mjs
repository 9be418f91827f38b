// Bundle what pages use of npm packages into site_src/assets/vendor/, with its licence and a digest.
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = fileURLToPath(new URL("../../site_src/assets/vendor/", import.meta.url));
const { version, license, homepage } = JSON.parse(readFileSync(`${here}node_modules/twgl.js/package.json`, "utf-8"));
const name = `twgl-${version}.js`;
const made = await build({
  entryPoints: [`${here}entry.js`], bundle: true, minify: true, format: "esm", target: "es2022", charset: "utf8",
  legalComments: "eof", write: false, absWorkingDir: here,
});
const code = made.outputFiles[0].contents;
writeFileSync(`${out}${name}`, code);
copyFileSync(`${here}node_modules/twgl.js/LICENSE.md`, `${out}twgl.LICENSE.txt`);
const sha256 = createHash("sha256").update(code).digest("hex");
const manifest = { files: [{ name, package: `twgl.js@${version}`, homepage, license, licence_file: "twgl.LICENSE.txt", bytes: code.length, sha256 }] };
writeFileSync(`${out}vendor.json`, `${JSON.stringify(manifest, null, 2)}\n`);
