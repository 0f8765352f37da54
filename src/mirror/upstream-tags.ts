import type { Digest } from '../names/digest.ts';
import { isTartletError } from '../errors.ts';
import type { Repository } from '../names/repository.ts';
import type { Tag } from '../names/tag.ts';
import { cutPage, type Page, type PageRequest } from '../server/contract/page.ts';
import type { ResolvedTag, TagStore } from '../server/contract/tag-store.ts';
import type { Asked } from './access.ts';
import type { DocumentWork } from './document-work.ts';
import { readOnly } from './read-only.ts';
import type { KnownTag } from './repository-records.ts';
import { isPassing, refusalOf } from './upstream-failure.ts';

/** The tags of upstreams, as one client may see them. */
export class UpstreamTags implements TagStore {
  readonly #work: DocumentWork;
  readonly #askedFor: (name: Repository) => Asked;

  constructor(work: DocumentWork, askedFor: (name: Repository) => Asked) {
    this.#work = work;
    this.#askedFor = askedFor;
  }

  /**
   * Within the time that tags are believed for, what is known; else what the upstream says to a HEAD; when that does
   * not answer, what is known, with a warning, as long as it is not too old (RFC 9111 §4.2.4, RFC 7234 §5.5).
   */
  async resolve(name: Repository, tag: Tag): Promise<ResolvedTag | undefined> {
    const asked = this.#askedFor(name);
    const known = await asked.records.tag(tag);
    const { access, now, ttlMs } = this.#work;
    const age = known === undefined ? Infinity : Math.abs(now() - known.askedAt);
    if (known !== undefined && age <= ttlMs && access.isAllowed(asked)) return { digest: known.digest };
    try {
      const digest = await this.#work.digests.run(`${asked.key} ${tag.text}`, async () => this.#ask(asked, tag, known));
      return digest === undefined ? undefined : { digest };
    } catch (error) {
      const mayBeOld = known !== undefined && isPassing(error) && access.isYoung(known.askedAt);
      if (!mayBeOld || !(await access.isAllowedWithoutUpstream(asked))) {
        throw refusalOf(error, asked.upstream, asked.loginAdvice);
      }
      asked.usage.count('stale');
      return { digest: known.digest, warning: warningOf(asked.upstream) };
    }
  }

  async list(name: Repository, page: PageRequest): Promise<Page | undefined> {
    const asked = this.#askedFor(name);
    try {
      return cutPage(await this.#work.tagLists.get(asked.key, async () => this.#list(asked)), page);
    } catch (error) {
      if (isTartletError(error, 'NOT_FOUND')) return undefined;
      throw refusalOf(error, asked.upstream, asked.loginAdvice);
    }
  }

  async delete(): Promise<boolean> {
    throw readOnly();
  }

  async #ask(asked: Asked, tag: Tag, known: KnownTag | undefined): Promise<Digest | undefined> {
    const { documents } = asked.client;
    const status = await this.#work.access.ask(asked, known !== undefined, async (signal) =>
      documents.headManifest({ tag }, { signal }),
    );
    if (status === undefined) {
      if (known !== undefined) await asked.records.forgetTag(tag);
      return undefined;
    }
    await asked.records.setTag(tag, { digest: status.digest, askedAt: this.#work.now() });
    return status.digest;
  }

  async #list(asked: Asked): Promise<readonly string[]> {
    return this.#work.access.askForList(asked, async (signal) => {
      const tags: string[] = [];
      for await (const tag of asked.client.documents.tags({ signal })) tags.push(tag);
      return [...new Set(tags)].sort();
    });
  }
}

/** Both codes: that the answer is old, and why. */
function warningOf(upstream: string): string {
  return `110 - "Response is Stale", 111 - "Revalidation Failed: ${upstream} did not answer"`;
}
