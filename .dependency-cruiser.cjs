/**
 * The floors of the house (docs/architecture.md): a file imports from its own folder and from folders above it, never from below.
 * The order of this list is the rule; there is no list of exceptions.
 */
const floors = ['names', 'oci', 'codec', 'credentials', 'registry', 'home', 'transfer', 'vm', 'server', 'index', 'cli'];
const pathOf = (floor) => (floor === 'index' ? '^src/index\\.ts$' : `^src/${floor}/`);

/** What a floor must not know, although it stands above it: the charter column of docs/architecture.md. */
const blind = {
  codec: ['names'],
  home: ['registry', 'credentials'],
  credentials: ['oci', 'codec'],
  registry: ['codec'],
  server: ['codec', 'credentials', 'registry', 'transfer', 'vm'],
  cli: ['oci', 'codec', 'registry'],
};

const network = '^(node:)?(http|https|http2|net|tls|dgram|dns)$|node_modules/undici/';
const files = '^(node:)?fs(/promises)?$';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    { name: 'errors-know-nothing', severity: 'error', from: { path: '^src/errors\\.ts$' }, to: { path: '.' } },
    ...floors
      .map((floor, height) => ({
        name: `floor-${floor}`,
        severity: 'error',
        comment: `src/${floor} imports only from itself and from the floors above it`,
        from: { path: pathOf(floor) },
        to: { path: floors.slice(height + 1).map(pathOf) },
      }))
      .filter((rule) => rule.to.path.length > 0),
    ...Object.entries(blind).map(([floor, unknown]) => ({
      name: `charter-${floor}`,
      severity: 'error',
      from: { path: pathOf(floor) },
      to: { path: unknown.map(pathOf) },
    })),
    {
      name: 'no-network-here',
      severity: 'error',
      from: { path: '^src/(errors\\.ts|names|oci|codec|home)' },
      to: { path: network },
    },
    {
      name: 'no-files-here',
      severity: 'error',
      from: { path: '^src/(errors\\.ts|names|oci|codec)' },
      to: { path: files },
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
