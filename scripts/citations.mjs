/**
 * Refuses a citation that leads nowhere. A `§` in sources, tests, scripts and documents names a section of a document
 * in `docs/reference/` that is there, or a standard; a row of the fault catalogue ("reliability N61") is one of
 * `docs/maintainers/faults.md`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const reference = path.join(root, 'docs/reference');

/** What is published elsewhere and has sections of its own. */
const STANDARD =
  /(?:RFC \d+|[Ss]pec(?:ification)?|Trace Context|UEFI|ECMA-\d+|OCI|VIRTIO [\d.]+|JSON Schema|POSIX)\b[^§]{0,60}$/;
const SECTION =
  /(?:`?(?<named>[a-z][a-z-]+)(?:\.md)?`? +)?§ ?(?<section>(?:[a-z]\.)?\d+(?:\.\d+)*|[a-z]\.\d+|[a-z]+)?/g;
const ROW = /\breliability (?<row>[A-Z]\d+)\b/g;

const sections = new Map(
  readdirSync(reference)
    .filter((file) => file.endsWith('.md'))
    .map((file) => [path.basename(file, '.md'), sectionsOf(readFileSync(path.join(reference, file), 'utf8'))]),
);
/** Faults, and the invariants (I), losses (L) that the reference lists. */
const rows = new Set(
  ['docs/maintainers/faults.md', 'docs/reference/reliability.md'].flatMap(
    (file) => readFileSync(path.join(root, file), 'utf8').match(/(?<=^\| \**|^\* |^L\d .*|· )[A-Z]\d+\b/gm) ?? [],
  ),
);

let checked = 0;
const findings = [...filesIn('src', 'test', 'scripts', 'examples', 'docs', 'wasm'), 'README.md', 'SECURITY.md'].flatMap(
  (file) => findingsIn(file, readFileSync(path.join(root, file), 'utf8')),
);
for (const finding of findings) console.error(finding);
if (findings.length === 0) console.log(`${checked} citations lead to what they name.`);
process.exitCode = findings.length === 0 ? 0 : 1;

/** Numbers at the beginning of headings: `## 1.3 …`, `### b.2 …`; one heading may have several: `1.13 … and 1.14 …`. */
function sectionsOf(text) {
  const headings = text.match(/^#+ .*$/gm) ?? [];
  return new Set(headings.flatMap((heading) => heading.match(/(?<=[ (])(?:[a-z]\.)?\d+(?:\.\d+)*(?=[. )])/g) ?? []));
}

function filesIn(...directories) {
  return directories.flatMap((directory) =>
    readdirSync(path.join(root, directory), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(?:ts|mjs|cjs|md|c)$/.test(entry.name))
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name))),
  );
}

function findingsIn(file, text) {
  if (file === 'scripts/citations.mjs') return [];
  const found = [];
  const at = (index) => `${file}:${text.slice(0, index).split('\n').length}`;
  // Wrapped lines of comments are one text.
  const flat = text.replaceAll(/\n\s*(?:\*|\/\/)? ?/g, (each) => ' '.padEnd(each.length));
  let last;
  for (const match of flat.matchAll(SECTION)) {
    const { named, section } = match.groups;
    const before = flat.slice(Math.max(0, match.index - 90), match.index);
    const document = sections.has(named) ? named : continues(flat, last, match) ? last.document : undefined;
    checked += 1;
    if (document !== undefined) {
      last = { document, end: match.index + match[0].length };
      if (section !== undefined && !sections.get(document).has(section))
        found.push(`${at(match.index)}: docs/reference/${document}.md has no section ${section}`);
    } else if (STANDARD.test(`${before}${named ?? ''} `)) {
      last = { document: undefined, end: match.index + match[0].length };
    } else if (continues(flat, last, match) || isOwnSection(file, section)) {
      last = { document: undefined, end: match.index + match[0].length };
    } else {
      found.push(`${at(match.index)}: "${(before.slice(-30) + match[0]).trim()}" does not say of which document`);
    }
  }
  for (const match of flat.matchAll(ROW)) {
    checked += 1;
    if (!rows.has(match.groups.row)) found.push(`${at(match.index)}: there is no fault ${match.groups.row}`);
  }
  return found;
}

/** `tart-cli §1.1, §1.2`: the second is of the same document. */
function continues(text, last, match) {
  return (
    last !== undefined &&
    match.groups.named === undefined &&
    /^(?: #\d+)?(?:,| and| to|-|–) ?(?:and )?$/.test(text.slice(last.end, match.index).replaceAll(/\s+/g, ' '))
  );
}

/** A document in `docs/reference` may speak of its own sections. */
function isOwnSection(file, section) {
  const own = sections.get(path.basename(file, '.md'));
  return file.startsWith('docs/reference/') && own !== undefined && (section === undefined || own.has(section));
}
