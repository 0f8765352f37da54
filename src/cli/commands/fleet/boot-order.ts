import { type KnownBootOrder, knownBootOrder, publishKnownOrder } from '../../../lazy-disk/known-order.ts';
import { RemoteName } from '../../../names/remote-name.ts';
import { renderJson } from '../../render/json.ts';
import { humanBytes } from '../../render/quantity.ts';
import { type MirrorOptions, mirrorsBy, type ReportOptions, withSession } from '../../session/session.ts';
import { type Printable, printableLines } from '../../terminal/printable.ts';
import type { Terminal } from '../../terminal/terminal.ts';

export interface BootOrderCommandOptions extends ReportOptions, MirrorOptions {
  readonly publish?: true;
  readonly insecure?: true;
  readonly format: 'text' | 'json';
}

/** Shows what guests of an image touch first, or publishes that for other machines. */
export async function runBootOrder(
  terminal: Terminal,
  text: string,
  options: BootOrderCommandOptions,
): Promise<number> {
  const name = RemoteName.parse(text);
  return withSession(
    terminal,
    async (session, say) => {
      if (options.publish !== true) {
        const found = await knownBootOrder(session, name, options);
        terminal.stdout.write(options.format === 'json' ? renderJson(toJson(found)) : toText(found));
        return 0;
      }
      const done = await publishKnownOrder(session, name, options);
      const { referrer, status } = done;
      const result = { ...toJson(done), referrer: referrer.toString(), status };
      terminal.stdout.write(options.format === 'json' ? renderJson(result) : toText(done));
      const what = status === 'present' ? 'was there already' : 'is published';
      say(`the boot order ${what}: ${name.repositoryName}@${referrer.toString()}`);
      return 0;
    },
    { report: options, mirrors: mirrorsBy(options) },
  );
}

function toJson({ name, digest, from, created, order, bytes, diskBytes, layers }: KnownBootOrder): object {
  return {
    schema: 'tartlet.boot-order/v1',
    image: name.toString(),
    digest: digest.toString(),
    from,
    created: created ?? null,
    bytes,
    diskBytes,
    layers,
    order,
  };
}

function toText({ name, digest, from, created = '', order, bytes, diskBytes, layers }: KnownBootOrder): Printable {
  const { touched, all } = layers;
  const when = created === '' ? '' : ` ${created}`;
  return printableLines([
    `Image:   ${name.repositoryName}@${digest.toString()}`,
    `Order:   ${from === 'recorded' ? 'recorded on this machine' : `published${when}`}`,
    `Touched: ${order.length} MiB, ${share(bytes, diskBytes)} of a disk of ${humanBytes(diskBytes, 1)}`,
    `Layers:  ${touched.count} of ${all.count}, ${humanBytes(touched.bytes, 1)} of ${humanBytes(all.bytes, 1)} ` +
      `(${share(touched.bytes, all.bytes)})`,
  ]);
}

function share(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}
