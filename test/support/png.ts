import { inflateSync } from 'node:zlib';

/** What is in a PNG: its size, and whether anything is to be seen. */
export function lookAtPng(png: Buffer): { readonly width: number; readonly height: number; readonly isBlack: boolean } {
  const data: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const rows = inflateSync(Buffer.concat(data));
  const rowBytes = rows.length / height;
  // The first byte of a row says how it is written: where all else is zero, it is black in each way.
  const isBlack = !rows.some((byte, at) => byte !== 0 && at % rowBytes !== 0);
  return { width, height, isBlack };
}
