// What the scripts of this folder have in common.
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the repository, with a slash at its end. */
export const root = fileURLToPath(new URL('../', import.meta.url))

/** Every file below a folder of the repository, as paths from its root, sorted. None when there is no such folder. */
export function filesBelow (folder) {
  return filesOf(root + folder).map((path) => `${folder}/${path}`)
}

/** Every file below a folder, as paths from there, sorted. */
export function filesOf (folder) {
  let entries
  try {
    entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
  return entries.filter((entry) => entry.isFile())
    .map((entry) => relative(folder, `${entry.parentPath}/${entry.name}`).split(sep).join('/'))
    .sort()
}

/** Runs a program and returns its output. Ends this script when the program fails. */
export function run (command, args, { cwd = root, env = process.env } = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (error !== undefined) throw error
  if (status !== 0) fail([`${command} ${args.join(' ')} ended with ${status}`, stdout, stderr].join('\n'))
  return stdout
}

/** The same beside other things: a promise of the output. */
export async function start (command, args, { cwd = root, env = process.env } = {}) {
  const { status, output } = await outcome(command, args, { cwd, env })
  if (status !== 0) fail(`${command} ${args.join(' ')} ended with ${status}\n${output}`)
  return output
}

/** Runs a program to its end. @returns its exit code, or the signal that ended it, and what it printed, errors among it */
export async function outcome (command, args, options) {
  const child = spawn(command, args, { cwd: root, ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text })
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => { resolve({ status: code ?? signal, output }) })
  })
}

/** The rows of the Markdown table below a heading: cells as text, without the header. */
export function tableBelow (markdown, heading) {
  const lines = markdown.split('\n')
  const start = lines.findIndex((line) => line.replace(/^#+ /, '') === heading && line.startsWith('#'))
  if (start === -1) fail(`there is no heading '${heading}'`)
  const first = lines.findIndex((line, i) => i > start && line.startsWith('|'))
  const next = lines.findIndex((line, i) => i > start && line.startsWith('#'))
  if (first === -1 || (next !== -1 && next < first)) fail(`there is no table below '${heading}'`)
  const rows = []
  for (let i = first + 2; lines[i]?.startsWith('|'); i++) {
    // A pipe inside a cell is written \|
    rows.push(lines[i].split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll('\\|', '|')))
  }
  return rows
}

/** Prints each problem, and fails if there is one; else prints `summary`. */
export function report (problems, summary) {
  if (problems.length > 0) fail(problems.join('\n'))
  console.log(summary)
}

/** Ends the script as failed. */
export function fail (message) {
  console.error(message)
  process.exit(1)
}
