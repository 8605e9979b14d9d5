// Holds the manual to the sources. Needs dist/. With --write, docs/options.md is written anew instead of compared.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { posix } from 'node:path'
import { scaleOfPage, scaleTables } from '../bench/scale.js'
import * as errors from '../dist/lib/errors.js'
import { optionsSchema } from '../dist/lib/options-schema.js'
import { disconnects } from '../dist/lib/protocol/disconnect.js'
import { Keys } from '../dist/lib/redis/keys.js'
import { expectation } from '../dist/lib/resolve-options.js'
import { interfaceComments, optionsDoc, schemaOptions, shownDefault } from './options-doc.js'
import { protocolProblems } from './protocol-doc.js'
import { filesBelow, outcome, report, root, tableBelow } from './shared.js'

const OPTIONS = 'docs/options.md'
const ERRORS = 'docs/errors.md'
const PERFORMANCE = 'docs/performance.md'
const MEASURED = 'bench/results/full.md'
const STATE = 'docs/state.md'
const OPERATIONS = 'docs/operations.md'
/** An end-to-end test goes through nginx as this sets it up. */
const NGINX = 'examples/cluster/nginx.conf'
/** What a client may see although this server never chooses it: from the parser, another route, or no peer at all. */
const FOREIGN_CODES = [1001, 1002, 1005, 1006, 1009]
/** Milliseconds for a program of the manual that tests. */
const PROGRAM_TIMEOUT = 60_000

if (process.argv.includes('--write')) {
  writeFileSync(root + OPTIONS, optionsDoc(optionsSchema, expectation))
  console.log(`${OPTIONS} is written`)
} else {
  await check()
}

async function check () {
  const pages = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...filesBelow('docs').filter((path) => path.endsWith('.md'))]
  const missing = [OPTIONS, ERRORS, ...pages].filter((path) => !existsSync(root + path))
  if (missing.length > 0) return report(missing.map((path) => `there is no ${path}`))
  const blocks = pages.flatMap(completeBlocks)
  const links = pages.flatMap(linksOf)
  report(
    [...optionProblems(), ...errorProblems(), ...closeCodeProblems(), ...protocolProblems(), ...performanceProblems(), ...nginxProblems(), ...keyProblems(), ...scaleProblems(), ...links.flatMap(linkProblems), ...await programProblems(blocks)],
    `${pages.length} pages: options, errors, close codes, messages and keys are those of lib/, ${links.length} links lead somewhere, ${blocks.length} programs compile, ${blocks.filter(isTest).length} of them pass`
  )
}

function optionProblems () {
  const comments = interfaceComments()
  const options = schemaOptions(optionsSchema)
  const problems = difference(comments.map(([path]) => path), options.map(([path]) => path))
    .map(([side, path]) => `option ${path} is only in ${side === 'left' ? 'HubOptions of lib/options.ts' : 'lib/options-schema.ts'}`)
  const schemas = new Map(options)
  problems.push(...comments.filter(([path]) => schemas.has(path)).flatMap(([path, comment]) => commentProblems(path, comment, schemas.get(path))))
  if (readFileSync(root + OPTIONS, 'utf8') !== optionsDoc(optionsSchema, expectation)) {
    problems.push(`${OPTIONS} is not what lib/options-schema.ts says: npm run docs:options`)
  }
  return problems
}

/** What an editor shows of an option: a comment, with the default of the schema, and the meaning of 0 where 0 is allowed. */
function commentProblems (path, comment, option) {
  const where = `lib/options.ts: the comment of ${path}`
  if (comment === '') return [`${where} is missing`]
  const expected = option.properties === undefined ? shownDefault(option) : '-'
  const problems = []
  if (expected === '-' && comment.includes('Default ')) problems.push(`${where} names a default, and there is none`)
  if (expected !== '-' && !comment.includes(`Default ${expected}.`)) problems.push(`${where} must say: Default ${expected}.`)
  if (option.minimum === 0 && !comment.includes(' 0: ')) problems.push(`${where} must say what 0 means`)
  return problems
}

/** The figures of PERFORMANCE are those of one run, as it wrote them. */
function performanceProblems () {
  return readFileSync(root + PERFORMANCE, 'utf8').includes(readFileSync(root + MEASURED, 'utf8')) ? [] : [`${PERFORMANCE} does not show ${MEASURED}: npm run bench -- --full`]
}

function nginxProblems () {
  const block = `\`\`\`nginx\n${readFileSync(root + NGINX, 'utf8')}\`\`\`\n`
  return readFileSync(root + OPERATIONS, 'utf8').includes(block) ? [] : [`${OPERATIONS} does not show ${NGINX} as it is`]
}

/** STATE has every key of lib/redis/keys.ts, with `{p}` for the partition and `<...>` for a name, and no other. */
function keyProblems () {
  const keys = new Keys('hub', 1, false)
  const made = Object.getOwnPropertyNames(Keys.prototype).filter((name) => !['constructor', 'partitionOf', 'busOf', 'busAt'].includes(name)).map((name) => name === 'connection' ? keys.connection(null, '<>') : keys[name]('<>'))
  const real = [...made, keys.nodes, keys.config].map((key) => key.replace(/\{(0|<>)\}/, '{p}'))
  const documented = Array.from(readFileSync(root + STATE, 'utf8').matchAll(/`(hub:[^`]+)`/g), ([, key]) => key.replace(/<[^>]+>/g, '<>'))
  return difference([...new Set(documented)], real).map(([side, key]) => side === 'left' ? `${STATE}: ${key} is none of lib/redis/keys.ts` : `${STATE}: ${key} of lib/redis/keys.ts is missing`)
}

function scaleProblems () {
  const { shown } = scaleOfPage(readFileSync(root + OPERATIONS, 'utf8'), '')
  return shown === scaleTables().trim() ? [] : [`${OPERATIONS} does not show what bench/scale.js computes: npm run bench:scale -- --write`]
}

/** In every table of ERRORS, a row that begins with a code of ours tells its status. */
function errorProblems () {
  const documented = readFileSync(root + ERRORS, 'utf8').split('\n')
    .flatMap((line) => /^\| `(FST_HUB_\w+)` \| (\d+) \|/.exec(line)?.slice(1, 3).join(' ') ?? [])
  const real = Object.values(errors).map((CodedError) => {
    const { code, statusCode } = new CodedError('', '', '')
    return `${code} ${statusCode}`
  })
  return compare(documented, real, 'lib/errors.ts')
}

function closeCodeProblems () {
  const documented = tableBelow(readFileSync(root + ERRORS, 'utf8'), 'Close codes')
    .map(([code, , reconnect]) => ({ code: Number(code.replaceAll('`', '')), reconnect }))
  const problems = documented.filter(({ reconnect }) => reconnect !== 'yes' && reconnect !== 'no')
    .map(({ code }) => `${ERRORS}: whether a client reconnects after ${code} must be yes or no`)
  const ours = documented.filter(({ code }) => !FOREIGN_CODES.includes(code))
  const foreign = documented.filter(({ code }) => FOREIGN_CODES.includes(code))
  return [
    ...problems,
    ...compare(ours.map(({ code, reconnect }) => `${code} ${reconnect}`), Object.values(disconnects).map(({ code, reconnect }) => `${code} ${reconnect ? 'yes' : 'no'}`), 'lib/protocol/disconnect.ts'),
    ...compare(foreign.map(({ code }) => String(code)), FOREIGN_CODES.map(String), 'the codes of others')
  ]
}

function compare (documented, real, source) {
  const twice = documented.filter((entry, i) => documented.indexOf(entry) !== i)
  return [
    ...twice.map((entry) => `${ERRORS}: ${entry} stands there twice`),
    ...difference(documented, real).map(([side, entry]) => side === 'left' ? `${ERRORS}: ${entry} is not in ${source}` : `${ERRORS}: ${entry} of ${source} is missing`)
  ]
}

/** What is in one list only. */
function difference (left, right) {
  return [
    ...left.filter((entry) => !right.includes(entry)).map((entry) => ['left', entry]),
    ...right.filter((entry) => !left.includes(entry)).map((entry) => ['right', entry])
  ]
}

/** Relative links, and links to a heading; code is left out. */
function linksOf (page) {
  const prose = readFileSync(root + page, 'utf8').replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
  return Array.from(prose.matchAll(/\]\(([^)\s]+)[^)]*\)|(?:src|href)="([^"]+)"/g), ([, inline, html]) => inline ?? html)
    .filter((target) => !/^[a-z]+:/i.test(target))
    .map((target) => ({ page, target }))
}

function linkProblems ({ page, target }) {
  const [file, heading] = target.split('#')
  const path = file === '' ? page : posix.join(posix.dirname(page), file)
  if (!existsSync(root + path)) return [`${page}: the link ${target} leads nowhere`]
  if (heading !== undefined && path.endsWith('.md') && !anchorsOf(path).includes(heading)) return [`${page}: the link ${target} leads to no heading`]
  return []
}

/** Anchors of a page's headings, made as GitHub makes them. */
function anchorsOf (page) {
  const prose = readFileSync(root + page, 'utf8').replace(/^```[\s\S]*?^```/gm, '')
  const seen = new Map()
  return Array.from(prose.matchAll(/^#+ (.+)$/gm), ([, title]) => {
    const anchor = title.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-')
    const count = seen.get(anchor) ?? 0
    seen.set(anchor, count + 1)
    return count === 0 ? anchor : `${anchor}-${count}`
  })
}

/** TypeScript blocks that import something are whole programs; the others are parts of one. */
function completeBlocks (page) {
  return Array.from(readFileSync(root + page, 'utf8').matchAll(/^```ts\b.*\n([\s\S]*?)^```/gm), ([, code]) => code)
    .filter((code) => /^import /m.test(code))
    .map((code, i) => ({ name: `${page.replaceAll('/', '-')}-${i + 1}.ts`, code }))
}

/** A program that tests with peers of ours ends by itself. */
function isTest ({ code }) {
  return code.includes("'fastify-hub/testing'")
}

/** Compiled below build/, where 'fastify-hub' is this package and its types are those of dist/; those that test are run. */
async function programProblems (blocks) {
  if (blocks.length === 0) return []
  const folder = `${root}build/docs-check`
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const { name, code } of blocks) writeFileSync(`${folder}/${name}`, code)
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({
    extends: '../../tsconfig.base.json',
    compilerOptions: { rootDir: '.', outDir: 'out', noUnusedLocals: false, noUnusedParameters: false },
    include: ['*.ts']
  }))
  const { status, output } = await outcome('npm', ['run', '--silent', 'tsc', '--', '-p', folder])
  if (status !== 0) return [output]
  const problems = await Promise.all(blocks.filter(isTest).map(async ({ name }) => {
    const { status, output } = await outcome(process.execPath, [`out/${name.replace(/\.ts$/, '.js')}`], { cwd: folder, timeout: PROGRAM_TIMEOUT })
    return status === 0 ? [] : [`${name} ended with ${status}:\n${output}`]
  }))
  return problems.flat()
}
