// What someone meets who gives a url of Redis, and has not installed ioredis: test-pack.js runs it in such a folder.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'

const folder = new URL('node_modules/fastify-hub/dist/lib/redis/', import.meta.url)
const modules = readdirSync(folder).filter((name) => name.endsWith('.js'))
assert.ok(modules.length > 0)
// With the scripts that they read.
for (const name of modules) await import(new URL(name, folder))

const { connectionsTo } = await import(new URL('connections.js', folder))
await assert.rejects(connectionsTo({ url: 'redis://127.0.0.1' }), { code: 'FST_HUB_INVALID_OPTIONS', message: /^fastify-hub option redis: expected the package ioredis beside it \(npm install ioredis\)/ })
