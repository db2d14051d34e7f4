#!/usr/bin/env node
// next-version CURRENT MESSAGE... prints the next version.
import { nextVersion } from './next-version.js';

const [current, ...messages] = process.argv.slice(2);
try {
  console.log(nextVersion(current ?? '', messages));
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
