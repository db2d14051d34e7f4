// The next version of a project, from the messages of its commits as Conventional Commits write them.
import semver from 'semver';

const HEADER = /^([a-z]+)(?:\([^)]*\))?(!)?: \S/;

/** What one commit message asks for: 'major', 'minor', 'patch' or 'none'. */
export function changeOf(message) {
  const found = HEADER.exec(message);
  if (found?.[2] || /^BREAKING[ -]CHANGE: /m.test(message)) return 'major';
  return { feat: 'minor', fix: 'patch', perf: 'patch' }[found?.[1]] ?? 'none';
}

/** The version after `current`; the same one where no message asks for another. */
export function nextVersion(current, messages) {
  if (!semver.valid(current)) throw new RangeError(`${current} is no version`);
  const asked = new Set(messages.map(changeOf));
  const change = ['major', 'minor', 'patch'].find((kind) => asked.has(kind));
  if (!change) return current;
  // before 1.0.0 a breaking change raises the minor number only
  return semver.inc(current, change === 'major' && semver.major(current) === 0 ? 'minor' : change);
}
