/** What a reader has of a page: its main part without markup, each run of spaces one. */
export function readable(page: Buffer): string {
  return page
    .toString('utf8')
    .replace(/^.*<main[^>]*>/s, '')
    .replace(/<\/main>.*$/s, '')
    .replaceAll('<wbr>', '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
