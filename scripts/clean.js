// Removes what the builds make, so that no file of an older build is packed or tested. Arguments: the folders, else all.
import { rmSync } from 'node:fs'
import { root } from './shared.js'

const folders = process.argv.length > 2 ? process.argv.slice(2) : ['dist', 'build']
for (const folder of folders) rmSync(root + folder, { recursive: true, force: true })
