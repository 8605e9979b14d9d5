import neostandard from 'neostandard'

// The pages of the examples run in a browser.
const browser = ['examples/**/public/**']

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', 'build/**', '.tap/**', 'node_modules/**'] }),
  ...neostandard({ env: ['browser'], noStyle: true, noJsx: true }).map((config) => ({ ...config, files: browser }))
]
