// Holds lib/ to the table "Who may import whom" of CONTRIBUTING.md: the table is the rule, this script only reads it.
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import ts from 'typescript'
import { fail, filesBelow, report, root, tableBelow } from './shared.js'

const parts = readTable()
const { dependencies, peerDependencies } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const problems = []
let imports = 0

for (const part of parts.values()) {
  for (const name of part.ours) {
    if (!parts.has(name)) problems.push(`CONTRIBUTING.md: '${part.name}' may import '${name}', which is no part of the table`)
  }
  for (const name of [...part.packages, ...part.typePackages]) {
    if (dependencies[name] === undefined && peerDependencies[name] === undefined) {
      problems.push(`CONTRIBUTING.md: '${part.name}' may import '${name}', which is no dependency in package.json`)
    }
  }
  for (const file of part.files) {
    if (!sources().some((path) => isIn(path, file))) problems.push(`CONTRIBUTING.md: there is no source in ${file}`)
  }
}
for (const path of sources()) {
  const part = partOf(path)
  if (part === undefined) {
    problems.push(`${path}: no row of the table in CONTRIBUTING.md holds it`)
    continue
  }
  for (const { specifier, typeOnly, line } of importsOf(path)) {
    imports++
    const problem = judge(path, part, specifier, typeOnly)
    if (problem !== null) problems.push(`${path}:${line}: ${problem}`)
  }
}
report(problems, `${imports} imports of ${sources().length} files in lib/ and types/ follow the table of CONTRIBUTING.md`)

function judge (path, part, specifier, typeOnly) {
  if (specifier.startsWith('node:')) return null
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts')
    const other = partOf(target)
    if (other === undefined) return `'${specifier}' leads to no source of the table`
    if (other === part || part.ours.includes(other.name)) return null
    return `'${part.name}' may not import '${other.name}' (${specifier}); allowed: ${list(part.ours)}`
  }
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
  if (part.packages.includes(name) || (typeOnly && part.typePackages.includes(name))) return null
  if (part.typePackages.includes(name)) return `'${part.name}' may import '${name}' for types only: write import type`
  return `'${part.name}' may not import the package '${name}'; allowed: ${list(part.packages)}; for types only: ${list(part.typePackages)}`
}

/** Each row: name, files, parts it may import, packages at run time, packages for types. */
function readTable () {
  const rows = tableBelow(readFileSync(`${root}CONTRIBUTING.md`, 'utf8'), 'Who may import whom')
  return new Map(rows.map((cells) => {
    if (cells.length !== 5) fail(`CONTRIBUTING.md: this row of the import table has not five cells: ${cells.join(' | ')}`)
    const [[name], files, ours, packages, typePackages] = cells.map((cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, code]) => code))
    return [name, { name, files, ours, packages, typePackages }]
  }))
}

function sources () {
  return [...filesBelow('lib'), ...filesBelow('types')].filter((path) => path.endsWith('.ts') && !path.endsWith('.tst.ts'))
}

function partOf (path) {
  return [...parts.values()].find(({ files }) => files.some((file) => isIn(path, file)))
}

function isIn (path, file) {
  return file.endsWith('/') ? path.startsWith(file) : path === file
}

/** Every way in which a module names another. With verbatimModuleSyntax only `import type` vanishes as a whole. */
function importsOf (path) {
  const file = ts.createSourceFile(path, readFileSync(root + path, 'utf8'), ts.ScriptTarget.Latest, true)
  const found = []
  const add = (node, literal, typeOnly) => {
    found.push({ specifier: literal.text, typeOnly, line: file.getLineAndCharacterOfPosition(node.getStart()).line + 1 })
  }
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, node.importClause?.isTypeOnly === true)
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) add(node, node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node)) add(node, node.argument.literal, true)
    else if (ts.isExternalModuleReference(node)) add(node, node.expression, false)
    else if (ts.isCallExpression(node) && (node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === 'require')) {
      const [argument] = node.arguments
      if (argument !== undefined && ts.isStringLiteralLike(argument)) add(node, argument, false)
      else add(node, { text: '(computed)' }, false)
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

function list (names) {
  return names.length === 0 ? 'nothing' : names.join(', ')
}
