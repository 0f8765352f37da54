/** Something about the search for a credential that its user should hear, although nothing failed. Holds no secret. */
export type CredentialNote =
  | {
      /** The file holds secrets and its mode lets others of this machine read them (reliability S30). */
      readonly kind: 'readable-by-others';
      readonly file: string;
      /** The permission bits, e.g. `0o644`. */
      readonly mode: number;
    }
  | {
      /** We replaced a file that others could read by one that only its owner can (reliability S30). */
      readonly kind: 'mode-tightened';
      readonly file: string;
      readonly mode: number;
    }
  | {
      /** Another command of ours has been changing the file for a second or more. */
      readonly kind: 'waiting-for-lock';
      readonly file: string;
    }
  | {
      /** A variable names an auth file that is not there. */
      readonly kind: 'file-missing';
      readonly file: string;
      readonly variable: string;
    }
  | {
      /** The entry holds only a `registrytoken`, which we cannot use: it names no user and cannot be renewed. */
      readonly kind: 'registry-token';
      readonly file: string;
      readonly key: string;
    }
  | {
      /** One of the two variables that only work together is missing or empty. */
      readonly kind: 'half-environment';
      readonly present: string;
      readonly missing: string;
    }
  | {
      /**
       * The Keychain did not take the secret, as in SSH sessions, where it is locked: a file has it (tart-cli §7 #53).
       */
      readonly kind: 'keychain-refused';
      readonly why: string;
    }
  | {
      /** A key of `credHelpers` is neither the address of a registry nor a pattern that can be matched. */
      readonly kind: 'helper-key';
      readonly file: string;
      readonly key: string;
    }
  | {
      /** Something was read without a login, because a login setting cannot be used. */
      readonly kind: 'login-passed-over';
      /** What is wrong with the setting: a sentence without a full stop. */
      readonly why: string;
    }
  | {
      /**
       * The variables hold a credential, but neither they nor the command say for which single registry (reliability
       * S4).
       */
      readonly kind: 'unbound-environment';
    };

/** One line for people. */
export function describeNote(note: CredentialNote): string {
  switch (note.kind) {
    case 'readable-by-others':
      return (
        `${note.file} holds passwords and can be read by others (mode ${octal(note.mode)}): run chmod 600 ` + note.file
      );
    case 'mode-tightened':
      return `${note.file} could be read by others (mode ${octal(note.mode)}); it is now readable by you only`;
    case 'waiting-for-lock':
      return `waiting for another command that changes ${note.file}`;
    case 'file-missing':
      return `${note.variable} names ${note.file}, which does not exist`;
    case 'registry-token':
      return (
        `the entry "${note.key}" in ${note.file} holds only a registrytoken, which is not supported: it ` +
        'was not used'
      );
    case 'half-environment':
      return `${note.present} is set but ${note.missing} is not: neither was used`;
    case 'keychain-refused':
      return `the Keychain could not keep the password (${note.why}), so that it is in a file`;
    case 'helper-key':
      return (
        `credHelpers["${note.key}"] in ${note.file} is neither a registry nor a pattern (RE2 syntax): it ` +
        'was not used'
      );
    case 'login-passed-over':
      return `${note.why}: going on without a login`;
    case 'unbound-environment':
      return 'TART_REGISTRY_USERNAME was not used: set TART_REGISTRY_HOSTNAME to say which registry it is for';
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
