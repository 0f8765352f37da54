import { malformed, shownName } from './malformed.ts';

/**
 * Refuses `https://…` where a name belongs, with the right spelling: people copy addresses out of a browser.
 * @param spell makes the right spelling out of what follows the scheme and the user.
 * @throws TartletError `NAME_MALFORMED`
 */
export function refuseScheme(text: string, spell: (bare: string) => string): void {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]{0,20}):\/\//.exec(text);
  if (scheme === null) return;
  const rest = text.slice(scheme[0].length);
  const slash = rest.indexOf('/');
  const host = slash < 0 ? rest : rest.slice(0, slash);
  const bare = rest.slice(host.lastIndexOf('@') + 1);
  const plainHttp = scheme[1]?.toLowerCase() === 'http';
  throw malformed(text, 0, `a name has no "${scheme[0]}"`, {
    kind: 'write-name-as',
    name: shownName(spell(bare)),
    plainHttp,
  });
}
