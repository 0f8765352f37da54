/** A result for programs: indented by two spaces, as Tart does, with a newline at the end. */
export function renderJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
