import type { RepositoryContext } from '../request/repository.ts';

/**
 * Tells the registry that an upload will not be finished, so that it need not keep what it got (reliability P7). Best
 * effort, for two seconds at most: a session that stays open is cleaned up by the registry some day. Only the registry
 * itself is told: what an address elsewhere means is its own affair. Never rejects.
 */
export async function cancelUpload(context: RepositoryContext, location: URL): Promise<void> {
  const { repository, timing } = context;
  try {
    const { origin } = await context.url('blobs/uploads/');
    if (location.origin !== origin) return;
    const response = await context.send(
      { method: 'DELETE', url: location, headers: {}, access: { repository, action: 'push' }, idempotent: false },
      AbortSignal.timeout(timing.limits.cancelMs),
    );
    await response.body.discard();
  } catch {
    // This answer is not waited for.
  }
}
