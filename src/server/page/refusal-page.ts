import type { Refusal } from '../contract/refusal.ts';
import { documentText } from './layout.ts';
import { HOME } from './address.ts';
import { asSentence, html } from './markup.ts';

/** What a person reads in place of the error body of the API. */
export function refusalPage({ status, message, headers }: Refusal): string {
  const [title, words] = wordsOf(status, headers['WWW-Authenticate'] ?? '');
  const main = html`<h1>${title}</h1>
<p>${words ?? asSentence(message)}</p>
<p><a href="${HOME}">All repositories</a></p>`;
  return documentText({ title, crumbs: [], main });
}

function wordsOf(status: number, challenge: string): readonly [title: string, words: string | undefined] {
  switch (status) {
    case 401:
      if (!challenge.startsWith('Bearer ')) return ['Login needed', 'This registry shows its content to its users.'];
      return [
        'Token needed',
        'This registry takes tokens of a token service, which a browser does not send. Tools that log in there see ' +
          'what their token allows.',
      ];
    case 403:
      return ['Not allowed', undefined];
    case 404:
      return ['Not found', undefined];
    case 421:
      return ['Not known by this name', undefined];
    case 429:
      return ['Too many requests', undefined];
    default:
      return [status >= 500 ? 'Something went wrong' : 'This did not work', undefined];
  }
}
