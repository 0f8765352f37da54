import { describe, expect, it } from 'vitest';
import { sha256, startRegistry } from '../running-registry.ts';

const EMPTY = sha256('');

describe('mounting', () => {
  it('links a blob of another repository, named or not', async () => {
    const { send, pushBlob } = await startRegistry();
    const digest = await pushBlob('team/source', 'shared');
    const named = await send('POST', `/v2/team/one/blobs/uploads/?mount=${digest}&from=team/source`);
    expect([named.status, named.headers.location]).toEqual([201, `/v2/team/one/blobs/${digest}`]);
    const anywhere = await send('POST', `/v2/team/two/blobs/uploads/?mount=${digest}`);
    expect(anywhere.status).toBe(201);
    expect((await send('GET', `/v2/team/two/blobs/${digest}`)).body.toString()).toBe('shared');
  });

  it.each([
    ['the source does not have it', `mount=${EMPTY}&from=team/source`],
    ['the source does not exist', `mount=${EMPTY}&from=team/nowhere`],
    ['the source is no name', `mount=${EMPTY}&from=../../etc`],
    ['the digest is none', 'mount=nonsense&from=team/source'],
    ['no repository has it', `mount=${EMPTY}`],
  ])('becomes an upload when %s', async (_, query) => {
    const { send, pushBlob } = await startRegistry();
    await pushBlob('team/source', 'other');
    const { status, headers } = await send('POST', `/v2/team/one/blobs/uploads/?${query}`);
    expect(status).toBe(202);
    expect(headers.location).toMatch(/uploads\/[0-9a-f]{32}$/);
  });

  it('takes a deleted blob for gone, although its content is still on disk (S44)', async () => {
    const { send, pushBlob } = await startRegistry();
    const digest = await pushBlob('team/source', 'shared');
    expect((await send('DELETE', `/v2/team/source/blobs/${digest}`)).status).toBe(202);
    for (const query of [`mount=${digest}&from=team/source`, `mount=${digest}`]) {
      expect((await send('POST', `/v2/team/one/blobs/uploads/?${query}`)).status).toBe(202);
    }
  });
});
