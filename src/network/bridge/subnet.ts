/** An IPv4 network with room for 253 guests: `192.168.64` stands for 192.168.64.0/24. */
export type Subnet = `${number}.${number}.${number}`;

/** Of a destination in the kernel's table of routes: a network as a number, and the mask that cuts it out. */
interface Route {
  readonly network: number;
  readonly mask: number;
}

/**
 * Where a free network is looked for: first where macOS puts its guests, then in the rest of the private address space
 * (RFC 1918).
 */
const CANDIDATES: readonly Subnet[] = [
  ...Array.from({ length: 64 }, (_, at): Subnet => `192.168.${64 + at}`),
  ...Array.from({ length: 256 }, (_, at): Subnet => `172.29.${at}`),
  ...Array.from({ length: 256 }, (_, at): Subnet => `10.213.${at}`),
];

/**
 * A network that this host has no way to yet.
 *
 * @param routes the kernel's table, `/proc/net/route`.
 * @returns undefined where none of the candidates is free.
 */
export function freeSubnet(routes: string): Subnet | undefined {
  const taken = parseRoutes(routes);
  return CANDIDATES.find((subnet) => !taken.some((route) => overlaps(route, subnet)));
}

/** Whether a network is free. */
export function isFree(subnet: Subnet, routes: string): boolean {
  return !parseRoutes(routes).some((route) => overlaps(route, subnet));
}

/** Reads `192.168.64.0/24`. @returns undefined for what is no network of that size, or no private one (RFC 1918). */
export function parseSubnet(text: string): Subnet | undefined {
  const [, subnet = ''] = /^((?:\d{1,3}\.){2}\d{1,3})\.0\/24$/.exec(text) ?? [];
  const [a = 256, b = 256, c = 256] = subnet === '' ? [] : subnet.split('.').map(Number);
  const isPrivate = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168);
  return isPrivate && b < 256 && c < 256 ? `${a}.${b}.${c}` : undefined;
}

/**
 * proc(5): a line a route, its destination and mask in hexadecimal, in the order of bytes of x86 and ARM. The way to
 * everywhere has the mask 0.
 */
function parseRoutes(table: string): Route[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .map(([, destination = '', , , , , , mask = '']) => ({ network: numberOf(destination), mask: numberOf(mask) }))
    .filter(({ mask }) => mask !== 0);
}

function numberOf(hex: string): number {
  return /^[0-9A-F]{8}$/i.test(hex) ? Buffer.from(hex, 'hex').readUInt32LE() : 0;
}

/** Two networks overlap when the smaller mask cuts the same out of both. */
function overlaps({ network, mask }: Route, subnet: Subnet): boolean {
  const ours = Buffer.from([...subnet.split('.').map(Number), 0]).readUInt32BE();
  const common = (mask & 0xff_ff_ff_00) >>> 0;
  return (network & common) >>> 0 === (ours & common) >>> 0;
}
