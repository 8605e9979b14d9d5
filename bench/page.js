// Where the tables of the runs with several nodes go: bench/results/<name>.md, and docs/performance.md, between comments with that name.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'

const PAGE = new URL('../docs/performance.md', import.meta.url)
const FOLDER = new URL('results/', import.meta.url)

/** What figures are of. */
export const machine = () => `Node ${process.version}; ${cpus().length} x ${cpus()[0].model}; ${new Date().toISOString().slice(0, 10)}.`

/** @param lines of Markdown. @param result what they are made of, for <name>.json */
export function show (name, lines, result) {
  const text = `${lines.join('\n').trim()}\n`
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(new URL(`${name}.md`, FOLDER), text)
  writeFileSync(new URL(`${name}.json`, FOLDER), `${JSON.stringify(result, null, 1)}\n`)
  const page = readFileSync(PAGE, 'utf8')
  const place = new RegExp(`(<!-- results of ${name} -->\n)[^]*(<!-- end of ${name} -->)`)
  writeFileSync(PAGE, page.replace(place, (_, begin, end) => `${begin}\n${text}\n${end}`))
}
