/** A text as one word of bash or zsh, in single quotes, where nothing is special. */
export function posixQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A text as one word of fish, where a backslash is special even in single quotes. */
export function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}

/** The part of a shell function's name that stands for the program. */
export function functionName(program: string): string {
  return program.replaceAll(/[^A-Za-z0-9]/g, '_');
}
