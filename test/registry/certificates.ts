import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority that also issues what no honest one would: expired, premature and misnamed certificates. */
export class TestCa {
  readonly directory = mkdtempSync(join(tmpdir(), 'tartlet-ca-'));
  /** The CA's own certificate, as a PEM file. */
  readonly file = join(this.directory, 'ca.pem');

  /** The same certificate in DER. */
  get der(): Buffer {
    return new X509Certificate(readFileSync(this.file)).raw;
  }

  constructor() {
    this.#openssl(
      'req',
      '-x509',
      '-nodes',
      '-days',
      '2',
      ...EC,
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-subj',
      '/CN=Test CA',
    );
    mkdirSync(join(this.directory, 'new'));
    writeFileSync(join(this.directory, 'index'), '');
    writeFileSync(
      join(this.directory, 'ca.cnf'),
      `[ca]\ndefault_ca=x\n[x]\nnew_certs_dir=${this.directory}/new\ndatabase=${this.directory}/index\nrand_serial=yes\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n` +
        'unique_subject=no\n[p]\ncommonName=supplied\n',
    );
  }

  /** A pair for `names` (`IP:127.0.0.1`, `DNS:localhost`), valid from and to (`20200101000000Z`); default: today. */
  issue(names: string, from?: string, to?: string): Pair {
    this.#openssl(
      'req',
      '-nodes',
      ...EC,
      '-keyout',
      'leaf.key',
      '-out',
      'leaf.csr',
      '-subj',
      '/CN=leaf',
      '-addext',
      `subjectAltName=${names}`,
    );
    const validity = from === undefined || to === undefined ? ['-days', '2'] : ['-startdate', from, '-enddate', to];
    const paths = ['-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key', '-in', 'leaf.csr', '-out', 'leaf.pem'];
    this.#openssl('ca', '-batch', '-notext', ...validity, ...paths);
    return { cert: this.#read('leaf.pem'), key: this.#read('leaf.key') };
  }

  /** A pair that vouches for itself. */
  selfSigned(names: string): Pair {
    const files = ['-keyout', 'self.key', '-out', 'self.pem'];
    const subject = ['-subj', '/CN=self', '-addext', `subjectAltName=${names}`];
    this.#openssl('req', '-x509', '-nodes', '-days', '2', ...EC, ...files, ...subject);
    return { cert: this.#read('self.pem'), key: this.#read('self.key') };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  #read(name: string): string {
    return readFileSync(join(this.directory, name), 'utf8');
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
