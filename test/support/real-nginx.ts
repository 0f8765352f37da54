import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { CertificatePair } from './real-certificates.ts';
import type { Cleanup } from './real-cleanup.ts';
import { partPath } from './real-parts.ts';
import { freePort, RealProcess } from './real-process.ts';

export interface TlsProxyOptions {
  /** Address of both sides, without brackets. */
  readonly listen: string;
  /** Port of the registry that has no TLS itself. */
  readonly upstreamPort: number;
  /** Absent: nginx speaks plain HTTP. */
  readonly server?: CertificatePair;
  /** The largest body of a request. Default: any size; `1m` is what nginx takes when nobody says anything. */
  readonly largestBody?: '0' | '1m';
}

/**
 * nginx in front of a registry, configured as the manuals of registries tell: TLS ends here, bodies of any size pass
 * through.
 * @returns its port.
 */
export async function startTlsProxy(cleanup: Cleanup, options: TlsProxyOptions): Promise<number> {
  const directory = cleanup.directory();
  // nginx cannot take any free port by itself; another process may be quicker than us, rarely twice.
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort(options.listen);
    const file = path.join(directory, 'nginx.conf');
    writeFileSync(file, configuration(options, port, directory));
    try {
      const args = ['-p', directory, '-c', file, '-e', 'stderr'];
      await RealProcess.start(cleanup, partPath('nginx'), args, async () => accepts(options.listen, port));
      return port;
    } catch (error) {
      if (attempt === 3 || !String(error).includes('Address already in use')) throw error;
    }
  }
}

function configuration(
  { listen, upstreamPort, server, largestBody = '0' }: TlsProxyOptions,
  port: number,
  directory: string,
): string {
  const host = listen.includes(':') ? `[${listen}]` : listen;
  const scratch = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/t;`,
  );
  const tls =
    server === undefined
      ? `listen ${host}:${port};`
      : `listen ${host}:${port} ssl;
    ssl_certificate ${server.certificate};
    ssl_certificate_key ${server.key};`;
  return `
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log stderr warn;
events {}
http {
  ${scratch.join('\n  ')}
  access_log off;
  client_max_body_size ${largestBody};
  server {
    ${tls}
    location / {
      proxy_pass http://${host}:${upstreamPort};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto ${server === undefined ? 'http' : 'https'};
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_read_timeout 60s;
    }
  }
}
`;
}

async function accepts(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
