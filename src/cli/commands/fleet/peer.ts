import { once } from 'node:events';
import { RegistryAddress } from '../../../names/registry-address.ts';
import { TartletError } from '../../../errors.ts';
import { type PeerAddress, peerText, PEER_PORT } from '../../../peering/peer-address.ts';
import type { PeerRequest } from '../../../peer/peer-handler.ts';
import { servePeers } from '../../../peer/peer-server.ts';
import { humanBytes } from '../../render/quantity.ts';
import { parseList, parseMulticast, type PeerFlags, readFleetKey } from '../../session/peer-settings.ts';
import { withSession } from '../../session/session.ts';
import { releaseNotes } from '../../terminal/message-stream.ts';
import { printableLine } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface PeerCommandOptions extends Pick<PeerFlags, 'fleetTokenFile'> {
  readonly listen: string;
  readonly slots: number;
  readonly limitRate?: number;
  readonly mdns?: string | true;
  readonly announce?: readonly string[];
}

/** Answers peers until it is interrupted, which is the normal end. The address goes to stdout, for port 0. */
export async function runPeer(terminal: Terminal, options: PeerCommandOptions): Promise<number> {
  const key = await readFleetKey(terminal, options);
  const listen = parseListen(options.listen);
  const lists = options.announce?.map(parseList);
  const multicast = options.mdns === undefined ? undefined : parseMulticast(options.mdns);
  const log = (text: string): unknown =>
    terminal.stderr.write(printableLine(`${terminal.now().toISOString()} ${text}`));
  return withSession(
    terminal,
    async (session) => {
      const peer = await servePeers(session, {
        key,
        listen,
        slots: options.slots,
        multicast,
        lists,
        onRequest: (request) => log(describe(request)),
        onRefused: (remote, why) => log(`${remote} refused: it has not the fleet token (${why})`),
        onUnannounced: (why) => log(`not announced at ${why}`),
      });
      try {
        terminal.stdout.write(printableLine(peerText(peer.address)));
        releaseNotes(terminal.stderr);
        terminal.stderr.write(printableLine(`giving what is cached in ${session.home.root}; Ctrl-C ends it`));
        if (!terminal.signal.aborted) await once(terminal.signal, 'abort');
        return 0;
      } finally {
        await peer.close();
      }
    },
    { limitRate: options.limitRate, stdout: 'both' },
  );
}

/** @throws TartletError `USAGE` */
function parseListen(text: string): PeerAddress {
  if (/^[0-9]+$/.test(text)) return parseListen(`0.0.0.0:${text}`);
  const anyPort = text.endsWith(':0');
  const address = RegistryAddress.tryParse(anyPort ? text.slice(0, -2) : text);
  if (address === undefined) {
    throw new TartletError('USAGE', `--listen ${text} is not an address`, {
      next: { kind: 'in-words', words: 'write it as host:port or as a port, e.g. 0.0.0.0:8222 for all addresses' },
    });
  }
  return { host: address.host.replace(/^\[|\]$/g, ''), port: anyPort ? 0 : (address.port ?? PEER_PORT) };
}

function describe({ remote, method, path, status, bytes, durationMs, failure }: PeerRequest): string {
  const outcome = status === 0 ? 'hung up' : String(status);
  const why = failure === undefined ? '' : `: ${failure}`;
  return `${remote} ${method} ${path} ${outcome} ${humanBytes(bytes)} ${Math.round(durationMs)} ms${why}`;
}
