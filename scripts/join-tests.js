// Writes build/test/joined/*.js: each runs the tests of several files in one process, for most files are done sooner than
// tap, its hooks and lib/ are loaded. Whatever .taprc does not run as a process of its own is in one of them.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { filesBelow, report, root } from './shared.js'

const FOLDER = 'build/test/joined'
/** So many at most, for there are several processors. */
const FILES = 12
/** Of the test that all files of a process have in common: t.jobs, t.beforeEach. */
const COMMON = /^t\.(?!test\()\w+/gm

const [, folders] = /!\((.+)\)/.exec(readFileSync(`${root}.taprc`, 'utf8'))
rmSync(root + FOLDER, { recursive: true, force: true })
mkdirSync(root + FOLDER)
const problems = []
let processes = 0
for (const folder of folders.split('|')) {
  const files = filesBelow(`build/test/${folder}`).filter((path) => path.endsWith('.test.js'))
  for (const path of files) {
    for (const [use] of readFileSync(root + path, 'utf8').matchAll(COMMON)) problems.push(`${path}: ${use} would hold for other files too: use it inside of a test`)
  }
  // Dealt out like cards, since long ones are neighbours.
  const hands = Math.ceil(files.length / FILES)
  for (let hand = 0; hand < hands; hand++) {
    const imports = files.filter((_, i) => i % hands === hand).map((path) => `import '${path.replace('build/test', '..')}'\n`)
    writeFileSync(`${root}${FOLDER}/${folder}-${hand + 1}.js`, imports.join(''))
  }
  processes += hands
}
report(problems, `${FOLDER}: ${processes} processes`)
