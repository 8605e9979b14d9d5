// The tables of docs/protocol.md that are made from the schema, and a look at those that are not. With --write, the former are written anew.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { wireErrors } from '../dist/lib/protocol/hub-v1/errors.js'
import { clientMessages, serverMessages } from '../dist/lib/protocol/hub-v1/schema.js'
import { allowed } from '../dist/lib/protocol/hub-v1/words.js'
import { root, tableBelow } from './shared.js'

export const PROTOCOL = 'docs/protocol.md'
const DIRECTIONS = { client: clientMessages, server: serverMessages }
/** Of any request. */
const ANY = 'any'

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv.includes('--write')) {
  writeFileSync(root + PROTOCOL, withTables(readFileSync(root + PROTOCOL, 'utf8')))
  console.log(`${PROTOCOL} is written`)
}

/** What is wrong with the page. */
export function protocolProblems () {
  const page = readFileSync(root + PROTOCOL, 'utf8')
  return [
    ...Object.entries(DIRECTIONS).flatMap(([direction, messages]) => describedProblems(direction, messages)),
    ...withTables(page) === page ? [] : [`${PROTOCOL} is not what lib/protocol/hub-v1/schema.ts says: npm run docs:protocol`],
    ...tableProblems('Error codes', codes(page), Object.values(wireErrors), 'lib/protocol/hub-v1/errors.ts'),
    ...requestProblems(tableBelow(page, 'Requests and answers'))
  ]
}

/** The page, with what the schema says between its marks. */
function withTables (page) {
  return Object.entries(DIRECTIONS).reduce((text, [direction, messages]) => {
    const [begin, end] = [`<!-- ${direction} messages: made by npm run docs:protocol -->`, `<!-- end of ${direction} messages -->`]
    const [from, to] = [text.indexOf(begin), text.indexOf(end)]
    if (from === -1 || to < from) return `${text}\n${begin}\n${end}\n`
    return `${text.slice(0, from)}${begin}\n\n${messageTable(messages)}\n\n${memberTable(messages)}\n\n${text.slice(to)}`
  }, page)
}

function messageTable (messages) {
  return table(['message', 'members', 'when'], Object.entries(messages).map(([op, schema]) =>
    [`\`${op}\``, topMembers(schema).map(({ shownName }) => `\`${shownName}\``).join(', ') || '-', schema.description]))
}

/** Members that are the same in several messages are there once. */
function memberTable (messages) {
  const rows = new Map()
  for (const [op, schema] of Object.entries(messages)) {
    for (const { path, type, description } of topMembers(schema).flatMap(withInner)) {
      const key = JSON.stringify([path, type, description])
      rows.set(key, [...rows.get(key) ?? [], op])
    }
  }
  return table(['member', 'of', 'type', 'meaning'], [...rows].map(([key, ops]) => {
    const [path, type, description] = JSON.parse(key)
    return [`\`${path}\``, ops.map((op) => `\`${op}\``).join(', '), type, description]
  }))
}

function topMembers (schema) {
  return membersOf(schema, '').filter(({ path }) => path !== 'op')
}

function membersOf ({ properties, required }, prefix) {
  return Object.entries(properties).map(([name, schema]) => {
    const isOptional = !required.includes(name)
    const shownName = `${prefix}${name}${isOptional ? '?' : ''}`
    return { path: prefix + name, shownName, schema, type: typeOf(schema), description: schema.description }
  })
}

/** A member, and those inside of it. */
function withInner (member) {
  const { path, schema } = member
  const [inner, prefix] = schema.properties !== undefined
    ? [schema, `${path}.`]
    : schema.items?.properties !== undefined
      ? [schema.items, `${path}[].`]
      : schema.patternProperties !== undefined ? [Object.values(schema.patternProperties)[0], `${path}[name].`] : []
  return inner === undefined ? [member] : [member, ...membersOf(inner, prefix).flatMap(withInner)]
}

/** Of what has members inside only that: they have rows of their own. */
function typeOf (schema) {
  if (schema.properties !== undefined) return 'an object'
  if (schema.items?.properties !== undefined) return 'a list of objects'
  if (schema.patternProperties !== undefined) return 'an object by name'
  return allowed(schema)
}

function table (head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')
}

function describedProblems (direction, messages) {
  return Object.entries(messages).flatMap(([op, schema]) => topMembers(schema).flatMap(withInner)
    .filter(({ description }) => description === undefined)
    .map(({ path }) => `lib/protocol/hub-v1/schema.ts: ${path} of ${op} from the ${direction} has no description`))
}

function codes (page) {
  return tableBelow(page, 'Error codes').map(([code]) => unquoted(code)[0])
}

/** One row for each request; its answers are messages of the server, and its errors codes of ours. */
function requestProblems (rows) {
  const known = { answers: Object.keys(serverMessages), errors: Object.values(wireErrors) }
  return [
    ...tableProblems('Requests and answers', rows.map(([request]) => unquoted(request)[0] ?? request), [ANY, ...Object.keys(clientMessages)], 'lib/protocol/hub-v1/schema.ts'),
    ...rows.flatMap(([request, answers, errors]) => [
      ...unquoted(answers.split(':')[0]).filter((op) => !known.answers.includes(op)).map((op) => `${PROTOCOL}: ${request} can not be answered by ${op}`),
      ...unquoted(errors).filter((code) => !known.errors.includes(code)).map((code) => `${PROTOCOL}: ${request} has the error ${code}, which there is not`)
    ]),
    ...known.errors.filter((code) => !rows.some(([, , errors]) => unquoted(errors).includes(code))).map((code) => `${PROTOCOL}: no request has the error ${code}`)
  ]
}

function tableProblems (heading, documented, real, source) {
  return [
    ...documented.filter((entry, i) => documented.indexOf(entry) !== i).map((entry) => `${PROTOCOL}: ${entry} stands twice below '${heading}'`),
    ...documented.filter((entry) => !real.includes(entry)).map((entry) => `${PROTOCOL}: ${entry} below '${heading}' is not in ${source}`),
    ...real.filter((entry) => !documented.includes(entry)).map((entry) => `${PROTOCOL}: ${entry} of ${source} is missing below '${heading}'`)
  ]
}

function unquoted (cell) {
  return Array.from(cell.matchAll(/`([^`]+)`/g), ([, code]) => code)
}
