/**
 * Registries on addresses of this machine, all on one port, which write down what they are asked. Each has one image,
 * under whatever name, or behaves as a case wants.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';

/** `trusted` and `untrusted` speak TLS, with a certificate that the clients know or not; nothing listens at `down`. */
export const HOSTS = [
  { address: '127.0.0.11', kind: 'plain' },
  { address: '127.0.0.12', kind: 'trusted' },
  { address: '127.0.0.13', kind: 'untrusted' },
  { address: '127.0.0.14', kind: 'trusted' },
  { address: '127.0.0.15', kind: 'down' },
];

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const blobs = new Map();
export const IMAGE = makeImage();

/** The user that a host knows, in every registry's file of logins. */
export function userOf(address) {
  return `user-${address.split('.').at(-1)}`;
}

/** @returns what is asked, what ends it, and the directory's CA for the clients. */
export async function startHosts(directory) {
  const port = await freePort();
  const record = [];
  const behaviours = new Map();
  const servers = [];
  for (const { address, kind } of HOSTS.filter((host) => host.kind !== 'down')) {
    const listener = (request, response) =>
      answer(address, behaviours.get(address) ?? 'has', record, request, response);
    const server =
      kind === 'plain' ? createServer(listener) : createTlsServer(certificate(directory, address), listener);
    await new Promise((resolve) => {
      server.listen(port, address, resolve);
    });
    servers.push(server);
  }
  const trusted = HOSTS.filter(({ kind }) => kind === 'trusted').map(({ address }) => `${directory}/${address}.pem`);
  return {
    port,
    record,
    behaviours,
    authority: trusted.map((file) => readFileSync(file, 'utf8')).join(''),
    close: () => {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}

function answer(address, behaviour, record, request, response) {
  const url = request.url ?? '';
  const user = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64')
    .toString()
    .split(':')[0];
  const status = statusFor(behaviour, user, address, url);
  // A ping is no question about an image: Tartlet sends none.
  if (url !== '/v2/') record.push({ host: address, method: request.method, url, user, status });
  const challenge = status === 401 ? { 'www-authenticate': 'Basic realm="x"' } : {};
  const bytes = status === 200 ? bodyOf(url) : Buffer.from('{}');
  const type = url.includes('/manifests/') && status === 200 ? MANIFEST : 'application/json';
  response.writeHead(status, { 'content-type': type, 'content-length': bytes.length, ...challenge });
  response.end(bytes);
}

function statusFor(behaviour, user, address, url) {
  if (behaviour === 'asks' && user !== userOf(address)) return 401;
  if (behaviour === 'asks-in-vain') return 401;
  if (url === '/v2/' || behaviour === 'has' || behaviour === 'asks') return 200;
  return { lacks: 404, refuses: 403, fails: 500 }[behaviour];
}

function bodyOf(url) {
  if (url.includes('/manifests/')) return IMAGE.manifest;
  return blobs.get(url.slice(url.lastIndexOf('/') + 1)) ?? Buffer.from('{}');
}

/** An image of a VM with one small chunk, which Tartlet understands and skopeo copies like any other. */
function makeImage() {
  const keep = (bytes) => {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  };
  const disk = Buffer.alloc(4096, 'x');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(disk.length);
  // Apple's stream of one block that is not compressed (`bv4-`), and its end.
  const chunk = Buffer.concat([Buffer.from('bv4-'), length, disk, Buffer.from('bv4$')]);
  const tart = 'application/vnd.cirruslabs.tart';
  const document = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...keep(Buffer.from('{}')) },
    layers: [
      { mediaType: `${tart}.config.v1`, ...keep(Buffer.from('{"version":1}')) },
      {
        mediaType: `${tart}.disk.v2`,
        ...keep(chunk),
        annotations: {
          'org.cirruslabs.tart.uncompressed-size': String(disk.length),
          'org.cirruslabs.tart.uncompressed-content-digest': `sha256:${createHash('sha256').update(disk).digest('hex')}`,
        },
      },
      { mediaType: `${tart}.nvram.v1`, ...keep(Buffer.from('nvram')) },
    ],
    annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': String(disk.length) },
  };
  const manifest = Buffer.from(JSON.stringify(document));
  return { manifest, digest: keep(manifest).digest };
}

function certificate(directory, address) {
  const [key, cert] = [`${directory}/${address}.key`, `${directory}/${address}.pem`];
  const options = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const names = ['-subj', `/CN=${address}`, '-addext', `subjectAltName=IP:${address}`];
  execFileSync('openssl', [...options, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

/** A port that is free on all of the addresses. */
async function freePort() {
  for (;;) {
    const server = createServer();
    await new Promise((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address();
    await new Promise((resolve) => {
      server.close(resolve);
    });
    const taken = await Promise.all(HOSTS.map(({ address }) => isTaken(address, port)));
    if (!taken.includes(true)) return port;
  }
}

async function isTaken(host, port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
