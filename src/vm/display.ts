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
