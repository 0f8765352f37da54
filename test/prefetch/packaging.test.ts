import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { parseByteRate } from '../../src/names/byte-count.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { terminalHere } from '../support/here.ts';
import { Cleanup } from '../support/real-cleanup.ts';
import { Workplace } from '../support/real-command.ts';

const PACKAGING = path.resolve(import.meta.dirname, '../../packaging');

/** What a command line of a unit asks for, without doing it. */
function optionsOf(words: readonly string[]): object {
  const program = buildProgram(terminalHere(new Workplace(new Cleanup()), []), () => undefined);
  const command = program.commands.find((each) => each.name() === words[1]);
  if (command === undefined) throw new Error(`there is no command ${words[1]}`);
  const { operands, unknown } = command.parseOptions(words.slice(2));
  return { operands, unknown, ...command.opts() };
}

it('the unit of systemd starts what there is, each time after the one before', () => {
  const service = readFileSync(`${PACKAGING}/systemd/tartlet-prefetch.service`, 'utf8');
  const [, line = ''] = /^ExecStart=(.*)$/m.exec(service) ?? [];
  expect(optionsOf(line.split(' '))).toMatchObject({ operands: [], unknown: [], list: ['/etc/tartlet/images'] });
  expect(service).toContain('\nType=oneshot\n');
  const timer = readFileSync(`${PACKAGING}/systemd/tartlet-prefetch.timer`, 'utf8');
  expect(timer).toMatch(/^OnUnitInactiveSec=1h\nRandomizedDelaySec=10min$/m);
});

it('the property list of launchd can be read, and starts what there is', () => {
  const file = `${PACKAGING}/launchd/tartlet.prefetch.plist`;
  const script = 'import json,plistlib,sys; print(json.dumps(plistlib.load(open(sys.argv[1],"rb"))))';
  const job = JSON.parse(execFileSync('python3', ['-c', script, file], { encoding: 'utf8' })) as {
    Label: string;
    ProgramArguments: string[];
    EnvironmentVariables: Record<string, string>;
    StartInterval: number;
  };
  expect(job).toMatchObject({ Label: 'tartlet.prefetch', StartInterval: 3600 });
  expect(optionsOf(job.ProgramArguments)).toMatchObject({ unknown: [], list: ['/usr/local/etc/tartlet/images'] });
  expect(parseByteRate(job.EnvironmentVariables['TARTLET_LIMIT_RATE'] ?? '')).toBe(52_428_800);
});
