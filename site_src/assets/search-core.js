// What search does without a page: terms of a text, the index's files, matching and ranking.
// The form is that of atlas/search/form.py, the terms are those of atlas/search/tokenise.py; tests compare both.

export const VERSION = 1;
const MAX_TERM = 40, MAX_QUERY = 200, MAX_TERMS = 12;
const SPAN = 2; // a prefix in more shards than this has a node file
const MAX_BLOCKS = 8; // further blocks of long posting lists that one query may fetch
const ID = 8, NAME = 4, TOKENS = 2, PROMOTES = 1; // bits of a posting's mask
const FIELD = ["", "id", "promotes", "promotes", "tokens", "tokens", "name", "name", "id"]; // by score of a term

// ---------------------------------------------------------------------------------------------- terms

const CJK = "\\u1100-\\u11ff\\u3005\\u3007\\u3041-\\u3096\\u3099\\u309a\\u309d-\\u309f\\u30a1-\\u30fa\\u30fc-\\u30ff" +
  "\\u3131-\\u318e\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7a3\\uf900-\\ufaff\\u{1b000}-\\u{1b16f}" +
  "\\u{20000}-\\u{3fffd}";
const WORD = new RegExp(`[${CJK}]+|(?:(?![${CJK}])[\\p{L}\\p{N}\\p{M}_])+`, "gu");
const IS_CJK = new RegExp(`^[${CJK}]`, "u");
const IS_WORD = /[\p{L}\p{N}\p{M}]/u;
const ACCENT = /(?![\u0900-\u1aaf\u1b00-\u1ccf\u3099\u309a\ua800-\uabff\u{11000}-\u{11fff}])\p{Mn}/gu;
const FEATURE = /(?:^|\/)((?=[^/]*[-/])[a-z0-9][a-z0-9._-]*(?:\/\d*)?)$/i;

const strip = (text) => text.normalize("NFD").replace(ACCENT, "").normalize("NFC");
const fold = (text) => strip(text.toLowerCase().toUpperCase().toLowerCase().replace(/ς/g, "σ"));
const unique = (list) => [...new Set(list)].filter(Boolean);
const clip = (term) => [...term].slice(0, MAX_TERM).join("");

function toWord(run) {
  if (IS_CJK.test(run)) {
    const chars = [...fold(run)];
    const singles = unique(chars), pairs = unique(chars.slice(1).map((char, i) => chars[i] + char));
    return { whole: pairs.length ? pairs : singles, parts: singles };
  }
  const risen = run.replace(/(\p{Ll})(\p{Lu})/gu, "$1_$2").replace(/([\p{Lu}\p{N}])(\p{Lu}\p{Ll})/gu, "$1_$2");
  return {
    whole: unique([clip(fold(run.replaceAll("_", "")))]),
    parts: unique(risen.split("_").map((part) => clip(fold(part)))),
  };
}

/** Words of a text, each with its terms: `whole` and `parts`. */
export function words(text) {
  const runs = strip(text.normalize("NFKC")).match(WORD) ?? [];
  return runs.map(toWord).filter((word) => word.whole.length);
}

/** Distinct terms of a text. */
export const tokenise = (text) => unique(words(text).flatMap((word) => [...word.whole, ...word.parts]));

/** What to look up for a query, strictest first: lists of {term, prefix}, and whether all must match. */
export function stages(text) {
  const chunks = text.slice(0, MAX_QUERY).normalize("NFKC").split(/\s+/).filter(Boolean);
  const found = chunks.flatMap((chunk) => {
    const feature = FEATURE.exec(chunk); // `9-res-4k/650`: a term as it stands; if nobody has it, its words
    return feature ? [{ whole: [feature[1].toLowerCase()], parts: tokenise(chunk) }] : words(chunk);
  });
  const whole = unique(found.flatMap((word) => word.whole)).slice(0, MAX_TERMS);
  const parts = unique(found.flatMap((word) => word.parts)).slice(0, MAX_TERMS);
  const last = found.at(-1)?.whole.at(-1);
  if (!whole.length) return [];
  const strict = whole.map((term) => ({ term, prefix: term === last && !IS_CJK.test(term) }));
  const loose = parts.map((term) => ({ term, prefix: !IS_CJK.test(term) }));
  const all = [{ terms: strict, every: true }, { terms: loose, every: true }];
  return loose.length > 1 ? [...all, { terms: loose, every: false }] : all;
}

/** Parts of a name that the terms match: [start, end) places, ascending. */
export function marks(name, terms) {
  let folded = "", at = 0, before = "";
  const from = [], starts = new Set(); // place in the name of every folded character; where a word may begin
  for (const char of name) {
    const rises = /\p{Lu}/u.test(char) && !/\p{Lu}/u.test(before);
    if (!IS_WORD.test(before) || rises || IS_CJK.test(char)) starts.add(folded.length);
    const plain = fold(char.normalize("NFKC"));
    for (let i = 0; i < plain.length; i++) from.push(at);
    folded += plain;
    at += char.length;
    if (char !== "_") before = char; else before = "";
  }
  from.push(name.length);
  const ranges = [];
  for (const term of terms) {
    for (let i = folded.indexOf(term); term && i >= 0; i = folded.indexOf(term, i + 1)) {
      let end = i + term.length;
      while (end < folded.length && from[end] === from[end - 1]) end++; // a letter that folds into two goes whole
      if (starts.has(i)) ranges.push([from[i], from[end]]);
    }
  }
  const merged = [];
  for (const [start, end] of ranges.sort((a, b) => a[0] - b[0])) {
    const open = merged.at(-1);
    if (open && name.slice(open[1], start).trim() === "") open[1] = Math.max(open[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

// ---------------------------------------------------------------------------------------------- files

class Cursor {
  constructor(data) {
    this.data = data;
    this.at = 4;
    if (String.fromCharCode(...data.subarray(0, 4)) !== `ATS${VERSION}`) throw new Error("not a search file");
  }
  take(size) {
    if (this.at + size > this.data.length) throw new Error("file ends too early");
    return this.data.subarray(this.at, (this.at += size));
  }
  number() {
    for (let value = 0, unit = 1; unit < 2 ** 35; unit *= 128) {
      const byte = this.take(1)[0];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
    throw new Error("number too long");
  }
  groups(count, visit) {
    for (let group = 0; group < count; group++) {
      const head = this.number(), mask = head % 16;
      let doc = -1;
      for (let left = Math.floor(head / 16); left > 0; left--) visit((doc += this.number()), mask);
    }
  }
  postings(visit) {
    const head = this.number(), blocks = [];
    let here = 0;
    const total = head >= 16 ? this.number() : 0;
    for (let i = Math.floor(head / 16); i > 0; i--) blocks.push(hex(this.take(8)));
    this.groups(head % 16, (doc, mask) => { here++; visit(doc, mask); });
    return { total: total || here, blocks };
  }
  terms() {
    const decoder = new TextDecoder("utf-8", { fatal: true }), found = [];
    let term = new Uint8Array(0);
    for (let left = this.number(); left > 0; left--) {
      const shared = this.number(), more = this.take(this.number());
      if (shared > term.length) throw new Error("term shares too much");
      const next = new Uint8Array(shared + more.length);
      next.set(term.subarray(0, shared));
      next.set(more, shared);
      term = next;
      const size = this.number();
      found.push({ term: decoder.decode(term), at: this.at });
      this.take(size);
    }
    return found;
  }
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const stem = (text) => hex(new TextEncoder().encode(text).subarray(0, 16));

/** An index behind `load(path) -> Promise<Uint8Array>`. Files are kept; failures are not. */
export class Index {
  constructor(load) {
    this.load = load;
    this.bytes = 0;
    this.kept = new Map();
  }
  get(path, read = (data) => data) {
    if (!this.kept.has(path)) {
      const file = this.load(path).then((data) => { this.bytes += data.length; return read(data); });
      this.kept.set(path, file);
      file.catch(() => this.kept.clear()); // perhaps the site was published anew: begin again from its manifest
    }
    return this.kept.get(path);
  }
  manifest() {
    return this.get("manifest.json", (data) => {
      const manifest = JSON.parse(new TextDecoder().decode(data));
      if (manifest.format !== "atlas-search" || manifest.version !== VERSION) throw new Error("the index is of another version");
      return manifest;
    });
  }
  shard({ shards }, place) {
    const [begin, digest] = shards[place];
    return this.get(`t/${stem(begin)}.${digest}.bin`, (data) => ({ data, terms: new Cursor(data).terms() }));
  }
  /** Documents that have the term (or, `prefix`, one that begins so): scores, and what is known of the rest. */
  async lookup({ term, prefix }) {
    const manifest = await this.manifest(), { shards, nodes } = manifest;
    const found = { scores: new Map(), total: 0, blocks: [], cut: false };
    let first = shards.findLastIndex(([begin]) => begin <= term);
    if (first < 0 && !prefix) return found;
    first = Math.max(first, 0);
    let last = first;
    while (prefix && last + 1 < shards.length && shards[last + 1][0].startsWith(term)) last++;
    const wide = last - first >= SPAN;
    const node = wide ? nodes.find(([name]) => name.startsWith(term)) : undefined;
    if (wide && !node) throw new Error("prefix without a file");
    const end = wide ? first : Math.min(last, shards.length - 1);
    const [best, ...read] = await Promise.all([
      node && this.get(`n/${stem(node[0])}.${node[1]}.bin`),
      ...Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => this.shard(manifest, first + i)),
    ]);
    const note = (score) => (doc, mask) => {
      const value = score(mask);
      if (value > (found.scores.get(doc) ?? 0)) found.scores.set(doc, value);
    };
    for (const { data, terms } of read) {
      for (const entry of terms) {
        const exact = entry.term === term;
        if (!exact && (wide || !prefix || !entry.term.startsWith(term))) continue;
        const cursor = new Cursor(data);
        cursor.at = entry.at;
        const { total, blocks } = cursor.postings(note(exact ? exactly : beginning));
        found.total = Math.max(found.total, total);
        found.blocks.push(...blocks.map((name) => ({ name, visit: note(exact ? exactly : beginning) })));
      }
    }
    if (best) {
      const cursor = new Cursor(best), total = cursor.number();
      cursor.groups(cursor.number(), note(beginning));
      found.total = Math.max(found.total, total);
    }
    found.cut = found.blocks.length > 0 || found.total > found.scores.size;
    return found;
  }
  /** Path, name and line of documents. */
  async documents(docs) {
    const { chunk, docset } = await this.manifest();
    return Promise.all(docs.map(async (doc) => {
      const number = Math.floor(doc / chunk);
      const rows = await this.get(`d/${number}.${docset}.json`, (data) => JSON.parse(new TextDecoder().decode(data)));
      const [path, name, line] = rows[doc % chunk];
      // No model is called "c": what lies there are concepts.
      return { doc, path, name, line, id: path.startsWith("c/") ? "concept" : path.split("/").slice(1).join("/") };
    }));
  }
}

// ---------------------------------------------------------------------------------------------- ranking

const exactly = (mask) => (mask & ID ? 8 : mask & NAME ? 7 : mask & TOKENS ? 5 : 3);
const beginning = (mask) => (mask & NAME ? 6 : mask & TOKENS ? 4 : mask & PROMOTES ? 2 : 1);

/** The rest of long lists, when several terms must be compared and it is not too much. */
async function complete(index, lists) {
  let room = MAX_BLOCKS;
  for (const list of lists.filter(({ blocks }) => blocks.length)) {
    if ((room -= list.blocks.length) < 0) return;
    const files = await Promise.all(list.blocks.map(({ name }) => index.get(`p/${name}.bin`)));
    files.forEach((data, i) => { const cursor = new Cursor(data); cursor.groups(cursor.number(), list.blocks[i].visit); });
    list.cut = list.total > list.scores.size; // still cut where the list is a node's
  }
}

/** Documents that match, with the score of every term, best first; a list that is cut cannot exclude a document. */
export function combine(lists, every) {
  const whole = lists.filter((list) => !list.cut);
  const required = every ? (whole.length ? whole : lists) : [];
  const smallest = [...(every ? required : lists)].sort((a, b) => a.scores.size - b.scores.size)[0];
  const docs = every ? smallest.scores.keys() : new Set(lists.flatMap((list) => [...list.scores.keys()]));
  const hits = [];
  for (const doc of docs) {
    if (!required.every((list) => list.scores.has(doc))) continue;
    const scores = lists.map((list) => list.scores.get(doc) ?? 0);
    hits.push({ doc, scores, score: scores.reduce((sum, score) => sum + (score && score + 100), 0) });
  }
  return hits.sort((a, b) => b.score - a.score || a.doc - b.doc);
}

/** Documents that match, best first: {hits, lists, about, any, terms}; `about` and `any` as `search` says. */
export async function find(index, text) {
  for (const { terms, every } of stages(text)) {
    const lists = await Promise.all(terms.map((term) => index.lookup(term)));
    if (lists.length > 1) await complete(index, lists);
    const hits = combine(lists, every);
    if (hits.length) return { hits, lists, about: lists.some((list) => list.cut), any: !every, terms: terms.map(({ term }) => term) };
  }
  return { hits: [], lists: [], about: false, any: false, terms: [] };
}

/**
 * Run a query: {results, total, about, any, terms}. `about`: there may be more or fewer than `total`;
 * `any`: no feature has all the words, these have some.
 */
export async function search(index, text, limit = 8) {
  const { hits, lists, about, any, terms } = await find(index, text);
  const total = lists.length === 1 ? Math.max(hits.length, lists[0].total) : hits.length;
  const best = hits.slice(0, limit);
  const documents = await index.documents(best.map(({ doc }) => doc));
  const results = documents.map((document, i) => {
    return { ...document, fields: unique(best[i].scores.map((score) => FIELD[score])) };
  });
  return { results, total, about, any, terms };
}
