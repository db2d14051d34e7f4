import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { changeOf, nextVersion } from '../src/next-version.js';

describe('one message', () => {
  for (const [message, change] of [
    ['feat: add a page', 'minor'],
    ['fix(api): close the file', 'patch'],
    ['feat!: drop the old form', 'major'],
    ['fix: x\n\nBREAKING CHANGE: the form is another', 'major'],
    ['docs: say more', 'none'],
    ['just some words', 'none'],
  ]) {
    it(`${message.split('\n')[0]} asks for ${change}`, () => assert.equal(changeOf(message), change));
  }
});

describe('the next version', () => {
  it('follows the largest change', () => assert.equal(nextVersion('1.2.3', ['fix: a', 'feat: b']), '1.3.0'));
  it('stays where nothing changed', () => assert.equal(nextVersion('1.2.3', ['docs: a']), '1.2.3'));
  it('stays below 1.0.0', () => assert.equal(nextVersion('0.4.1', ['feat!: a']), '0.5.0'));
  it('is refused for what is no version', () => assert.throws(() => nextVersion('soon', []), RangeError));
});
