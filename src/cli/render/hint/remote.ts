import type { LoginHints, NameHints, NetworkHints, RegistryHints, ServeHints } from '../../../hint.ts';
import type { HintTexts } from './texts.ts';

/** About names. */
export const NAME_TEXTS: HintTexts<NameHints> = {
  'write-address': () => 'write it as host, host:port or [IPv6]:port',
  'write-name': () => 'write it as host[:port]/repository[:tag], e.g. registry.example:8221/macos/base:15',
  'write-name-as': ({ name, plainHttp }) =>
    `write it as ${name}${plainHttp ? ' (with --insecure, if the registry really has no TLS)' : ''}`,
  'write-lower-case': ({ name }) => `write ${name}`,
  'leave-out-user': () => 'leave out what stands before "@"',
  'copy-whole-digest': () => 'copy the whole digest, or name the image by its tag',
  'write-digest': () => 'write it as sha256: and 64 hex digits, or name the image by its tag',
  'choose-plain-vm-name': () => 'choose a name without "/", e.g. sequoia-ci',
  'use-as-image': ({ name }) =>
    `for an image: tartlet inspect ${name} shows it, tartlet clone ${name} NAME makes a VM of it`,
  'list-vms': () => 'tartlet list --source local shows the VMs of this machine',
};

/** About logins. */
export const LOGIN_TEXTS: HintTexts<LoginHints> = {
  'log-in': ({ registry }) =>
    `log in: tartlet login ${registry}, or set TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD`,
  'log-in-as-another': ({ registry }) => `log in as a user who may: tartlet login ${registry}`,
  'log-in-again': ({ registry, maybePublic }) =>
    `check user, password and rights, then: tartlet login ${registry}` +
    (maybePublic ? ` (if the image is public: tartlet logout ${registry})` : ''),
  'correct-login-variables': ({ maybePublic }) =>
    'correct TART_REGISTRY_USERNAME and ' +
    `TART_REGISTRY_PASSWORD${maybePublic ? ', or unset them if the image is public' : ''}`,
  'log-in-anew': () => 'log in to the registry again, which writes the entry anew',
  'check-login': () => 'check the user name and the password',
  'check-login-or-use-token': () =>
    'check the user name and the password; some registries want a token in place of the password',
  'serve-tokens-under-own-name': () =>
    'if both belong together, ask the operator of the registry to serve tokens under its own name',
  'check-registry-authentication': () => 'check the authentication settings of the registry',
  'set-auth-directory': () => 'set DOCKER_CONFIG or HOME to the absolute path of a directory',
  'set-login-host': () => 'set TART_REGISTRY_HOSTNAME to host[:port] of the registry that the password is for',
  correct: ({ what }) => `correct ${what}`,
  'correct-or-remove-auth-file': ({ file }) => `correct ${file}, or log in again after removing it`,
  'install-helper': ({ program, namedBy }) => `install ${program}, or remove it from ${namedBy}`,
  'check-helper': ({ program, namedBy }) => `check ${program} (named by ${namedBy})`,
  'run-helper': ({ program, server }) => `run: echo ${server} | ${program} get   (it may print the password)`,
  'leave-out-zero-byte': ({ part }) => `enter the ${part} without it`,
  'unlock-keychain': () => 'run: security unlock-keychain   or set TART_REGISTRY_USERNAME and TART_REGISTRY_PASSWORD',
  'run-as-owner-of-auth-file': () =>
    'run this as the owner of the file, or set DOCKER_CONFIG to a directory of your own',
};

/** About what stands between this machine and a registry. */
export const NETWORK_TEXTS: HintTexts<NetworkHints> = {
  'check-host-and-network': () => 'check the spelling of the host and the network of this machine',
  'name-begins-with-registry': () =>
    'check the spelling of the host: an image name begins with its registry, as in ghcr.io/team/image',
  'check-port': () => 'check that the registry runs there and that the port is right',
  'write-port': ({ host, tls }) =>
    `if the registry has a port of its own, write it: ${host}:5000${tls ? '; if it has no TLS, add --insecure' : ''}`,
  'allow-plain-http': () => 'if this registry really has no TLS, repeat with --insecure',
  'use-tls': () => 'leave out --insecure',
  'give-client-certificate': ({ registry }) =>
    `put client.cert and client.key (PEM) into the directory ~/.docker/certs.d/${registry}`,
  'trust-ca': () =>
    'name the CA that signed it in SSL_CERT_FILE or NODE_EXTRA_CA_CERTS, or put it into a certs.d directory',
  'check-certificate': () => 'check the certificate of the registry and the clock of this machine',
  'check-certificate-files': () =>
    'check SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and the certs.d directories for files that are not PEM',
  'convert-certificate': ({ path }) =>
    `convert it (openssl x509 -inform der -in ${path} -out ca.pem), and use that file in its place`,
  'put-certificate-in-pem': () => 'put the certificate there in PEM: it begins with -----BEGIN CERTIFICATE-----',
  'make-readable-or-correct-path': () => 'correct the path, or make the file readable',
  'set-proxy': ({ variable }) => `set ${variable} to http://host:port, or unset it`,
  'check-proxy': ({ variable }) => `check ${variable}, or name the registry in NO_PROXY`,
  'give-proxy-password': ({ variable }) => `put user and password of the proxy into ${variable}`,
  'allow-host': ({ host }) => `if it belongs to the registry, allow it: TARTLET_INTERNAL_HOSTS=${host}`,
  'allow-moved-host': ({ host }) =>
    `if the registry has moved there, repeat the command, or allow it: TARTLET_INTERNAL_HOSTS=${host}`,
  'ask-firewall-operator': ({ host }) =>
    `a firewall or a proxy answers in place of the registry: ask its operator to let ${host} through`,
  'correct-mirror-file': ({ file }) =>
    `correct ${file}, or go without: --no-mirror for this command, TARTLET_MIRRORS=off or a file of your own for all`,
  'unblock-registry': ({ file }) => `take "blocked" out of ${file}, or name a registry that is allowed`,
};

/** About what a registry answers. */
export const REGISTRY_TEXTS: HintTexts<RegistryHints> = {
  'check-is-registry': () => 'check that this is the address of an OCI registry',
  'check-registry-address': () => 'check the address and the port of the registry',
  'check-is-registry-and-way': () =>
    'check that this is the address of an OCI registry, and what stands between it and this machine',
  'check-registry-address-and-way': () =>
    'check the address of the registry, and what stands between it and this machine',
  'check-external-address': () => 'check the external address in the settings of the registry',
  'check-image-name': () => 'check the name, the tag, and whether you may see it',
  'open-in-browser': ({ host }) => `open https://${host} in a browser, or check the address of the registry`,
  'wait-or-log-in': () => 'try again then, or log in: registries let known users do more',
  'raise-request-limit': ({ host }) =>
    `let the proxy in front of ${host} take larger requests (nginx: client_max_body_size 0)`,
  'make-room-on-registry': ({ host }) => `make room on ${host}: delete images there, or ask for a larger quota`,
  'create-repository': ({ host }) =>
    `create the repository on ${host} first, or check its spelling: this registry makes none by itself`,
  'allow-deletion-on-registry': () => 'allow deletion in the settings of the registry',
  'list-elsewhere': ({ registry }) =>
    `look at the web page of ${registry}: many registries, ghcr.io and Docker Hub among them, list no repositories; ` +
    'the tags of one are listed by `tags`',
  'push-with-larger-chunks': () => 'push the image with larger chunks, so that it has fewer',
  'complete-image-on-registry': () => 'push the image again: it is incomplete on the registry',
};

/** About serving. */
export const SERVE_TEXTS: HintTexts<ServeHints> = {
  'make-fleet-token': () => 'make one for the whole fleet: openssl rand -hex 32',
  'protect-registry': () =>
    'add TLS and a password (--tls-cert, --tls-key, --htpasswd), listen on 127.0.0.1, or allow it (--open)',
  'add-user': () => 'add a user to it: htpasswd -B FILE NAME',
  'separate-users': () => 'have each user in one of the two files',
  'check-user-file': () => 'check the path of the file, and that this user may read it',
  'make-user-line': () => 'make the line with htpasswd -B',
  'give-certificate-with-key': () =>
    'name a certificate and the key that belongs to it, both in PEM and the key without a password',
  'choose-data-directory': () => 'choose another directory, which can be written to',
  'end-other-registry': () => 'end it first, or choose another data directory',
  'choose-port': () => 'choose another port, or 0 for any free one',
};
