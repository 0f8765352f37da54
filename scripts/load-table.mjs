import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/**
 * What a TypeScript file exports that imports nothing but types, and so can be loaded without a bundler. @param file
 * from the root of the tree.
 */
export async function loadTable(file) {
  const source = readFileSync(path.resolve(import.meta.dirname, '..', file), 'utf8');
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext } });
  return import(`data:text/javascript,${encodeURIComponent(outputText)}`);
}
