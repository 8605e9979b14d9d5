// Packs the package as a release would, and uses the tarball as a stranger would: contents, metadata, types, and programs
// in an empty folder that import it, or require it: a server that speaks with a WebSocket client, and a test without one.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import ts from 'typescript'
import WebSocket from 'ws'
import { fail, filesBelow, filesOf, report, root, run, start } from './shared.js'

const TIMEOUT = 60_000
const STRICT = ['consumer.ts', 'testing.ts', 'client.ts', '--ignoreConfig', '--target', 'ES2022', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck', 'false']
const NODE = ['--module', 'NodeNext', '--moduleResolution', 'NodeNext']
const BUNDLER = ['--module', 'ESNext', '--moduleResolution', 'Bundler']
/** What a tarball is made of. */
const SOURCES = ['lib', 'types', 'scripts', 'tsconfig.base.json', 'tsconfig.build.json', 'package.json', 'docs', 'README.md', 'CHANGELOG.md', 'LICENSE']
const { devDependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
// Of the npm that runs this script, and about the wrong folder.
const { npm_config_local_prefix: _, npm_config_prefix: __, ...env } = process.env

const temporary = mkdtempSync(`${tmpdir()}/fastify-hub-pack-`)
process.on('exit', () => { rmSync(temporary, { recursive: true, force: true }) })

const tarball = pack()
checkContents()
const checked = checkTarball()
const consumer = await install()
await compile()
// Meanwhile, the slower compiler, which most have.
const compiled = compileSlowly()
await talk('a compiled ES module that imports it', 'out/consumer.js')
await talk('a CommonJS module that requires it', 'consumer.cjs')
for (const file of ['out/testing.js', 'testing.cjs']) {
  await start(process.execPath, [file], { cwd: consumer })
  console.log(`${file} tests its handlers with fastify-hub/testing`)
}
await start(process.execPath, ['out/client.js'], { cwd: consumer })
console.log('out/client.js has a client of fastify-hub/client')
await start(process.execPath, ['redis.js'], { cwd: consumer })
console.log('redis.js: without ioredis all of it loads, and the option redis says what is missing')
await Promise.all([checked, compiled])

/** Of a copy of the sources, which builds a dist/ of its own. */
function pack () {
  const copy = `${temporary}/sources`
  for (const path of SOURCES) cpSync(root + path, `${copy}/${path}`, { recursive: true })
  symlinkSync(`${root}node_modules`, `${copy}/node_modules`)
  run('npm', ['pack', '--pack-destination', temporary], { cwd: copy, env })
  return `${temporary}/${readdirSync(temporary).find((name) => name.endsWith('.tgz'))}`
}

/** Exactly what lib/ compiles to, the scripts for Redis, the manual, to which README.md and the log lead, and four files; and no `any` in what users see. */
function checkContents () {
  run('tar', ['-xzf', tarball, '-C', temporary])
  const expected = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', ...filesBelow('docs'), ...filesBelow('lib').filter((path) => path.endsWith('.lua')).map((path) => `dist/${path}`)]
  for (const source of [...filesBelow('lib').filter((path) => path.endsWith('.ts')), 'types/fastify.ts']) {
    expected.push(`dist/${source.replace(/\.ts$/, '.js')}`, `dist/${source.replace(/\.ts$/, '.d.ts')}`)
  }
  const packed = filesOf(`${temporary}/package`)
  report([
    ...packed.filter((path) => !expected.includes(path)).map((path) => `the tarball holds ${path}, which does not belong there`),
    ...expected.filter((path) => !packed.includes(path)).map((path) => `the tarball lacks ${path}`),
    ...packed.filter((path) => path.endsWith('.d.ts') && hasAny(`${temporary}/package/${path}`)).map((path) => `${path} says any`)
  ], `the tarball holds ${packed.length} files, the right ones`)
}

function hasAny (path) {
  const visit = (node) => node.kind === ts.SyntaxKind.AnyKeyword || ts.forEachChild(node, visit) === true
  return visit(ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest))
}

async function checkTarball () {
  await start('npx', ['--no-install', 'publint', 'run', tarball, '--strict'])
  await start('npx', ['--no-install', 'attw', tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color', '--no-emoji'])
  console.log('publint and attw find no fault')
}

async function install () {
  const folder = `${temporary}/consumer`
  mkdirSync(folder)
  cpSync(`${root}scripts/consumer`, folder, { recursive: true })
  writeFileSync(`${folder}/package.json`, JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  const others = ['fastify', 'typescript', '@types/node'].map((name) => `${name}@${devDependencies[name]}`)
  await start('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball, ...others], { cwd: folder, env })
  // The peer that is optional: what follows goes without it, types and all.
  if (existsSync(`${folder}/node_modules/ioredis`)) fail('ioredis was installed, and nobody has asked for it')
  console.log('it installs in an empty folder')
  return folder
}

async function compile () {
  const tsc = `${root}node_modules/typescript7/bin/tsc`
  await start(process.execPath, [tsc, ...STRICT, ...NODE, '--outDir', 'out'], { cwd: consumer, env })
  await start(process.execPath, [tsc, ...STRICT, ...BUNDLER, '--noEmit'], { cwd: consumer, env })
  console.log('a consumer compiles with TypeScript 7 under NodeNext and Bundler, every declaration checked')
}

async function compileSlowly () {
  await start(process.execPath, ['node_modules/typescript/bin/tsc', ...STRICT, ...NODE, '--noEmit'], { cwd: consumer, env })
  console.log('a consumer compiles with TypeScript 6 under NodeNext, every declaration checked')
}

/** The program prints its address, answers one message, and ends by itself when the client has left. */
async function talk (what, file) {
  const child = spawn(process.execPath, [file], { cwd: consumer, stdio: ['ignore', 'pipe', 'inherit'] })
  const timer = setTimeout(() => {
    child.kill('SIGKILL')
    fail(`${what}: no end within ${TIMEOUT / 1000} s`)
  }, TIMEOUT)
  const exit = once(child, 'exit')
  const address = await Promise.race([once(createInterface(child.stdout), 'line').then(([line]) => line), exit.then(() => null)])
  if (address === null) fail(`${what}: ended with ${child.exitCode} before it listened`)
  const client = new WebSocket(`${address.replace(/^http/, 'ws')}/ws`)
  await once(client, 'open')
  client.send('hello')
  const [answer] = await once(client, 'message')
  if (String(answer) !== 'from Ada: hello') fail(`${what}: answered ${answer}`)
  client.close(1000)
  const [code] = await exit
  clearTimeout(timer)
  if (code !== 0) fail(`${what}: ended with ${code}`)
  console.log(`${what} answers a WebSocket and ends`)
}
