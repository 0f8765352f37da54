import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../src/oci/manifest.ts';
import { tinyIndex, tinyManifest } from '../support/tart-image.ts';
import { invalid, type Refusal, refusal } from './refusal.ts';

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const why = (document: Uint8Array, header?: string): Refusal => refusal(() => parseManifest(document, header));

describe('media type, header and content must agree (C19, Q18)', () => {
  it.each<[string | undefined, string | undefined, string]>([
    [OCI_MANIFEST, undefined, OCI_MANIFEST],
    [OCI_MANIFEST, OCI_MANIFEST, OCI_MANIFEST],
    [OCI_MANIFEST, `${OCI_MANIFEST}; charset=utf-8`, OCI_MANIFEST],
    [OCI_MANIFEST, 'Application/VND.OCI.image.manifest.v1+JSON ;q=1', OCI_MANIFEST],
    [OCI_MANIFEST, 'text/plain', OCI_MANIFEST],
    [OCI_MANIFEST, 'application/json', OCI_MANIFEST],
    [OCI_MANIFEST, '', OCI_MANIFEST],
    [DOCKER_MANIFEST, DOCKER_MANIFEST, DOCKER_MANIFEST],
    [DOCKER_MANIFEST, undefined, DOCKER_MANIFEST],
    [undefined, undefined, OCI_MANIFEST],
    [undefined, 'text/plain; charset=utf-8', OCI_MANIFEST],
    [undefined, DOCKER_MANIFEST, DOCKER_MANIFEST],
    [undefined, OCI_MANIFEST, OCI_MANIFEST],
    [undefined, ' Application/VND.docker.distribution.manifest.v2+JSON ; charset=utf-8', DOCKER_MANIFEST],
  ])('field %s with header %s is an image of type %s', (mediaType, header, agreed) => {
    const manifest = parseManifest(tinyManifest({ mediaType }), header);
    expect([manifest.kind, manifest.mediaType]).toEqual(['image', agreed]);
  });

  it.each<[string | undefined, string | undefined, string]>([
    [OCI_INDEX, OCI_INDEX, OCI_INDEX],
    [DOCKER_LIST, undefined, DOCKER_LIST],
    [undefined, DOCKER_LIST, DOCKER_LIST],
    [undefined, 'text/html', OCI_INDEX],
  ])('field %s with header %s is an index of type %s', (mediaType, header, agreed) => {
    const manifest = parseManifest(tinyIndex({ mediaType }), header);
    expect([manifest.kind, manifest.mediaType]).toEqual(['index', agreed]);
  });

  it.each<[string | undefined, string | undefined, string]>([
    [OCI_INDEX, undefined, `mediaType says "${OCI_INDEX}", the content is an image`],
    [DOCKER_LIST, OCI_MANIFEST, `mediaType says "${DOCKER_LIST}", the content is an image`],
    [OCI_MANIFEST, OCI_INDEX, `mediaType says "${OCI_MANIFEST}", the registry says "${OCI_INDEX}"`],
    [OCI_MANIFEST, DOCKER_MANIFEST, `mediaType says "${OCI_MANIFEST}", the registry says "${DOCKER_MANIFEST}"`],
    [undefined, OCI_INDEX, `the document is an image, the registry says "${OCI_INDEX}"`],
    [undefined, `${DOCKER_LIST}; x=y`, `the document is an image, the registry says "${DOCKER_LIST}"`],
  ])('field %s with header %s is no image', (mediaType, header, rest) => {
    expect(why(tinyManifest({ mediaType }), header)).toEqual(invalid(rest));
  });

  it('an index that calls itself an image is refused, too', () => {
    expect(why(tinyIndex({ mediaType: OCI_MANIFEST }))).toEqual(
      invalid(`mediaType says "${OCI_MANIFEST}", the content is an index`),
    );
    expect(why(tinyIndex({ mediaType: undefined }), OCI_MANIFEST)).toEqual(
      invalid(`the document is an index, the registry says "${OCI_MANIFEST}"`),
    );
  });

  it.each([['application/vnd.docker.distribution.manifest.v1+prettyjws'], ['text/plain'], ['']])(
    'a field of unknown type %j is unsupported',
    (mediaType) => {
      expect(why(tinyManifest({ mediaType }))).toEqual([
        'MEDIA_UNSUPPORTED',
        `the manifest is of unknown type "${mediaType}"`,
      ]);
    },
  );
});
