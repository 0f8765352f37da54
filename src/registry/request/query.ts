/**
 * `url` with parameters appended to the query it already has. By text: parsing a query and writing it again changes it
 * (`%2B` becomes `+`), which breaks signed and base64 states (tart-formats §6.1). A fragment is dropped.
 */
export function appendQuery(url: string, parameters: readonly (readonly [name: string, value: string])[]): string {
  const bare = url.replace(/#.*$/s, '');
  if (parameters.length === 0) return bare;
  const added = parameters.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
  const mark = bare.indexOf('?');
  if (mark < 0) return `${bare}?${added}`;
  return bare.endsWith('?') || bare.endsWith('&') ? `${bare}${added}` : `${bare}&${added}`;
}
