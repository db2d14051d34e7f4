// Writes dist/version.txt: what the project's own next version would be after one new feature.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { nextVersion } from './src/next-version.js';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const folder = new URL('dist/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('version.txt', folder), `${nextVersion(version, ['feat: more'])}\n`);
console.log('dist/version.txt is written');
