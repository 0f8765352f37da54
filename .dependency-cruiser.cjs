/**
 * The floors of the house (docs/maintainers/architecture.md), in `scripts/floors.json`: a file imports from its own
 * directory and from directories above it in that list, never from below. The order of the list is the rule; there is
 * no list of exceptions. Because every directory is a floor of its own, neither files nor directories can form an import
 * cycle.
 */
const floors = require('./scripts/floors.json');

/** Files directly in the directory: a directory within it is a floor of its own. */
const pathOf = (floor) => (floor === 'index' ? '^src/index\\.ts$' : `^src/${floor}/[^/]+$`);

/** A floor and everything within it. */
const below = (directory) => `^src/${directory}/`;

/**
 * What a part of the house must not know, although it stands above it: the charter column of
 * docs/maintainers/architecture.md.
 */
const blind = {
  codec: ['fs', 'names'],
  names: ['fs'],
  oci: ['fs'],
  credentials: ['oci', 'codec'],
  endpoints: ['oci', 'codec', 'credentials'],
  registry: ['fs', 'codec'],
  peering: ['fs', 'oci', 'home', 'credentials'],
  home: ['credentials', 'registry'],
  migration: ['credentials', 'registry', 'codec', 'chunks', 'session'],
  hypervisor: ['names', 'credentials', 'registry', 'home', 'session', 'transfer'],
  network: ['names', 'registry', 'home', 'session', 'vm', 'hypervisor'],
  guest: ['names', 'registry', 'home', 'session', 'vm', 'hypervisor'],
  run: ['oci', 'codec', 'credentials', 'registry', 'transfer', 'archive', 'doctor', 'migration'],
  server: [
    'codec',
    'credentials',
    'registry',
    'home',
    'chunks',
    'session',
    'migration',
    'transfer',
    'vm',
    'archive',
    'doctor',
    'hypervisor',
    'network',
    'guest',
    'run',
  ],
  'server/http': ['server/store'],
  'server/page': ['server/store', 'server/http'],
  cli: ['oci', 'codec', 'registry'],
};

const network = '^(node:)?(http|https|http2|net|tls|dgram|dns)$|node_modules/undici/';
const files = '^(node:)?fs(/promises)?$';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    {
      name: 'errors-know-nothing',
      severity: 'error',
      from: { path: '^src/errors\\.ts$' },
      to: { path: '.', pathNot: '^src/hint\\.ts$' },
    },
    { name: 'hints-know-nothing', severity: 'error', from: { path: '^src/hint\\.ts$' }, to: { path: '.' } },
    {
      name: 'every-directory-is-a-floor',
      severity: 'error',
      comment:
        'a new directory gets its place in scripts/floors.json, and its line in docs/maintainers/architecture.md',
      from: { path: '^src/', pathNot: ['^src/(errors|hint)\\.ts$', ...floors.map(pathOf)] },
      to: {},
    },
    {
      name: 'imports-from-floors-only',
      severity: 'error',
      comment: 'the same for a directory whose files import nothing, and so are seen only where they are imported',
      from: { path: '^src/' },
      to: { path: '^src/', pathNot: ['^src/(errors|hint)\\.ts$', ...floors.map(pathOf)] },
    },
    ...floors
      .map((floor, height) => ({
        name: `floor-${floor.replaceAll('/', '-')}`,
        severity: 'error',
        comment: `src/${floor} imports only from itself and from the floors above it`,
        from: { path: pathOf(floor) },
        to: { path: floors.slice(height + 1).map(pathOf) },
      }))
      .filter((rule) => rule.to.path.length > 0),
    ...Object.entries(blind).map(([part, unknown]) => ({
      name: `charter-${part.replaceAll('/', '-')}`,
      severity: 'error',
      from: { path: below(part) },
      to: { path: unknown.map(below) },
    })),
    {
      name: 'one-way-into-direct',
      severity: 'error',
      comment: 'reading from the socket is behind one interface, and one file decides which requests go there',
      from: { path: '^src/', pathNot: ['^src/registry/transport/direct/', '^src/registry/transport/transport\\.ts$'] },
      to: { path: '^src/registry/transport/direct/' },
    },
    {
      name: 'direct-is-one-file-to-others',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/registry/transport/direct/' },
      to: {
        path: '^src/registry/transport/direct/',
        pathNot: '^src/registry/transport/direct/direct-transport\\.ts$',
      },
    },
    {
      name: 'no-network-here',
      severity: 'error',
      from: { path: '^src/(errors\\.ts|json|fs|names|oci|codec|home|migration)' },
      to: { path: network },
    },
    {
      name: 'no-files-here',
      severity: 'error',
      from: { path: '^src/(errors\\.ts|json|names|oci|codec)' },
      to: { path: files },
    },
    {
      name: 'no-requests-in-the-store',
      severity: 'error',
      comment: 'a store serves what server/contract says, and knows nothing of HTTP',
      from: { path: '^src/server/(contract|store)/' },
      to: { path: network },
    },
    {
      name: 'library-is-silent',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: 'node_modules/(commander|picocolors)/' },
    },
    {
      name: 'only-declared-packages',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
