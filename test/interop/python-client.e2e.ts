import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import t from 'tap'
import fastifyHub from '../../lib/index.js'
import { Program } from '../helpers/program.js'
import { gate, until } from '../helpers/until.js'
import { listen } from '../helpers/ws-client.js'
import { pythonWithWebsockets } from './python.js'

/** tsc copies no scripts: this is the one in the sources. */
const CLIENT = fileURLToPath(new URL('../../../examples/python_client.py', import.meta.url))
const LINES = Array.from({ length: 50 }, (_, i) => `line ${i + 1}`)
/** A connection is cut when this many of its messages have been published: before it has the answer to the last of them. */
const CUT_AFTER = 8

t.test('a client in Python, cut again and again, prints every message once and in order', async (t) => {
  const app = Fastify()
  const connections: string[] = []
  const inside = gate()
  let published = 0
  await app.register(fastifyHub, {
    subprotocols: ['hub.v1.json'],
    history: { size: 1_000 },
    onConnect: ({ id }) => { connections.push(id) },
    onDisconnect: async () => { await app.hub.room('lobby').publish(`while you were away ${connections.length}`) },
    authorize: {
      join: () => true,
      publish: async (connection) => {
        // Whoever is cut off before the first answer has never been in the room.
        await inside.promise
        if (++published % CUT_AFTER === 0) connection.terminate()
        return true
      }
    }
  })
  const address = await listen(t, app)
  // A pipe of its own, that ends: it reads its lines from there.
  const client = new Program(t, 'sh', ['-c', `printf '%s\\n' "$@" | ${pythonWithWebsockets()} '${CLIENT}' 'ws://${address}/ws' lobby`, 'sh', ...LINES])
  await until(() => app.hub.room('lobby').size === 1, 'the first join')
  await app.hub.room('lobby').publish('welcome')
  await client.printed(/^"welcome"$/m)
  inside.open()
  await until(() => published === LINES.length && app.hub.size === 1, () => `${LINES.length} publications: ${published}`)
  await app.hub.room('lobby').publish('the last one')
  await client.printed(/^"the last one"$/m)
  const expected = (await app.hub.room('lobby').history()).publications.map(({ data }) => data)
  for (const connection of app.hub.connections()) connection.close(1000)

  const { code, stdout, stderr } = await client.ended
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const printed = stdout.trim().split('\n').map((line) => JSON.parse(line) as unknown)
  t.same(printed, expected, 'what the room has, as it has it')
  t.same(printed.filter((line) => LINES.includes(String(line))), LINES, 'what it published itself, too')
  t.equal(connections.length, Math.floor(LINES.length / CUT_AFTER) + 1)
  t.equal(printed.filter((line) => String(line).startsWith('while')).length, connections.length - 1, 'and what was said while it was away')
})
