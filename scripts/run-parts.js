// Runs npm scripts one after the other, and those that a + joins at the same time. Goes on when one fails, so that one run
// tells of every fault. Prints a line per part, which .ci/run counts.
import { spawnSync } from 'node:child_process'
import { fail, outcome, root } from './shared.js'

const failed = []
const lines = []
for (const group of process.argv.slice(2)) {
  const parts = group.split('+')
  if (parts.length === 1) alone(group)
  else await Promise.all(parts.map(beside))
}
console.log(`\n${lines.join('\n')}`)
if (failed.length > 0) fail(`failed: ${failed.join(', ')}`)

/** Its output is shown as it comes. */
function alone (part) {
  console.log(`\n> ${part}`)
  const start = Date.now()
  ended(part, start, spawnSync('npm', ['run', '--silent', part], { ...options(), stdio: 'inherit' }).status)
}

/** Its output is shown when it has ended, in one piece. */
async function beside (part) {
  const start = Date.now()
  const { status, output } = await outcome('npm', ['run', '--silent', part], options())
  console.log(`\n> ${part}\n${output.trimEnd()}`)
  ended(part, start, status)
}

function options () { return { cwd: root, shell: process.platform === 'win32' } }

function ended (part, start, status) {
  if (status !== 0) failed.push(part)
  lines.push(`part ${status === 0 ? 'passed' : 'failed'}: ${part} (${Math.round((Date.now() - start) / 1000)} s)`)
}
