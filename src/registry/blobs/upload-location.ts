import { TartletError } from '../../errors.ts';
import { hostAndPort } from '../request/network-error.ts';
import { appendQuery } from '../request/query.ts';
import { shownAddress } from '../request/redact.ts';
import type { ResponseStart } from '../request/request.ts';
import { byKnownName } from '../request/same-place.ts';

/**
 * Where an upload continues: the `Location` of a response, against the URL that was asked, its query untouched
 * (reliability Q6). A registry behind a proxy often does not know its own scheme and port; an address below `/v2/` of
 * the same host that is plain HTTP, or that lost its port, is therefore meant to be the registry itself, and so is
 * another name of this machine ({@link byKnownName}). Other hosts are taken as they are, over https only; they get no
 * credentials (S12).
 * @throws TartletError `UPLOAD_REJECTED` when there is none, `REDIRECT_REFUSED` when it leads where no bytes should go.
 */
export function uploadLocation(response: ResponseStart, asked: URL): URL {
  const location = response.headers.get('location')?.trim() ?? '';
  const host = hostAndPort(asked);
  if (location === '') {
    throw new TartletError('UPLOAD_REJECTED', `${host} gave no upload address`, {
      subject: host,
      status: response.status,
    });
  }
  if (!URL.canParse(location, asked.href)) throw refusedLocation(host, 'an address that is no URL');
  const target = byKnownName(new URL(appendQuery(location, []), asked), asked);
  if (target.username !== '' || target.password !== '') throw refusedLocation(host, 'an address with a user in it');
  if (target.origin === asked.origin) return target;
  if (isRegistryItself(target, asked)) return new URL(target.pathname + target.search, asked.origin);
  if (target.protocol === 'https:') return target;
  throw refusedLocation(host, shownAddress(target, response));
}

/** `location` as the address that finishes the upload of a blob. */
export function closingLocation(location: URL, digest: string): URL {
  return new URL(appendQuery(location.href, [['digest', digest]]));
}

function isRegistryItself(target: URL, asked: URL): boolean {
  const lostItsPort = target.port === '';
  const lostItsScheme = target.protocol === 'http:' && asked.protocol === 'https:';
  return (
    target.hostname === asked.hostname &&
    target.pathname.startsWith('/v2/') &&
    (target.protocol === 'http:' || target.protocol === 'https:') &&
    (lostItsPort || (lostItsScheme && target.port === asked.port))
  );
}

function refusedLocation(host: string, shown: string): TartletError {
  return new TartletError('REDIRECT_REFUSED', `${host} wants the blob sent to ${shown}: not sent`, {
    subject: host,
    retryable: false,
    next: { kind: 'check-external-address' },
  });
}
