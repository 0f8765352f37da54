import { testMatrix } from '../support/real-matrix.ts';

testMatrix('docker-registry', ['docker-registry', 'nginx', 'openssl']);
