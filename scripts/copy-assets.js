// tsc copies no static files: takes what the examples serve (pages, styles, browser scripts) over to build/.
import { cpSync } from 'node:fs'
import { filesBelow, root } from './shared.js'

for (const path of filesBelow('examples')) {
  if (/\.(ts|md)$/.test(path)) continue
  cpSync(root + path, `${root}build/${path}`)
}
