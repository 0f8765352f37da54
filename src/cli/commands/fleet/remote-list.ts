import { RegistryAddress } from '../../../names/registry-address.ts';
import { RemoteName } from '../../../names/remote-name.ts';
import type { Session } from '../../../session/session.ts';
import { listRemoteRepositories, listRemoteTags, type RemoteListing } from '../../../transfer/remote-listing.ts';
import { renderJson } from '../../render/json.ts';
import { type ReportOptions, withSession } from '../../session/session.ts';
import { printableLines } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface RemoteListCommandOptions extends ReportOptions {
  readonly insecure?: true;
  readonly limit?: number;
  readonly format: 'text' | 'json';
}

/** A tag a line, in the registry's order. The tag of the name, if it has one, does not matter. */
export async function runTags(terminal: Terminal, text: string, options: RemoteListCommandOptions): Promise<number> {
  const name = RemoteName.parse(text);
  const repository = name.repositoryName;
  return show(terminal, options, {
    list: async (session) => listRemoteTags(session, name, options),
    toLine: (tag) => tag,
    toJson: ({ names, more }) => ({ schema: 'tartlet.tags/v1', repository, tags: names, more }),
  });
}

/** A repository a line, as commands take it: with its registry. */
export async function runCatalog(terminal: Terminal, text: string, options: RemoteListCommandOptions): Promise<number> {
  const address = RegistryAddress.parse(text.replace(/\/$/, ''));
  const registry = address.toString();
  return show(terminal, options, {
    list: async (session) => listRemoteRepositories(session, address, options),
    toLine: (repository) => `${registry}/${repository}`,
    toJson: ({ names, more }) => ({ schema: 'tartlet.catalog/v1', registry, repositories: names, more }),
  });
}

interface Shown {
  readonly list: (session: Session) => Promise<RemoteListing>;
  readonly toLine: (name: string) => string;
  readonly toJson: (listing: RemoteListing) => object;
}

async function show(
  terminal: Terminal,
  options: RemoteListCommandOptions,
  { list, toLine, toJson }: Shown,
): Promise<number> {
  return withSession(
    terminal,
    async (session, say) => {
      const listing = await list(session);
      const { names, more, passedOver } = listing;
      terminal.stdout.write(
        options.format === 'json' ? renderJson(toJson(listing)) : printableLines(names.map(toLine)),
      );
      if (options.quiet !== true) {
        if (more) say(`there are more than these ${names.length}`);
        if (passedOver > 0) say(`${passedOver} of what the registry sent can be no names, and were left out`);
      }
      return 0;
    },
    { cache: 'untouched', report: options },
  );
}
