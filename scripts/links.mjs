/**
 * Refuses a link between documents that leads nowhere: a relative link of a Markdown file must name a file or directory
 * that is there, and its `#heading` a heading of that file, as a forge spells it. And docs/README.md, the index, must
 * link each page for users and each for maintainers.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const INDEX = 'docs/README.md';
/** Each page here is to be found from the index. */
const INDEXED = /^docs\/(?:guide|maintainers)\//;

const LINK = /\]\((?<target>[^()\s]*)\)/g;
/** A target that is not in this repository: an address, or nothing that a reader can follow from here. */
const ELSEWHERE = /^[a-z][a-z\d+.-]*:/;

const documents = [
  ...readdirSync(root),
  ...readdirSync(path.join(root, 'docs'), { recursive: true }).map((file) => path.posix.join('docs', file)),
].filter((file) => file.endsWith('.md'));
const anchors = new Map(documents.map((file) => [file, anchorsOf(linesOf(file))]));

let checked = 0;
const indexed = new Set();
const findings = documents.flatMap(findingsIn);
for (const file of documents)
  if (INDEXED.test(file) && !indexed.has(file)) findings.push(`${INDEX}: no link to ${file}`);
for (const finding of findings) console.error(finding);
if (findings.length === 0) console.log(`${checked} links lead to what they name.`);
process.exitCode = findings.length === 0 ? 0 : 1;

/** The lines of a document, with those of code blocks empty: what looks like a link or heading there is none. */
function linesOf(file) {
  let isCode = false;
  return readFileSync(path.join(root, file), 'utf8')
    .split('\n')
    .map((line) => {
      const isFence = line.trimStart().startsWith('```');
      if (isFence) isCode = !isCode;
      return isCode || isFence ? '' : line;
    });
}

/** What a forge makes of the headings: small letters, no punctuation, dashes for spaces, numbers for the same again. */
function anchorsOf(lines) {
  const found = new Map();
  for (const line of lines) {
    const heading = /^#{1,6} +(?<text>.*)$/.exec(line)?.groups.text;
    if (heading === undefined) continue;
    const anchor = heading
      .replaceAll(LINK, ']')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
    const times = found.get(anchor) ?? 0;
    found.set(anchor, times + 1);
    if (times > 0) found.set(`${anchor}-${times}`, 1);
  }
  return found;
}

function findingsIn(file) {
  const found = [];
  // A link may be wrapped within its words; code between backticks is no link.
  for (const [index, line] of linesOf(file).entries()) {
    for (const { groups } of line.replaceAll(/`[^`]*`/g, 'code').matchAll(LINK)) {
      if (ELSEWHERE.test(groups.target)) continue;
      checked += 1;
      const wrong = whyWrong(file, groups.target);
      if (wrong !== undefined) found.push(`${file}:${index + 1}: ${groups.target}: ${wrong}`);
    }
  }
  return found;
}

function whyWrong(file, target) {
  const [to = '', heading] = target.split('#');
  const document = to === '' ? file : path.posix.join(path.posix.dirname(file), decodeURI(to));
  if (document.startsWith('../')) return 'leads out of the repository';
  if (!existsSync(path.join(root, document))) return `there is no ${document}`;
  if (file === INDEX) indexed.add(document);
  if (heading === undefined) return undefined;
  if (!anchors.has(document)) return `${document} is no document with headings`;
  return anchors.get(document).has(heading) ? undefined : `${document} has no heading #${heading}`;
}
