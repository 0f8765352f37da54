import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** A process that holds the lock of a VM, as `tart run` does for its whole life. */
export interface RunningVm {
  readonly pid: number;
  /** What ended it, once it ended. */
  readonly ended: Promise<NodeJS.Signals | number | null>;
}

const SCRIPT = `import fcntl,signal,sys
if sys.argv[2]=='ignores': signal.signal(signal.SIGINT,signal.SIG_IGN)
else: signal.signal(signal.SIGINT,lambda *_: sys.exit(0))
f=open(sys.argv[1]+'/config.json','r+')
fcntl.lockf(f,fcntl.LOCK_EX)
print('running',flush=True)
while True: signal.pause()`;

/** @param onInterrupt whether SIGINT ends it, as it does Tart. */
export async function runVm(directory: string, onInterrupt: 'ends' | 'ignores' = 'ends'): Promise<RunningVm> {
  const child = spawn('python3', ['-c', SCRIPT, directory, onInterrupt], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(([code, signal]) => (signal ?? code) as NodeJS.Signals | number | null);
  await once(child.stdout, 'data');
  return { pid: child.pid ?? 0, ended };
}
