import { describe, expect, it } from 'vitest';
import type { RegistryResponse } from '../../../src/registry/request/request.ts';
import { uploadLocation } from '../../../src/registry/blobs/upload-location.ts';

function located(location: string, asked: string): string {
  const response = {
    status: 202,
    headers: { get: () => location, all: () => [location] },
  } as unknown as RegistryResponse;
  return uploadLocation(response, new URL(asked)).href;
}

const ASKED = 'https://registry.example:8221/v2/a/b/blobs/uploads/';

describe('where an upload continues (Q6, S12)', () => {
  it.each([
    [
      'http behind a TLS proxy',
      'http://registry.example:8221/v2/up?s=%2B',
      'https://registry.example:8221/v2/up?s=%2B',
    ],
    ['without the port', 'https://registry.example/v2/up', 'https://registry.example:8221/v2/up'],
    ['http without the port', 'http://registry.example/v2/up', 'https://registry.example:8221/v2/up'],
    ['another port', 'https://registry.example:9000/v2/up', 'https://registry.example:9000/v2/up'],
    ['another host', 'https://storage.example/x?sig=a%2Bb', 'https://storage.example/x?sig=a%2Bb'],
    ['not below /v2/', 'https://registry.example/bucket', 'https://registry.example/bucket'],
  ])('%s', (_title, location, expected) => {
    expect(located(location, ASKED)).toBe(expected);
  });

  it.each([
    'http://storage.example/x',
    'http://registry.example/bucket',
    'http://registry.example:9000/v2/up',
    'ftp://registry.example/v2/up',
    'https://u:p@registry.example:8221/v2/up',
    'http://[',
  ])('never at %s', (location) => {
    expect(() => located(location, ASKED)).toThrowError(expect.objectContaining({ code: 'REDIRECT_REFUSED' }));
  });
});
