/**
 * A registry behind a link of limited speed, which all connections share. It counts what it sends, and does with each
 * answer what it is told.
 */
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const PIECE = 64 * 1024;
const NAME = /^\/v2\/team\/macos\/(manifests|blobs)\/([^/?]+)/;

export class Upstream {
  /** GETs of blobs by digest: where each began. */
  gets = new Map();
  /** Bytes of blobs that went out. */
  sent = 0;
  /** By digest: epoch milliseconds when the first byte of the last answer went out. */
  firstByte = new Map();
  /** What is done with an answer: `{ cutAt }` ends the connection there, `{ wrong }` changes bytes; undefined: nothing. */
  meddle = () => undefined;
  #image;
  #bytesPerSecond;
  #free = 0;
  #server;

  constructor(image, bytesPerSecond) {
    this.#image = image;
    this.#bytesPerSecond = bytesPerSecond;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  async start() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.port = this.#server.address().port;
    return this;
  }

  async stop() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Everything is counted anew. */
  reset() {
    this.gets.clear();
    this.firstByte.clear();
    this.sent = 0;
  }

  async #answer(request, response) {
    const [, kind, reference] = NAME.exec(request.url) ?? [];
    if (request.url === '/v2/') return void response.end('{}');
    if (kind === 'manifests') return this.#manifest(request, response, reference);
    const blob = this.#image.blobs.get(reference);
    if (kind !== 'blobs' || blob === undefined) return void response.writeHead(404).end('{"errors":[]}');
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const to = Number(/^bytes=\d+-(\d+)$/.exec(request.headers.range ?? '')?.[1] ?? blob.size - 1) + 1;
    const meddling = request.method === 'GET' ? this.meddle({ digest: reference, from }) : undefined;
    const wrong = meddling?.wrong;
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      'Content-Type': 'application/octet-stream',
      ...(wrong === 'longer' || wrong === 'shorter' ? {} : { 'Content-Length': to - from }),
      ...(request.headers.range === undefined ? {} : { 'Content-Range': `bytes ${from}-${to - 1}/${blob.size}` }),
    });
    if (request.method === 'HEAD') return void response.end();
    const begun = this.gets.get(reference) ?? [];
    this.gets.set(reference, [...begun, from]);
    await this.#send(response, blob, { from, to, cutAt: Infinity, ...meddling });
  }

  #manifest(request, response, reference) {
    const { manifest, manifestDigest } = this.#image;
    if (reference !== 'latest' && reference !== manifestDigest)
      return void response.writeHead(404).end('{"errors":[]}');
    response.writeHead(200, {
      'Content-Type': 'application/vnd.oci.image.manifest.v1+json',
      'Content-Length': manifest.length,
      'Docker-Content-Digest': manifestDigest,
    });
    response.end(request.method === 'HEAD' ? undefined : manifest);
  }

  async #send(response, blob, { from, to, cutAt, wrong }) {
    const end = wrong === 'shorter' ? from + Math.floor((to - from) / 2) : to;
    for (let at = from; at < end; ) {
      const room = Math.max(Math.min(PIECE, cutAt - at), 1);
      const piece = blob.piece(at, Math.min(end, at + room));
      await this.#turn(piece.length);
      if (response.destroyed) return;
      if (at === from) this.firstByte.set(blob.digest, Date.now());
      await write(response, changed(piece, { at, from, wrong }));
      this.sent += piece.length;
      at += piece.length;
      if (at >= cutAt) return void response.destroy();
    }
    if (wrong === 'longer') await write(response, Buffer.from('and more'));
    response.end();
  }

  /** Waits until the link has carried what is before. */
  async #turn(bytes) {
    const begins = Math.max(Date.now(), this.#free);
    this.#free = begins + (bytes / this.#bytesPerSecond) * 1000;
    // A timer that is late must not make the link slower than it is.
    if (begins - Date.now() > 4) await delay(begins - Date.now());
  }
}

function changed(piece, { at, from, wrong }) {
  if (wrong === 'another') return Buffer.alloc(piece.length, 'x');
  if (wrong !== 'bit' || at !== from) return piece;
  const copy = Buffer.from(piece);
  copy[0] ^= 1;
  return copy;
}

async function write(response, bytes) {
  if (response.write(bytes) || response.destroyed) return;
  await new Promise((resolve) => {
    const go = () => {
      response.off('drain', go);
      response.off('close', go);
      resolve();
    };
    response.once('drain', go);
    response.once('close', go);
  });
}
