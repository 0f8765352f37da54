/**
 * Runs the OCI distribution-spec conformance suite against the embedded registry: all four workflows, every API and
 * every kind of content that the suite knows, except `sparse` (manifests whose blobs are missing, which this registry
 * refuses on purpose).
 *
 * usage: node scripts/conformance.mjs [directory of the build, default dist] [--through-cache]
 *
 * With `--through-cache`, all that reads goes through a site cache in front of the registry, and all that writes to the
 * registry itself; what counts is pulling and content discovery.
 *
 * The suite is a Go program; its module is fetched as Go is configured to. Without Go nothing is run: a failure when
 * `CI` is set, a clear last line otherwise. Exit code 0 only when nothing failed and nothing was skipped.
 */
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const SUITE = 'github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111';

/** Which APIs of the suite's report make up each workflow of the spec. */
const WORKFLOWS = {
  push: /^(Blob (push|post|chunked|streaming|mount|anonymous mount|upload cancel)|Manifest put)/,
  pull: /^(Ping|Blob (get|head)|Manifest (get|head))/,
  'content discovery': /^(Tag listing|Referrers)/,
  'content management': /delete/,
};

const throughCache = process.argv.includes('--through-cache');
const given = process.argv.slice(2).find((argument) => !argument.startsWith('--'));
const dist = path.resolve(given ?? path.join(import.meta.dirname, '..', 'dist'));
const entry = path.join(dist, 'server/server.js');

if (!hasGo()) {
  const why = 'conformance: NOT RUN, Go is missing (https://go.dev/dl); the suite is a Go program';
  if (process.env.CI) console.error(why);
  else console.log(why);
  process.exit(process.env.CI ? 1 : 0);
}
if (!existsSync(entry)) {
  console.error(`conformance: NOT RUN, ${entry} is missing: npm run build`);
  process.exit(1);
}
const work = mkdtempSync(path.join(tmpdir(), 'tartlet-conformance-'));
try {
  process.exitCode = await run();
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function run() {
  const suite = buildSuite();
  const { createRegistry } = await import(pathToFileURL(entry).href);
  const registry = createRegistry({ dataDirectory: path.join(work, 'data') });
  const listening = await registry.listen();
  const cache = throughCache ? await startCache(registry, listening) : undefined;
  const { address, port } = cache ?? listening;
  try {
    const { stdout, stderr } = await promisify(execFile)(suite, [], {
      cwd: work,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, ...settings(`${address}:${port}`) },
    }).catch((error) => {
      if (typeof error.stdout !== 'string') throw error;
      return error;
    });
    // The suite looks for what it has deleted in the cache as well.
    if (!throughCache) process.stderr.write(stderr);
    return report(stdout);
  } finally {
    await cache?.close();
    await registry.close();
  }
}

/** A server that answers what reads by a cache of the registry. Tags are asked for each time: the suite moves them. */
async function startCache(registry, { address, port: upstream }) {
  const { createSiteCache } = await import(pathToFileURL(path.join(dist, 'mirror/site-cache.js')).href);
  const upstreams = { mirrorOf: `${address}:${upstream}` };
  const dataDirectory = path.join(work, 'cache');
  const cache = createSiteCache({ dataDirectory, upstreams, tagTtlMs: 1, freeBytes: 0 });
  const server = createServer((request, response) => {
    const reads = (request.method === 'GET' || request.method === 'HEAD') && !request.url.includes('/blobs/uploads/');
    void (reads ? cache : registry).handle(request, response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.close();
    server.closeAllConnections();
    await cache.close();
  };
  return { address: '127.0.0.1', port: server.address().port, close };
}

function hasGo() {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The module cache is read-only and not ours, so the suite is built in a copy. */
function buildSuite() {
  const source = path.join(work, 'suite');
  mkdirSync(source);
  writeFileSync(path.join(work, 'go.mod'), 'module conformance\n\ngo 1.24\n');
  const answer = execFileSync('go', ['mod', 'download', '-json', SUITE], { cwd: work, encoding: 'utf8' });
  const { Dir } = JSON.parse(answer);
  for (const file of readdirSync(Dir, { withFileTypes: true })) {
    if (file.isFile()) copyFileSync(path.join(Dir, file.name), path.join(source, file.name));
  }
  const binary = path.join(work, 'conformance');
  execFileSync('go', ['build', '-o', binary, '.'], { cwd: source, stdio: ['ignore', 'inherit', 'inherit'] });
  return binary;
}

/** `dev` is the coming spec 1.2: everything of 1.1, and tags as parameters of a push by digest. */
function settings(registry) {
  return {
    OCI_VERSION: 'dev',
    OCI_REGISTRY: registry,
    OCI_TLS: 'disabled',
    OCI_REPO1: 'conformance/one',
    OCI_REPO2: 'conformance/two',
    OCI_RESULTS_DIR: path.join(work, 'results'),
    OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
    OCI_API_BLOBS_DIGEST_HEADER: 'true',
    OCI_API_MANIFESTS_DIGEST_HEADER: 'true',
    OCI_API_MANIFESTS_TAG_PARAM: 'true',
  };
}

/** The suite's exit code alone is not enough: it is 0 when the suite could not even begin. */
function report(output) {
  const lines = [...output.matchAll(/^ {2}([A-Z][\w+ -]*?)\.*: +(\w+)$/gm)].map(([, name, value]) => [name, value]);
  const count = (name) => Number(lines.find(([found]) => found === name)?.[1] ?? Number.NaN);
  const counts = { passed: count('Pass'), failed: count('FAIL'), errors: count('Error'), skipped: count('Skip') };
  // A manifest that was deleted from the registry may be in the cache for a minute.
  const counted = throughCache ? ['pull', 'content discovery'] : Object.keys(WORKFLOWS);
  const workflows = counted
    .map((name) => [name, WORKFLOWS[name]])
    .map(([name, apis]) => {
      const results = lines.filter(([api]) => apis.test(api)).map(([, result]) => result);
      return [name, results.length > 0 && results.every((result) => result === 'Pass'), results.length];
    });
  const good = counts.passed > 0 && (throughCache || counts.failed + counts.errors + counts.skipped === 0);
  const green = good && workflows.every(([, passed]) => passed);
  if (!green) console.log(output);
  for (const [name, passed, apis] of workflows) console.log(`${passed ? 'pass' : 'FAIL'}  ${name} (${apis} APIs)`);
  if (throughCache) return green ? 0 : 1;
  const text = Object.entries(counts).map(([name, number]) => `${number} ${name}`);
  console.log(`conformance: ${text.join(', ')}`);
  return green ? 0 : 1;
}
