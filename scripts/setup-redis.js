// The tests start Redis servers of their own: finds the program for it, or installs it where that can be done (Debian, as root).
// With REDIS_URL, the tests of the ports use that server, and with REDIS_SERVER they start that program; those that stop and
// restart one need a program all the same.
import { spawnSync } from 'node:child_process'
import { fail } from './shared.js'

const { REDIS_SERVER } = process.env
const PROGRAMS = REDIS_SERVER === undefined ? ['redis-server', 'valkey-server'] : [REDIS_SERVER]
const OLDEST = 7

if (found() === undefined && REDIS_SERVER === undefined && process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0) {
  const options = { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  spawnSync('apt-get', ['update', '-q'], options)
  spawnSync('apt-get', ['install', '-qy', '--no-install-recommends', 'redis-server'], options)
}
const version = found()
if (version === undefined) fail(`the tests need ${PROGRAMS.join(' (7.0 or later) or ')}${REDIS_SERVER === undefined ? ' in the PATH: on Debian, apt-get install redis-server' : ', which REDIS_SERVER names, and it does not start'}`)
if (Number(/ v=(\d+)/.exec(version)?.[1]) < OLDEST) fail(`the tests need Redis ${OLDEST}.0 or later, and there is: ${version}`)
console.log(version)

/** What the first of the programs that there are says of itself. */
function found () {
  return PROGRAMS.map((name) => spawnSync(name, ['--version'], { encoding: 'utf8' })).find(({ status }) => status === 0)?.stdout.trim()
}
