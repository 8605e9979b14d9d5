// How much a page loads for the client: bundled for a browser, minified, and compressed as a server would. Needs dist/.
// Fails over the limit, when something in it is only there in Node, and when what nobody uses is not left out.
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { report, root } from './shared.js'

const LIMIT_BYTES = 12 * 1024
/** What a browser does not have. */
const NODE_GLOBALS = /\b(?:Buffer|process|global|setImmediate|require)\b/

const client = await bundle("export * from 'fastify-hub/client'")
const withMsgpack = await bundle("export * from 'fastify-hub/client'; export { msgpack } from 'fastify-hub/client/msgpack'")
const unused = await bundle("import 'fastify-hub/client'; import 'fastify-hub/client/msgpack'")
const foreign = NODE_GLOBALS.exec(client)
console.log(`fastify-hub/client: ${sizeOf(client)} bytes`)
console.log(`with fastify-hub/client/msgpack: ${sizeOf(withMsgpack)} bytes`)
report([
  ...sizeOf(client) > LIMIT_BYTES ? [`fastify-hub/client has ${sizeOf(client)} bytes, minified and compressed: ${LIMIT_BYTES} at most`] : [],
  ...foreign === null ? [] : [`fastify-hub/client uses ${foreign[0]}, which no browser has`],
  ...unused === '' ? [] : ['a page that imports fastify-hub/client and uses nothing of it still gets some of it']
], `the limit is ${LIMIT_BYTES} bytes, and of what is not used nothing is left`)

function sizeOf (code) { return gzipSync(code, { level: 9 }).length }

/** A module with all that it imports. One of Node would fail the build: there is none in a browser. */
async function bundle (code) {
  const { outputFiles: [{ text }] } = await build({
    stdin: { contents: code, resolveDir: root }, bundle: true, minify: true, write: false, format: 'esm', platform: 'browser', target: 'es2022', logLevel: 'error'
  })
  return text
}
