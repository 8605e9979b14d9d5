import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'

const HEADERS = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache'
}
const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/chat.css', 'chat.css', 'text/css; charset=utf-8'],
  ['/chat.js', 'chat.js', 'text/javascript; charset=utf-8'],
  ['/elements.js', 'elements.js', 'text/javascript; charset=utf-8'],
  ['/room.js', 'room.js', 'text/javascript; charset=utf-8'],
  // fastify-hub/client as one module: scripts/copy-assets.js.
  ['/client.js', 'client.js', 'text/javascript; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml']
] as const

/** Serves the page of the chat. */
export async function servePage (app: FastifyInstance): Promise<void> {
  for (const [url, file, type] of FILES) {
    const content = await readFile(new URL(`public/${file}`, import.meta.url))
    app.get(url, (_request, reply) => reply.headers(HEADERS).type(type).send(content))
  }
}
