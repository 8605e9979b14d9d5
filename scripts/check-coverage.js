// Coverage of lib/: enough lines and branches in total, and no file that the tests never load.
// tap's own gate passes when a file is missing from the report altogether.
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import ts from 'typescript'
import { fail, filesBelow, report, root } from './shared.js'

const MINIMUM_PERCENT = 95
const SUMMARY = '.tap/report/coverage-summary.json'

const problems = []
const covered = readSummary()
for (const path of filesBelow('lib')) {
  if (path.endsWith('.ts') && !covered.has(path) && hasCode(path)) problems.push(`${path}: no test loads it`)
}

const totals = ['lines', 'branches'].map((kind) => {
  let total = 0
  let hit = 0
  for (const file of covered.values()) {
    total += file[kind].total
    hit += file[kind].covered
  }
  const percent = total === 0 ? 0 : 100 * hit / total
  const text = `${percent.toFixed(2)} % of ${total} ${kind}`
  if (percent < MINIMUM_PERCENT) problems.push(`covered: ${text}, but at least ${MINIMUM_PERCENT} % is asked`)
  return text
})

for (const [path, { lines, branches }] of covered) {
  if (lines.pct < MINIMUM_PERCENT || branches.pct < MINIMUM_PERCENT) console.log(`${path}: ${lines.pct} % of lines, ${branches.pct} % of branches`)
}
report(problems, `covered in lib/: ${totals.join(', ')}; every file with code is loaded`)

/** Files of lib/ in tap's report, by path. */
function readSummary () {
  let summary
  try {
    summary = JSON.parse(readFileSync(root + SUMMARY, 'utf8'))
  } catch (error) {
    fail(`${SUMMARY} can not be read (${error.message}): run the tests first`)
  }
  return new Map(Object.entries(summary)
    .map(([path, file]) => [relative(root, path), file])
    .filter(([path]) => path.startsWith('lib/')))
}

/** Whether anything is left of a source once its types are gone. */
function hasCode (path) {
  const { outputText } = ts.transpileModule(readFileSync(root + path, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true, removeComments: true }
  })
  return outputText.replace(/export\s*\{\s*\};?/g, '').trim() !== ''
}
