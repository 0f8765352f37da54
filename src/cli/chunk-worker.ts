import { load } from './code-cache.ts';

/*
 * Where a worker thread of the command starts.
 */

load('chunk-work.js');
