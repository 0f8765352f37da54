import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecureContext } from 'node:tls';
import type { EndpointManner } from '../../../endpoints/endpoint.ts';
import { describeError, systemCode, TartletError } from '../../../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where distributions keep the certificates of the CAs they trust, all in one file. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Arch, Alpine
  '/etc/pki/tls/certs/ca-bundle.crt', // Fedora, RHEL
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/ssl/cert.pem', // macOS, BSD
];

const SYSTEM_DIRECTORIES = ['/etc/docker/certs.d', '/etc/containers/certs.d'];

export interface TrustOptions {
  readonly environment: Environment;
  /** Default: the usual files of Linux and macOS. The first that exists counts. */
  readonly bundles?: readonly string[];
  /** Default: `certs.d` of Docker and of containers, system and user. */
  readonly directories?: readonly string[];
  /** What settings say of one host, whatever the port; default: nothing. */
  readonly own?: HostTrust | undefined;
}

/** What is trusted of one host alone, and shown to it. */
export type HostTrust = EndpointManner['tls'] & { readonly host: string };

/** A client certificate and its key, in PEM. */
interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Which certificates are trusted: the CA certificates of the system, of `SSL_CERT_FILE`, `SSL_CERT_DIR` and
 * `NODE_EXTRA_CA_CERTS`, and the `certs.d` directory of a registry, with the client certificate that may lie there.
 * Files are read when a first TLS connection needs them, once.
 */
export class TrustStore {
  readonly #options: TrustOptions;
  readonly #contexts = new Map<string, Promise<SecureContext | undefined>>();
  #system: Promise<readonly string[] | undefined> | undefined;

  constructor(options: TrustOptions) {
    this.#options = options;
  }

  /**
   * The TLS context for a registry, undefined for Node's own defaults. `hostPort` always has its port.
   * @throws TartletError `CONFIG_INVALID` when a file that was asked for cannot be used.
   */
  async contextFor(hostPort: string): Promise<SecureContext | undefined> {
    let context = this.#contexts.get(hostPort);
    if (context === undefined) {
      context = this.#createContext(hostPort);
      this.#contexts.set(hostPort, context);
    }
    return context;
  }

  /** Whether the certificate of a host has to be right. Only settings of that very host may say otherwise. */
  mustVerify(hostname: string): boolean {
    const { own } = this.#options;
    return own === undefined || own.isVerified || own.host !== hostname;
  }

  async #createContext(hostPort: string): Promise<SecureContext | undefined> {
    this.#system ??= this.#systemCertificates();
    const [system, ofRegistry, ofHost] = await Promise.all([
      this.#system,
      this.#ofRegistry(hostPort),
      this.#ofHost(hostPort),
    ]);
    const pairs = [...ofRegistry.pairs, ...ofHost.pairs];
    const own = [...ofRegistry.ca, ...ofHost.ca];
    if (system === undefined && own.length === 0 && pairs.length === 0) return undefined;
    const { createSecureContext, rootCertificates } = await import('node:tls');
    const ca = [...(system ?? rootCertificates), ...own];
    try {
      return createSecureContext({ ca, cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) });
    } catch (cause) {
      throw new TartletError(
        'CONFIG_INVALID',
        `the certificates for ${hostPort} cannot be used: ${describeError(cause)}`,
        {
          subject: hostPort,
          next: { kind: 'check-certificate-files' },
          cause,
        },
      );
    }
  }

  /** Undefined when the environment adds nothing and the system has no bundle: then Node's own list counts. */
  async #systemCertificates(): Promise<readonly string[] | undefined> {
    const { environment } = this.#options;
    const [file, directories, extra] = ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS'].map(
      (name) => environment[name] ?? '',
    );
    const found: string[] = [];
    if (file) found.push(await readCertificates(file, 'SSL_CERT_FILE'));
    for (const directory of (directories ?? '').split(':').filter((path) => path !== ''))
      found.push(...(await readDirectory(directory)));
    if (found.length === 0) found.push(...(await this.#firstBundle()));
    if (extra) {
      if (found.length === 0) found.push(...(await import('node:tls')).rootCertificates);
      found.push(await readCertificates(extra, 'NODE_EXTRA_CA_CERTS'));
    }
    return found.length === 0 ? undefined : found;
  }

  async #firstBundle(): Promise<string[]> {
    for (const path of this.#options.bundles ?? SYSTEM_BUNDLES) {
      const text = await readIfThere(path);
      if (text !== undefined) return [text];
    }
    return [];
  }

  async #ofHost(hostPort: string): Promise<{ ca: string[]; pairs: CertificatePair[] }> {
    const { own } = this.#options;
    if (own === undefined || own.host !== hostPort.replace(/:\d+$/, '')) return { ca: [], pairs: [] };
    const askedBy = 'the settings of this endpoint';
    const ca = await Promise.all(own.ca.map(async (file) => readCertificates(file, askedBy)));
    const pairs = own.certificates.map(async ({ certificate, key = certificate }) => ({
      cert: await readCertificates(certificate, askedBy),
      key: (await readAsked(key, askedBy)).toString('utf8'),
    }));
    return { ca, pairs: await Promise.all(pairs) };
  }

  async #ofRegistry(hostPort: string): Promise<{ ca: string[]; pairs: CertificatePair[] }> {
    const ca: string[] = [];
    let pair: CertificatePair | undefined;
    const names = hostPort.endsWith(':443') ? [hostPort, hostPort.slice(0, -4)] : [hostPort];
    for (const directory of this.#directories()) {
      for (const name of names) {
        for (const file of await listIfThere(join(directory, name))) {
          const path = join(directory, name, file);
          if (file.endsWith('.crt')) ca.push(await readCertificates(path, 'a certs.d directory'));
          if (file.endsWith('.cert') && pair === undefined) {
            // Docker's rule: a certificate and its key have the same name.
            const key = (await readAsked(path.replace(/\.cert$/, '.key'), 'a certs.d directory')).toString('utf8');
            pair = { cert: await readCertificates(path, 'a certs.d directory'), key };
          }
        }
      }
    }
    return { ca, pairs: pair === undefined ? [] : [pair] };
  }

  #directories(): readonly string[] {
    if (this.#options.directories !== undefined) return this.#options.directories;
    const { HOME: home, XDG_CONFIG_HOME: config } = this.#options.environment;
    const own = home
      ? [join(config || join(home, '.config'), 'containers/certs.d'), join(home, '.docker/certs.d')]
      : [];
    return [...own, ...SYSTEM_DIRECTORIES];
  }
}

/** The certificates of an `SSL_CERT_DIR`; files of other kinds that lie there are none of our business. */
async function readDirectory(directory: string): Promise<string[]> {
  const texts = await Promise.all((await listIfThere(directory)).map((name) => readIfThere(join(directory, name))));
  return texts.filter((text) => text?.includes('-----BEGIN')) as string[];
}

async function listIfThere(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (isAbsent(error)) return [];
    throw unusable(directory, 'a certificate directory', error);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw unusable(path, 'a certificate file', error);
  }
}

async function readAsked(path: string, askedBy: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unusable(path, askedBy, error);
  }
}

const PEM_CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END (?:X509 |TRUSTED )?CERTIFICATE-----/;

/**
 * A file of certificates in PEM. OpenSSL passes over what is none without a word, and then the registry is blamed.
 * @throws TartletError `CONFIG_INVALID` that says what the file is instead.
 */
async function readCertificates(path: string, askedBy: string): Promise<string> {
  const bytes = await readAsked(path, askedBy);
  const text = bytes.toString('utf8');
  const [first] = PEM_CERTIFICATE.exec(text) ?? [];
  if (first !== undefined && (await isCertificate(first))) return text;
  const isDer = first === undefined && (await isCertificate(bytes));
  const held = first === undefined ? 'holds no certificate in PEM' : 'holds a damaged certificate';
  const what = isDer ? 'is a certificate in DER, not in PEM' : held;
  throw new TartletError('CONFIG_INVALID', `${path}, named by ${askedBy}, ${what}`, {
    subject: path,
    next: isDer ? { kind: 'convert-certificate', path } : { kind: 'put-certificate-in-pem' },
  });
}

async function isCertificate(bytes: Uint8Array | string): Promise<boolean> {
  const { X509Certificate } = await import('node:crypto');
  try {
    return new X509Certificate(bytes).raw.length > 0;
  } catch {
    return false;
  }
}

function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES'].includes(systemCode(error) ?? '');
}

function unusable(path: string, askedBy: string, cause: unknown): TartletError {
  return new TartletError('CONFIG_INVALID', `cannot read ${path}, named by ${askedBy}: ${describeError(cause)}`, {
    subject: path,
    next: { kind: 'make-readable-or-correct-path' },
    cause,
  });
}
