// Runs npm scripts one after the other and goes on when one fails, so that one run tells of every fault.
// Prints a line per part, which .ci/run counts.
import { spawnSync } from 'node:child_process'
import { fail, root } from './shared.js'

const failed = []
const lines = process.argv.slice(2).map((part) => {
  console.log(`\n> ${part}`)
  const start = Date.now()
  const { status } = spawnSync('npm', ['run', '--silent', part], { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) failed.push(part)
  return `part ${status === 0 ? 'passed' : 'failed'}: ${part} (${Math.round((Date.now() - start) / 1000)} s)`
})
console.log(`\n${lines.join('\n')}`)
if (failed.length > 0) fail(`failed: ${failed.join(', ')}`)
