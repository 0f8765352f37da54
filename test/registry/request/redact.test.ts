import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanText, firstUsefulLine, redactUrl } from '../../../src/registry/request/redact.ts';

describe('redactUrl (S34)', () => {
  it('hides user, query and fragment', () => {
    expect(redactUrl('https://user:hunter2@cdn.example:8443/v2/blob?X-Amz-Signature=abc#frag')).toBe(
      'https://cdn.example:8443/v2/blob?…',
    );
    expect(redactUrl(new URL('http://[::1]:5000/v2/'))).toBe('http://[::1]:5000/v2/');
    expect(redactUrl('no url')).toBe('(unreadable URL)');
  });
});

describe('cleanText', () => {
  it('removes what a terminal would obey (S35)', () => {
    expect(cleanText('\u001b]0;owned\u0007\u001b[31mred\u001b[0m \u202Egnp\u2066 a\u0000b\tc')).toBe('red gnp a b c');
  });

  it.each([
    ['sent Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.secret.secret', 'secret.secret'],
    ['{"access_token":"s3cr3tvalue"}', 's3cr3tvalue'],
    ['login?password=s3cr3tvalue&x=1', 's3cr3tvalue'],
    ['see https://u:s3cr3tvalue@h/p?sig=s3cr3tvalue', 's3cr3tvalue'],
  ])('hides the secret in %j (S34)', (text, secret) => {
    expect(cleanText(text)).not.toContain(secret);
  });

  it('keeps ordinary sentences', () => {
    expect(cleanText('Basic authentication is required for repository a/b')).toBe(
      'Basic authentication is required for repository a/b',
    );
  });

  it('is never longer than its limit and never has a control character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        const cleaned = cleanText(text, 100);
        expect(cleaned.length).toBeLessThanOrEqual(100);
        expect(cleaned).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});

describe('firstUsefulLine', () => {
  it('skips lines without words', () => {
    expect(firstUsefulLine('\r\n---\n\u001b[2J\n  upload too large\nmore')).toBe('upload too large');
    expect(firstUsefulLine('\n***\n')).toBe('');
  });
});
