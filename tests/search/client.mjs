// Runs the pure half of the client under node: a JSON job on standard input, its answer on standard output.
// job: {core: path of search-core.js, texts?: [...], names?: [[name, terms]], folder?: index, queries?: [...]}

import { readFile } from "node:fs/promises";
import { join } from "node:path";

let input = "";
for await (const piece of process.stdin) input += piece;
const job = JSON.parse(input);
// As a data URL, because node takes a bare `.js` file for CommonJS.
const source = await readFile(job.core);
const core = await import(`data:text/javascript;base64,${source.toString("base64")}`);

const answer = {};
if (job.texts) answer.terms = job.texts.map((text) => core.tokenise(text));
if (job.names) answer.marks = job.names.map(([name, terms]) => core.marks(name, terms));
if (job.queries) {
  const index = new core.Index(async (path) => new Uint8Array(await readFile(join(job.folder, path))));
  answer.found = [];
  for (const query of job.queries) {
    try {
      answer.found.push(await core.search(index, query, job.limit ?? 8));
    } catch (error) {
      answer.found.push({ error: String(error.message) });
    }
  }
}
process.stdout.write(JSON.stringify(answer));
