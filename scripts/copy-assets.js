// tsc copies no static files: takes what the examples serve (pages, styles, browser scripts) over to build/, and makes one
// module of fastify-hub/client for the page of the chat, which has no bundler of its own. Needs dist/.
import { cpSync } from 'node:fs'
import { build } from 'esbuild'
import { filesBelow, root } from './shared.js'

for (const path of filesBelow('examples')) {
  if (/\.(ts|md|py)$/.test(path)) continue
  cpSync(root + path, `${root}build/${path}`)
}
await build({
  stdin: { contents: "export * from 'fastify-hub/client'", resolveDir: root },
  outfile: `${root}build/examples/chat/public/client.js`,
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  logLevel: 'warning'
})
