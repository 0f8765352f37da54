import { expect, it } from 'vitest';
import { hintText, withHint } from '../../../src/cli/render/hint/text.ts';
import type { Hint } from '../../../src/hint.ts';

/** Hints whose words depend on their parameters, or name commands and options: these are the command's alone. */
const WORDS: readonly (readonly [Hint, string])[] = [
  [{ kind: 'write-name-as', name: 'h/a', plainHttp: false }, 'write it as h/a'],
  [
    { kind: 'write-name-as', name: 'h/a', plainHttp: true },
    'write it as h/a (with --insecure, if the registry really has no TLS)',
  ],
  [{ kind: 'write-lower-case', name: 'h/a:V1' }, 'write h/a:V1'],
  [
    { kind: 'use-as-image', name: 'h/a' },
    'for an image: tartlet inspect h/a shows it, tartlet clone h/a NAME makes a VM of it',
  ],
  [{ kind: 'list-vms' }, 'tartlet list --source local shows the VMs of this machine'],
  [{ kind: 'list-images' }, 'tartlet list --source oci shows what is'],
  [
    { kind: 'log-in', registry: 'h:1' },
    'log in: tartlet login h:1, or set TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD',
  ],
  [{ kind: 'log-in-as-another', registry: 'h:1' }, 'log in as a user who may: tartlet login h:1'],
  [
    { kind: 'log-in-again', registry: 'h:1', maybePublic: true },
    'check user, password and rights, then: tartlet login h:1 (if the image is public: tartlet logout h:1)',
  ],
  [
    { kind: 'log-in-again', registry: 'h:1', maybePublic: false },
    'check user, password and rights, then: tartlet login h:1',
  ],
  [
    { kind: 'correct-login-variables', maybePublic: true },
    'correct TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD, or unset them if the image is public',
  ],
  [
    { kind: 'correct-login-variables', maybePublic: false },
    'correct TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD',
  ],
  [{ kind: 'correct', what: '/x/config.json' }, 'correct /x/config.json'],
  [{ kind: 'correct-or-remove-auth-file', file: '/x' }, 'correct /x, or log in again after removing it'],
  [{ kind: 'install-helper', program: 'p', namedBy: 'credsStore' }, 'install p, or remove it from credsStore'],
  [{ kind: 'check-helper', program: 'p', namedBy: 'credsStore' }, 'check p (named by credsStore)'],
  [{ kind: 'run-helper', program: 'p', server: 'h:1' }, 'run: echo h:1 | p get   (it may print the password)'],
  [{ kind: 'leave-out-zero-byte', part: 'user name' }, 'enter the user name without it'],
  [{ kind: 'write-port', host: 'h', tls: false }, 'if the registry has a port of its own, write it: h:5000'],
  [
    { kind: 'write-port', host: 'h', tls: true },
    'if the registry has a port of its own, write it: h:5000; if it has no TLS, add --insecure',
  ],
  [{ kind: 'allow-plain-http' }, 'if this registry really has no TLS, repeat with --insecure'],
  [{ kind: 'use-tls' }, 'leave out --insecure'],
  [
    { kind: 'give-client-certificate', registry: 'h:1' },
    'put client.cert and client.key (PEM) into the directory ~/.docker/certs.d/h:1',
  ],
  [
    { kind: 'convert-certificate', path: '/ca' },
    'convert it (openssl x509 -inform der -in /ca -out ca.pem), and use that file in its place',
  ],
  [{ kind: 'set-proxy', variable: 'V' }, 'set V to http://host:port, or unset it'],
  [{ kind: 'check-proxy', variable: 'V' }, 'check V, or name the registry in NO_PROXY'],
  [{ kind: 'give-proxy-password', variable: 'V' }, 'put user and password of the proxy into V'],
  [{ kind: 'allow-host', host: 'h:1' }, 'if it belongs to the registry, allow it: TARTLET_INTERNAL_HOSTS=h:1'],
  [
    { kind: 'allow-moved-host', host: 'h:1' },
    'if the registry has moved there, repeat the command, or allow it: TARTLET_INTERNAL_HOSTS=h:1',
  ],
  [
    { kind: 'ask-firewall-operator', host: 'h' },
    'a firewall or a proxy answers in place of the registry: ask its operator to let h through',
  ],
  [{ kind: 'open-in-browser', host: 'h' }, 'open https://h in a browser, or check the address of the registry'],
  [
    { kind: 'raise-request-limit', host: 'h' },
    'let the proxy in front of h take larger requests (nginx: client_max_body_size 0)',
  ],
  [{ kind: 'make-room-on-registry', host: 'h' }, 'make room on h: delete images there, or ask for a larger quota'],
  [
    { kind: 'create-repository', host: 'h' },
    'create the repository on h first, or check its spelling: this registry makes none by itself',
  ],
  [
    { kind: 'protect-registry' },
    'add TLS and a password (--tls-cert, --tls-key, --htpasswd), listen on 127.0.0.1, or allow it (--open)',
  ],
  [{ kind: 'move-away-if-foreign', path: '/x' }, 'look at /x, and move it away if it does not belong there'],
  [{ kind: 'check-permissions', path: '/x' }, 'check the permissions of /x and of its directory'],
  [{ kind: 'pull-first', image: 'h/a:1' }, 'pull it first (tartlet pull h/a:1)'],
  [{ kind: 'unpin-and-delete', image: 'h/a:1' }, 'tartlet unpin h/a:1, and delete it then'],
  [
    { kind: 'delete-or-use-another-home', image: 'h/a', others: false },
    'delete h/a, or use another TART_HOME for one of the two',
  ],
  [
    { kind: 'delete-or-use-another-home', image: 'h/a', others: true },
    'delete h/a, and whatever else is in that repository, or use another TART_HOME for one of the two',
  ],
  [{ kind: 'move-or-remove', path: '/x' }, 'move /x away, or remove it if it is not needed'],
  [
    { kind: 'make-room', before: 'pull' },
    'delete images or VMs you no longer need (tartlet list, tartlet delete) and try again',
  ],
  [
    { kind: 'make-room', before: 'import' },
    'delete images or VMs you no longer need (tartlet list, tartlet delete) and import again',
  ],
  [{ kind: 'complete-vm-directory', path: '/x' }, 'look into /x: config.json, nvram.bin and disk.img belong there'],
  [{ kind: 'remove-useless-directory', path: '/x' }, 'look into /x, and remove it if nothing in it is needed'],
  [{ kind: 'use-larger-chunks', mebibytes: 11 }, 'use chunks of 11 MiB or more (--layer-size 11)'],
  [{ kind: 'stop-writer', before: 'push' }, 'stop whatever writes to the disk and push again'],
  [{ kind: 'stop-writer', before: 'export' }, 'stop whatever writes to the disk and export again'],
  [
    { kind: 'name-vm-image-by-digest', repository: 'h/a' },
    'if one of them is a VM image, name it by its digest: h/a@sha256:…',
  ],
  [{ kind: 'choose-by-digest', example: 'h/a@sha256:1' }, 'name one of them by its digest, e.g. h/a@sha256:1'],
  [
    { kind: 'choose-tag-or-digest', to: 'copy' },
    'leave out the tag to copy that digest, or the digest to copy what the tag leads to now',
  ],
  [
    { kind: 'push-a-clone', registry: 'h:1', image: 'h:1/a' },
    'if h:1 is gone for good, clone h:1/a and push the clone: its disk is then encoded anew',
  ],
  [{ kind: 'pull-anew', image: 'h/a', meant: 'image' }, 'delete the image and pull it again (tartlet delete h/a)'],
  [{ kind: 'pull-anew', image: 'h/a', meant: 'subject' }, 'delete it and pull it again (tartlet delete h/a)'],
  [{ kind: 'pull-or-ask-registry' }, 'pull it, or ask its registry with --remote'],
  [{ kind: 'pull-or-copy' }, 'pull it first, or copy it from registry to registry with tartlet copy'],
  [{ kind: 'drop-saved-state', vm: 'ci' }, 'resume it and shut it down, or drop the saved state (tartlet stop ci)'],
  [{ kind: 'look-at-process', pid: 7 }, 'look at the process: ps -p 7'],
  [
    { kind: 'export-elsewhere' },
    'on the Mac that has the VM: tart push it to a registry and pull it here, or run tartlet export there instead of tart export',
  ],
  [{ kind: 'unpack-on-the-way', tool: 'gzip -dc' }, 'unpack it on the way: gzip -dc FILE | tartlet import - NAME'],
  [{ kind: 'export-or-copy' }, 'export the VM with tartlet export, or copy the image with skopeo to oci-archive:FILE'],
  [
    { kind: 'import-what-was-exported' },
    'import what tartlet export wrote, or what skopeo copy wrote to oci-archive:FILE or oci:DIRECTORY',
  ],
  [{ kind: 'choose-reference' }, 'choose one with --ref'],
  [{ kind: 'choose-reference-or-none' }, 'name one of those with --ref, or leave it out when there is only one'],
  [{ kind: 'deny-others', path: '/x' }, 'chmod o-w /x'],
  [{ kind: 'change-owner', path: '/x', owner: 7 }, 'chown 7 /x'],
  [{ kind: 'change-group', path: '/x', group: 7 }, 'chgrp 7 /x'],
  [{ kind: 'let-group-write', path: '/x' }, 'chmod g+rwX /x'],
  [{ kind: 'collect-garbage' }, 'tartlet prune --gc removes what nothing needs'],
  [
    { kind: 'assign-registry', name: 'h', registries: [] },
    'if it had a port, say which, e.g. tartlet doctor --assign h=h:8221',
  ],
  [
    { kind: 'assign-registry', name: 'h', registries: ['h:1', 'h:2'] },
    'you log in to h:1, h:2: if it came from there, tartlet doctor --assign h=h:1 or tartlet doctor --assign h=h:2',
  ],
  [{ kind: 'unshare-blocks', file: 'disk.img' }, 'give it blocks of its own: cp -p disk.img copy && mv copy disk.img'],
  [{ kind: 'run-doctor-deep' }, 'run doctor with --deep: it tells what is damaged'],
  [{ kind: 'remove-link-made-by-hand', path: '/x' }, 'it was made by hand: remove it if it is not needed (rm /x)'],
  [{ kind: 'delete-when-useless', record: undefined }, 'delete it when it is not needed any more'],
  [{ kind: 'delete-when-useless', record: '/x' }, 'read /x; delete it when it is not needed any more'],
  [{ kind: 'in-words', words: 'ask Anna' }, 'ask Anna'],
];

it.each(WORDS)('the hint %j in the words of the command', (hint, words) => {
  expect(hintText(hint)).toBe(words);
});

it('stands behind a sentence where there is no line for it', () => {
  expect(withHint('it was changed', { kind: 'deep-check-tells' })).toBe(
    'it was changed; doctor --deep tells whether it is what the image says',
  );
  expect(withHint('it was changed', undefined)).toBe('it was changed');
});

it('crosses threads as it is', () => {
  for (const [hint] of WORDS) expect(structuredClone(hint)).toEqual(hint);
});
