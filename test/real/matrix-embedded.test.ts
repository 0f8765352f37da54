import { testMatrix } from '../support/real-matrix.ts';

testMatrix('embedded', ['nginx', 'openssl']);
