import { type Command, Option } from 'commander';
import type { PeerCommandOptions } from '../commands/fleet/peer.ts';
import type { Declaration } from './declaration.ts';
import { limitRateOption, repeated, wholeNumber } from './option-types.ts';

const MAX_SLOTS = 64;

/** Adds what commands that pull are told of peers. */
export function withPeerOptions(command: Command): Command {
  const ask = 'Ask this peer of the fleet before the registry, mdns for those that announce themselves; repeatable';
  return command
    .addOption(new Option('--peer <address>', ask).argParser(repeated))
    .option('--peers-from <url>', 'Ask the peers that this server lists; repeatable', repeated)
    .addOption(fleetTokenOption())
    .option('--no-peers', 'Ask no peers, whatever the environment says');
}

function fleetTokenOption(): Option {
  return new Option('--fleet-token-file <file>', 'The token that peers of the fleet know each other by');
}

export function declarePeer({ program, terminal, setExitCode }: Declaration): void {
  program
    .command('peer')
    .description('Give what is cached here to other hosts of the fleet')
    .option('--listen <address>', 'Host:port to listen on; a port alone is one of all addresses', '0.0.0.0:8222')
    .addOption(fleetTokenOption())
    .option('--slots <n>', 'Most streams at once', wholeNumber(1, MAX_SLOTS), 8)
    .addOption(limitRateOption())
    .option('--announce <url>', 'Announce it at this site cache; repeatable', repeated)
    .option('--mdns [address]', 'Announce it on the local network, that of this address if one is given')
    .addHelpText(
      'after',
      `
Only hosts with the same fleet token get an answer, and only for what they know the digest of. The token is in
TARTLET_FLEET_TOKEN or in a file, and never crosses the network. What is given was verified; what VMs wrote is never
given. It needs no registry here, and stops nothing: images can be deleted while they are read.

Examples:
  openssl rand -hex 32 > fleet.token && chmod 600 fleet.token
  ${terminal.programName} peer --fleet-token-file fleet.token
  ${terminal.programName} pull --peer mac-07.local --fleet-token-file fleet.token \\
    registry.example:8221/macos/base:15`,
    )
    .action(async (options: PeerCommandOptions) => {
      const { runPeer } = await import('../commands/fleet/peer.ts');
      setExitCode(await runPeer(terminal, options));
    });
}
