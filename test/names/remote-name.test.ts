import { describe, expect, it } from 'vitest';
import { TartletError } from '../../src/errors.ts';
import { Digest } from '../../src/names/digest.ts';
import { RegistryAddress } from '../../src/names/registry-address.ts';
import { RemoteName } from '../../src/names/remote-name.ts';
import { Repository } from '../../src/names/repository.ts';
import { Tag } from '../../src/names/tag.ts';

const HEX = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** Why and where a text is refused; fails the test when it is accepted. */
function refusal(text: string): TartletError {
  try {
    RemoteName.parse(text);
  } catch (error) {
    if (error instanceof TartletError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('names that Tart accepts (tart-cli §3.2, tart-formats §2.2)', () => {
  it.each([
    ['ghcr.io/a/b:latest', 'ghcr.io', 'a/b', 'latest'],
    ['ghcr.io/a/b:1.2.3-RC-1', 'ghcr.io', 'a/b', '1.2.3-RC-1'],
    ['127.0.0.1:8080/a/b', '127.0.0.1:8080', 'a/b', 'latest'],
    ['a/b', 'a', 'b', 'latest'],
    ['localhost/x', 'localhost', 'x', 'latest'],
    ['localhost:5000/x', 'localhost:5000', 'x', 'latest'],
    ['registry.fq.d.n:8221/macos/base:15', 'registry.fq.d.n:8221', 'macos/base', '15'],
    ['ghcr.io/a.b/c', 'ghcr.io', 'a.b/c', 'latest'],
    ['ghcr.io/a./c', 'ghcr.io', 'a./c', 'latest'],
    ['ghcr.io/a/b-', 'ghcr.io', 'a/b-', 'latest'],
    ['ghcr.io/a/b_:v1', 'ghcr.io', 'a/b_', 'v1'],
    ['ghcr.io/org/img', 'ghcr.io', 'org/img', 'latest'],
    ['my-host.a-b.c/x_y/z-1:a_b.c-d', 'my-host.a-b.c', 'x_y/z-1', 'a_b.c-d'],
    ['0/0:0', '0', '0', '0'],
  ])('%s', (text, registry, repository, tag) => {
    const name = RemoteName.parse(text);
    expect(name.registry.toString()).toBe(registry);
    expect(name.repository.text).toBe(repository);
    expect(name.reference).toEqual({ kind: 'tag', tag: Tag.parse(tag) });
    expect(name.toString()).toBe(`${registry}/${repository}:${tag}`);
    expect(name.text).toBe(text);
  });

  it('a digest keeps its algorithm and implies no tag', () => {
    const name = RemoteName.parse(`ghcr.io/a/b@sha256:${HEX}`);
    expect(name.digest?.toString()).toBe(`sha256:${HEX}`);
    expect(name.tag).toBeUndefined();
    expect(name.toString()).toBe(`ghcr.io/a/b@sha256:${HEX}`);
  });

  it('a repository keeps its case, a host does not, and the typed text survives', () => {
    const name = RemoteName.parse('GHCR.IO/Org/Image');
    expect(name.toString()).toBe('ghcr.io/Org/Image:latest');
    expect(name.text).toBe('GHCR.IO/Org/Image');
  });

  it('the port stays exactly when it was written, the default one too', () => {
    expect(RemoteName.parse('h/a').toString()).toBe('h/a:latest');
    expect(RemoteName.parse('h:443/a').toString()).toBe('h:443/a:latest');
    expect(RemoteName.parse('h:80/a').toString()).toBe('h:80/a:latest');
    expect(RemoteName.parse('h:0443/a').toString()).toBe('h:443/a:latest');
  });
});

describe('names that the OCI spec allows and Tart refuses (tart-cli §7 #51)', () => {
  it.each([
    ['ghcr.io/a__b/c', 'ghcr.io/a__b/c:latest'],
    ['ghcr.io/a--b/c', 'ghcr.io/a--b/c:latest'],
    ['ghcr.io/a-----b/c', 'ghcr.io/a-----b/c:latest'],
    ['ghcr.io/a/b:_x', 'ghcr.io/a/b:_x'],
    ['ghcr.io/a/b:x_', 'ghcr.io/a/b:x_'],
    ['ghcr.io/a/b:a--b', 'ghcr.io/a/b:a--b'],
    ['ghcr.io/a/b:v1.', 'ghcr.io/a/b:v1.'],
    ['[::1]:5000/a', '[::1]:5000/a:latest'],
    ['[2001:DB8:0:0::1]/a:t', '[2001:db8::1]/a:t'],
    ['xn--mnchen-3ya.example/a', 'xn--mnchen-3ya.example/a:latest'],
    ['registry.xn--p1ai:8221/a', 'registry.xn--p1ai:8221/a:latest'],
  ])('%s', (text, canonical) => {
    expect(RemoteName.parse(text).toString()).toBe(canonical);
  });

  it('a tag and a digest together keep both', () => {
    const name = RemoteName.parse(`ghcr.io/a/b:v1@sha256:${HEX}`);
    expect(name.reference.kind).toBe('tag-and-digest');
    expect(name.tag?.text).toBe('v1');
    expect(name.digest?.hex).toBe(HEX);
    expect(name.toString()).toBe(`ghcr.io/a/b:v1@sha256:${HEX}`);
  });
});

describe('names that are refused, with the position of the first fault', () => {
  it('one that ends with combining marks, which Tart drops (tart-cli §7 #50)', () => {
    expect(() => RemoteName.parse('ghcr.io/a/b:touche\u0301')).toThrow(
      expect.objectContaining({ code: 'NAME_MALFORMED', message: expect.stringContaining('at character 19') }),
    );
  });

  it.each([
    // Tart's own unit tests.
    ['127.0.0.1:/a/b', 11, 'there is no port after the colon'],
    ['debian:latest', 14, 'there is no "/"'],
    ['touché.fr/a/b:latest', 6, 'a host cannot contain "é"'],
    ['ghcr.io/tou/ché:latest', 15, 'a repository cannot contain "é"'],
    ['ghcr.io/a/b:touché', 18, 'a tag cannot contain "é"'],
    ['ghcr.io/a/../b/c:latest', 11, 'must begin with a letter or a digit'],
    // Its grammar.
    ['ghcr.io/.a/c', 9, 'must begin with a letter or a digit'],
    ['ghcr.io/a..b/c', 11, 'single separators'],
    ['ghcr.io/a___b/c', 12, 'single separators'],
    ['ghcr.io/a_-b/c', 11, 'single separators'],
    ['ghcr.io/a/b--', 13, 'single separators'],
    ['ghcr.io/a/b:v1+x', 15, 'a tag cannot contain "+"'],
    ['ghcr.io/a/b:', 13, 'there is no tag after the colon'],
    ['ghcr.io/a/b:.x', 13, 'a tag begins with'],
    ['ghcr.io/a/b:-x', 13, 'a tag begins with'],
    [
      'cache.site:8221/registry.example:5000/a/b:c',
      33,
      'a port stands behind the first host only; for the registry behind a site cache it is written with "_"',
    ],
    ['ghcr.io/a/b:5000/c/+', 17, 'a tag cannot contain "/"'],
    ['ghcr.io/a/b:c:d', 14, 'a tag cannot contain ":"'],
    ['host_name/a', 5, 'a host cannot contain "_"'],
    ['h--h/a', 3, 'a dash in a host must stand alone'],
    ['my-host-/a', 8, 'a dash in a host must stand alone'],
    ['-h/a', 1, 'a dash in a host must stand alone'],
    ['h..h/a', 3, 'empty part between dots'],
    ['h./a', 3, 'empty part between dots'],
    ['ghcr.io/a/b/', 13, 'a part of the repository is empty'],
    ['/a/b', 1, 'there is no host'],
    ['ghcr.io//a', 9, 'a part of the repository is empty'],
    ['ghcr.io/', 9, 'a part of the repository is empty'],
    ['ghcr.io', 8, 'there is no "/"'],
    ['', 1, 'there is no "/"'],
    ['user@host/a', 5, 'a name holds no user or password'],
    // Ports (we check the range, Tart does not).
    ['x:99999999/b', 3, 'a port is a number from 1 to 65535'],
    ['x:65536/b', 3, 'a port is a number from 1 to 65535'],
    ['x:0/b', 3, 'a port is a number from 1 to 65535'],
    ['x:80a/b', 5, 'a port has only digits, not "a"'],
    ['x:-1/b', 3, 'a port has only digits, not "-"'],
    ['x:1:2/b', 4, 'a port has only digits, not ":"'],
    // IPv6.
    ['[::1/a', 1, 'is not closed'],
    ['[::g]/a', 2, 'is not an IPv6 address'],
    ['[fe80::1%25eth0]/a', 2, 'is not an IPv6 address'],
    ['[127.0.0.1]/a', 2, 'is not an IPv6 address'],
    ['[::1]5000/a', 6, 'after "]" only a port may follow'],
    ['::1/a', 1, 'there is no host'],
    // Digests: exactly 64 lower-case hex digits.
    ['ghcr.io/a/b@sha256:abc', 23, 'sha256 has 64 hex digits, this has 3'],
    [`ghcr.io/a/b@sha256:${HEX}0`, 84, 'sha256 has 64 hex digits, this has 65'],
    [`ghcr.io/a/b@sha256:${'g'.repeat(64)}`, 20, '0-9 and a-f, in lower case'],
    [`ghcr.io/a/b@sha256:${HEX.toUpperCase()}`, 20, '0-9 and a-f, in lower case'],
    ['ghcr.io/a/b@sha256:../../../../etc/passwd', 20, 'sha256 has 64 hex digits'],
    ['ghcr.io/a/b@sha512:abc', 13, 'after "@" must follow sha256:'],
    [`ghcr.io/a/b@${HEX}`, 13, 'after "@" must follow sha256:'],
    ['ghcr.io/a/b@', 13, 'after "@" must follow sha256:'],
    [`ghcr.io/a/b@sha256:${HEX}:v1`, 84, 'sha256 has 64 hex digits, this has 67'],
    // Hostile references (S1).
    ['ghcr.io/%2e%2e/a', 9, 'a repository cannot contain "%"'],
    ['ghcr.io/a\\b', 10, 'a repository cannot contain "\\"'],
    ['ghcr.io/a?b=c', 10, 'a repository cannot contain "?"'],
    ['ghcr.io/a#b', 10, 'a repository cannot contain "#"'],
    ['ghcr.io/a b', 10, 'a repository cannot contain " "'],
    ['ghcr.io/a\n', 10, 'a repository cannot contain "\\u000a"'],
    ['ghcr.io/a/b:c\n', 14, 'a tag cannot contain "\\u000a"'],
    [' ghcr.io/a', 1, 'a host cannot contain " "'],
    ['gh\tcr.io/a', 3, 'a host cannot contain "\\u0009"'],
    ['ghcr.io/a/b:😀', 13, 'a tag cannot contain "😀"'],
    ['ghcr.io/a/b@😀x', 13, 'after "@" must follow sha256:'],
    ['ghcr.io/a/😀', 11, 'a repository cannot contain "😀"'],
    // Only the first of several faults is reported.
    ['ghcr.io/A!/b:_!@sha256:zz', 10, 'a repository cannot contain "!"'],
    ['ghcr.io/a:+@sha256:zz', 11, 'a tag cannot contain "+"'],
  ])('%s', (text, position, why) => {
    const error = refusal(text);
    expect(error.code).toBe('NAME_MALFORMED');
    expect(error.message).toContain(why);
    expect(error.message).toContain(position > text.length ? '(at its end)' : `(at character ${position})`);
    expect(error.facts.position).toBe(position);
    expect(error.facts.next).toBeTruthy();
    expect(RemoteName.tryParse(text)).toBeUndefined();
  });
});

describe('limits', () => {
  const part255 = 'a'.repeat(255);

  it('255-byte parts and tags are names, 256-byte ones are not', () => {
    const name = `ghcr.io/${part255}/${part255}:${part255}`;
    expect(RemoteName.parse(name).toString()).toBe(name);
    expect(refusal(`ghcr.io/${part255}a`).facts.position).toBe(264);
    expect(refusal(`ghcr.io/a:${part255}a`).facts.position).toBe(266);
  });

  it('a host has parts of 63 characters and 253 in all', () => {
    const label = 'a'.repeat(63);
    expect(RemoteName.tryParse(`${label}.example/a`)).toBeDefined();
    expect(refusal(`${label}a.example/a`).facts.position).toBe(64);
    const host253 = `${label}.${label}.${label}.${'b'.repeat(61)}`;
    expect(RemoteName.tryParse(`${host253}/a`)).toBeDefined();
    expect(refusal(`${host253}b/a`).facts.position).toBe(254);
  });

  it('a text of more than 4096 characters is refused without being quoted in full', () => {
    const error = refusal(`ghcr.io/${'a/'.repeat(3000)}a`);
    expect(error.facts.position).toBe(4097);
    expect(error.message.length).toBeLessThan(250);
  });
});

describe('what an error shows', () => {
  it.each([
    ['https://ghcr.io/org/img:v1', 'ghcr.io/org/img:v1'],
    ['HTTPS://registry.example:8221/a', 'registry.example:8221/a'],
    ['http://localhost:5000/a', 'localhost:5000/a'],
    ['oci://ghcr.io/a', 'ghcr.io/a'],
    ['docker://ghcr.io/a', 'ghcr.io/a'],
    ['https://me:hunter2@ghcr.io/a', 'ghcr.io/a'],
  ])('the right spelling of %s', (text, name) => {
    const error = refusal(text);
    expect(error.code).toBe('NAME_MALFORMED');
    expect(error.facts.position).toBe(1);
    const plainHttp = text.startsWith('http:');
    expect(error.facts.next).toEqual({ kind: 'write-name-as', name, plainHttp });
    expect(RemoteName.tryParse(name)).toBeDefined();
  });

  it.each(['me:hunter2@ghcr.io/a', 'https://me:hunter2@ghcr.io/a', 'me:hunter2@ghcr.io', 'a:b@hunter2@ghcr.io/a'])(
    'no password that slipped into %s',
    (text) => {
      const error = refusal(text);
      expect(`${error.message} ${JSON.stringify(error.facts)}`).not.toContain('hunter2');
    },
  );

  it('no character that would move the cursor or turn the text around', () => {
    const error = refusal('ghcr.io/a\u001b[2Jb\u202e');
    expect(error.message).toContain('"ghcr.io/a\\u001b[2Jb\\u202e"');
  });
});

it('the slash alone decides whether a text means a remote name (tart-formats §2.2)', () => {
  expect(RemoteName.looksRemote('a/b')).toBe(true);
  expect(RemoteName.looksRemote('ghcr.io//a')).toBe(true);
  expect(RemoteName.looksRemote('debian:latest')).toBe(false);
  expect(RemoteName.looksRemote('sequoia')).toBe(false);
});

describe('names made of parts', () => {
  const registry = RegistryAddress.parse('registry.example:8221');
  const digest = Digest.parse(`sha256:${HEX}`);
  const repository = Repository.parse('a/b');

  it('with a tag, with a digest, and one for the other', () => {
    expect(RemoteName.of(registry, repository, { tag: Tag.parse('v1') }).toString()).toBe(
      'registry.example:8221/a/b:v1',
    );
    expect(RemoteName.of(registry, repository, { digest }).toString()).toBe(`registry.example:8221/a/b@sha256:${HEX}`);
    const both = RemoteName.parse(`registry.example:8221/a/b:v1@sha256:${HEX}`);
    expect(both.withTag(Tag.parse('v2')).toString()).toBe('registry.example:8221/a/b:v2');
    expect(both.withDigest(digest).toString()).toBe(`registry.example:8221/a/b@sha256:${HEX}`);
    expect(both.repositoryName).toBe('registry.example:8221/a/b');
    expect(JSON.stringify({ both })).toBe(`{"both":"registry.example:8221/a/b:v1@sha256:${HEX}"}`);
  });

  it('no other digest than a SHA-256 can be part of a name, which would read as another one', () => {
    const sha512 = Digest.parse(`sha512:${'0'.repeat(128)}`);
    expect(() => RemoteName.of(registry, repository, { digest: sha512 })).toThrow(
      expect.objectContaining({ code: 'NAME_MALFORMED' }),
    );
  });

  it('of legal parts whose whole is too long are refused', () => {
    const long = Repository.parse(Array.from({ length: 20 }, () => 'a'.repeat(250)).join('/'));
    expect(() => RemoteName.of(registry, long, { digest })).toThrow(
      expect.objectContaining({ code: 'NAME_MALFORMED' }),
    );
  });
});
