// tsc copies no static files: takes the Lua scripts of lib/redis over to where its output is. Argument: that folder.
import { cpSync } from 'node:fs'
import { filesBelow, root } from './shared.js'

const [target] = process.argv.slice(2)
for (const path of filesBelow('lib')) if (path.endsWith('.lua')) cpSync(root + path, `${root}${target}/${path}`)
