import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { run } from '../../src/cli/run.ts';
import { terminalHere } from './here.ts';
import type { Ran, Workplace } from './real-command.ts';

/**
 * Notes its words, a line of JSON for each call. As `run` it has the lock of the VM until a signal comes, as `ip` an
 * address, as `exec` the exit code of its command's name.
 */
const TART = `#!/bin/sh
python3 -c 'import json,sys; print(json.dumps(sys.argv[1:]))' "$@" >>"$NOTES/calls"
case "$1" in
run) exec python3 -c 'import fcntl,os,signal,sys
f=open(sys.argv[1]+"/config.json","r+"); fcntl.lockf(f,fcntl.LOCK_EX)
signal.signal(signal.SIGINT,lambda *_: sys.exit(0))
print("from tart",os.getsid(0)==os.getpid(),flush=True)
signal.pause()' "$TART_HOME/vms/$2" ;;
ip) if [ -e "$NOTES/address" ]; then cat "$NOTES/address"; else echo no address >&2; exit 1; fi ;;
exec) exit "\${3#exit-}" ;;
esac
`;

/** A Mac with a Tart that only notes and pretends. */
export class PretendedMac {
  readonly #workplace: Workplace;
  readonly #bin: string;

  constructor(workplace: Workplace) {
    this.#workplace = workplace;
    this.#bin = `${workplace.directory}/bin`;
    mkdirSync(this.#bin);
    this.plant('tart', TART);
  }

  /** Puts a script into the `PATH`. */
  plant(name: string, script: string): void {
    writeFileSync(`${this.#bin}/${name}`, script);
    chmodSync(`${this.#bin}/${name}`, 0o755);
  }

  /** Runs a command line in this process. Programs that it starts have the streams of this process. */
  async run(...argv: readonly string[]): Promise<Ran> {
    const terminal = terminalHere(this.#workplace, argv);
    const environment = {
      ...this.#workplace.environment,
      PATH: `${this.#bin}:${this.#workplace.environment['PATH']}`,
      NOTES: this.#workplace.directory,
    };
    const exitCode = await run({ ...terminal, environment, platform: 'darwin' }, argv);
    return { exitCode, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
  }

  /** `tart ip` prints it from now on. */
  setAddress(address: string): void {
    writeFileSync(`${this.#workplace.directory}/address`, `${address}\n`);
  }

  /** The words of each call of Tart so far. */
  calls(): string[][] {
    const lines = readFileSync(`${this.#workplace.directory}/calls`, 'utf8').trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as string[]);
  }
}
