// The text of docs/options.md, made from the schema of the options.
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { root } from './shared.js'

const HEAD = `<!-- Made from lib/options-schema.ts by \`npm run docs:options\`. Do not edit. -->

# Options

\`app.register(fastifyHub, options)\` checks its options once. One that is unknown, of the wrong type, out of range or at
odds with another makes \`register\` reject with \`FST_HUB_INVALID_OPTIONS\`, whose message names the option, what was
expected and what was given.

Durations are whole numbers of milliseconds. What 0 means is told for each option: for nearly all of them no limit, or off.
`

/** @param expectation says in words what a schema allows, as the error of a wrong option does */
export function optionsDoc (schema, expectation) {
  return [HEAD, ...tables(schema, '', expectation), ''].join('\n')
}

/** Of the options in a group, and of the groups in it. */
function tables ({ properties }, prefix, expectation) {
  const entries = Object.entries(properties)
  const groups = entries.filter(([, option]) => option.properties !== undefined)
  const single = entries.filter(([, option]) => option.properties === undefined)
  return [table(single, prefix, expectation), ...groups.flatMap(([name, group]) => {
    const path = prefix + name
    return [`\n${'#'.repeat(path.split('.').length + 1)} ${path}\n`, `${group.description}\n`, ...tables(group, `${path}.`, expectation)]
  })]
}

/** The options in the schema by their path, groups too. */
export function schemaOptions ({ properties }, prefix = '') {
  return Object.entries(properties).flatMap(([name, option]) =>
    [[prefix + name, option], ...option.properties === undefined ? [] : schemaOptions(option, `${prefix + name}.`)])
}

/** The comments of the options in the interface HubOptions of lib/options.ts by their path, groups too; '' where there is none. */
export function interfaceComments () {
  const path = 'lib/options.ts'
  const file = ts.createSourceFile(path, readFileSync(root + path, 'utf8'), ts.ScriptTarget.Latest, true)
  const options = file.statements.find((statement) => ts.isInterfaceDeclaration(statement) && statement.name.text === 'HubOptions')
  const commentsOf = (members, prefix) => members.flatMap((member) =>
    [[prefix + member.name.text, commentOf(member)], ...commentsOf(groupIn(member.type), `${prefix + member.name.text}.`)])
  return commentsOf(options.members, '')
}

/** The members of a group, `{ ... } | undefined`. */
function groupIn (type) {
  const literal = (ts.isUnionTypeNode(type) ? type.types : [type]).find(ts.isTypeLiteralNode)
  return literal?.members ?? []
}

function commentOf (member) {
  return ts.getJSDocCommentsAndTags(member).filter(ts.isJSDoc)
    .map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '').join(' ').replace(/\s+/g, ' ').trim()
}

function table (options, prefix, expectation) {
  return [
    '| option | allowed | default | meaning |',
    '| --- | --- | --- | --- |',
    ...options.map(([name, option]) => {
      const cells = [`\`${prefix}${name}\``, expectation(option), shownDefault(option), option.description]
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
    })
  ].join('\n')
}

/** '-' where there is none. */
export function shownDefault ({ default: value, shownDefault: text, unit }) {
  if (text !== undefined) return text.startsWith("'") ? `\`${text}\`` : text
  if (typeof value === 'string') return `\`'${value}'\``
  if (typeof value !== 'number') return `\`${JSON.stringify(value)}\``
  const literal = `\`${String(value).replace(/\B(?=(\d{3})+$)/g, '_')}\``
  return unit === 'ms' && value >= 1000 ? `${literal} (${value / 1000} s)` : literal
}
