/** The guest's screen. */
export interface Display {
  readonly width: number;
  readonly height: number;
  /** Points or pixels; undefined leaves it to the program that runs the VM. */
  readonly unit?: 'pt' | 'px' | undefined;
}

/** What a configuration without a `display` means, and what a new VM gets (tart-formats §3). */
export const DEFAULT_DISPLAY: Display = { width: 1024, height: 768 };

/** As `get` shows it: `1024x768`, with the unit behind it when there is one (tart-cli §1.5). */
export function displayText(display: Display): string {
  return `${display.width}x${display.height}${display.unit ?? ''}`;
}

/**
 * Reads `1920x1080`, with `pt` or `px` behind it if wanted. Tart takes anything and ignores what it does not understand
 * (tart-cli §7 #34).
 *
 * @returns undefined for everything else, and for sides of 0.
 */
export function parseDisplay(text: string): Display | undefined {
  const [, width, height, unit] = /^([1-9][0-9]{0,4})x([1-9][0-9]{0,4})(pt|px)?$/.exec(text) ?? [];
  if (width === undefined || height === undefined) return undefined;
  const size = { width: Number(width), height: Number(height) };
  return unit === 'pt' || unit === 'px' ? { ...size, unit } : size;
}
