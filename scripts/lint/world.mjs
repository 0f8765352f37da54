/**
 * A rule of the linter: the library takes the world around it (environment, clock, chance, processors, places, signals)
 * from its options, so that a test can bring its own and two calls in one process do not disturb each other. What must
 * ask the machine itself is named here, with what it asks and why; an exception that is not used any more is refused as
 * well.
 */

import { existsSync } from 'node:fs';
import path from 'node:path';

const EXCEPTIONS = {
  'src/session/session.ts': {
    asks: ['process.platform', 'process.kill', 'new Date()', 'node:os availableParallelism'],
    because: 'the defaults of the options are made here',
  },
  'src/library/open.ts': {
    asks: [
      'process.env',
      'process.platform',
      'process.getuid',
      'process.geteuid',
      'process.pid',
      'process.cwd',
      'node:os default',
    ],
    because: 'the one door of the library, which fills everything from the process',
  },
  'src/library/operations.ts': {
    asks: ['performance.now'],
    because: 'how fast a transfer is, is measured where its listener is made',
  },
  'src/server/settings/options.ts': {
    asks: ['Date.now'],
    because: 'the defaults of the options of the registry are made here',
  },
  'src/registry/request/clock.ts': {
    asks: ['Date.now', 'performance.now', 'process.hrtime', 'Math.random'],
    because: 'the one clock of the protocol, which tests replace',
  },
  'src/fs/native.ts': {
    asks: ['process.platform'],
    because: 'numbers and layouts of calls are those of the system that runs this, whatever the options say',
  },
  'src/fs/native-binding.ts': {
    asks: ['process.platform', 'process.arch'],
    because: 'the binding must fit the process that loads it',
  },
  'src/fs/own-file.ts': { asks: ['process.geteuid'], because: 'the kernel judges by who this process is' },
  'src/fs/trusted-path.ts': { asks: ['process.geteuid'], because: 'the kernel judges by who this process is' },
  'src/server/store/data-directory.ts': {
    asks: ['process.pid', 'performance.now'],
    because: 'the lock names its process; time is counted on between two looks at the clock of the file system',
  },
  'src/chunks/chunk-worker.ts': { asks: ['process.on'], because: 'it is the main file of a thread' },
  'src/registry/transport/connect/lookup.ts': {
    asks: ['process.nextTick'],
    because: 'a callback of Node must come later, and asks nothing of the machine',
  },
};

for (const file of Object.keys(EXCEPTIONS)) {
  if (!existsSync(path.resolve(import.meta.dirname, '../..', file)))
    throw new Error(`an exception for ${file}, which is gone`);
}

/** Of `node:os`, what is the same in every process of a system. */
const CONSTANTS = new Set(['constants']);

/** Where what concerns a whole file is reported. */
const TOP = { start: { line: 1, column: 0 }, end: { line: 1, column: 1 } };

/** Globals that ask the machine: with any member, or with these. */
const SOURCES = {
  process: undefined,
  globalThis: undefined,
  performance: undefined,
  Date: new Set(['now']),
  Math: new Set(['random']),
};

const byOptions = {
  create(context) {
    const file = relative(context.filename);
    if (file === undefined) return {};
    const allowed = new Set(EXCEPTIONS[file]?.asks ?? []);
    const used = new Set();
    const report = (node, what) => {
      if (allowed.has(what)) used.add(what);
      else context.report({ node, message: `${what}: take it from the options (exceptions: scripts/lint/world.mjs)` });
    };
    const fromModule = (node, source, name) => {
      if (/^(?:node:)?process$/.test(source)) report(node, 'node:process');
      if (/^(?:node:)?os$/.test(source) && !CONSTANTS.has(name)) report(node, `node:os ${name}`);
    };
    return {
      Identifier(node) {
        if (!Object.hasOwn(SOURCES, node.name) || !isReference(node)) return;
        const member = memberOf(node);
        const only = SOURCES[node.name];
        if (only === undefined || only.has(member))
          report(node, member === undefined ? node.name : `${node.name}.${member}`);
      },
      NewExpression(node) {
        if (node.callee.name === 'Date' && node.arguments.length === 0) report(node, 'new Date()');
      },
      CallExpression(node) {
        if (node.callee.name === 'Date') report(node, 'Date()');
      },
      ImportDeclaration(node) {
        const source = node.source.value;
        for (const each of node.specifiers) fromModule(each, source, each.imported?.name ?? 'default');
      },
      ExportNamedDeclaration(node) {
        for (const each of node.source === null ? [] : node.specifiers)
          fromModule(each, node.source.value, each.local.name);
      },
      'Program:exit'() {
        for (const each of allowed)
          if (!used.has(each)) context.report({ loc: TOP, message: `${each}: the exception is not needed any more` });
      },
    };
  },
};

/** The path of a file of the library; undefined for any other. */
function relative(filename) {
  const file = /(?:^|\/)(src\/.*)$/.exec(filename.replaceAll('\\', '/'))?.[1];
  return file === undefined || file.startsWith('src/cli/') ? undefined : file;
}

/** Whether a name stands for the value, and is not that of a property. */
function isReference(node) {
  const { parent } = node;
  if (parent.type === 'MemberExpression') return parent.object === node || parent.computed;
  if (parent.type === 'Property') return parent.value === node;
  return !/^(?:TS(?!As|NonNull|Satisfies)|Import|Export|PropertyDefinition|MethodDefinition)/.test(parent.type);
}

function memberOf({ parent }) {
  return parent.type === 'MemberExpression' && !parent.computed ? parent.property.name : undefined;
}

export default { meta: { name: 'world' }, rules: { 'by-options': byOptions } };
