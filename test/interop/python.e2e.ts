import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Example, Program } from '../helpers/program.js'
import { pythonWithWebsockets } from './python.js'

/** tsc copies no scripts: this is the one in the sources. */
const CLIENT = fileURLToPath(new URL('../../../test/interop/chat_client.py', import.meta.url))

t.test('a client that is not ours talks with the chat', async (t) => {
  const python = pythonWithWebsockets()
  const chat = new Example(t, 'chat/server.js', { PORT: '0' })
  const address = await chat.address()
  const client = new Program(t, python, [CLIENT, `${address.replace('http', 'ws')}/ws`])
  await client.printed(/^staying$/m)
  const server = await chat.stop()
  t.equal(server.code, 0)
  t.match(server.stdout + server.stderr, /^Chat on .*\n$/, 'nothing of this is worth a line in the log')

  const { code, stdout, stderr } = await client.ended
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const lines = stdout.trim().split('\n').filter((line) => line !== 'staying')
  const [now, restart] = [Number, [1012, 'service restart', true]]
  t.match(lines.map((line) => JSON.parse(line) as unknown), [
    { hello: { version: 1, user: 'Ada', session: String } },
    { joined: { room: 'chat:lobby', offset: 0, id: 'join' } },
    { people: ['Ada'] },
    { hello: { user: 'Bob' } },
    { joined: { room: 'chat:lobby', offset: 0 } },
    { people: ['Ada', 'Bob'] },
    { chosen: ['hub.v1.json', []] },
    { said: { id: 1, data: { at: now } } },
    { heard: { offset: 1, data: { id: 'm-1', from: 'Ada', text: 'Grüße 👋', at: now } } },
    { said: { id: 'two', data: { at: now } } },
    { heard: { offset: 2, data: { from: 'Bob', text: 'in parts', at: now } } },
    { answer: { code: 'malformed' } },
    { answer: { code: 'unknown_op', id: 3 } },
    { pong: true },
    { pong: { op: 'pong' } },
    { taken: [4509, 'this name is taken', false] },
    { hello: { user: 'Carol' } },
    { joined: { offset: 2 } },
    { people: ['Ada', 'Bob', 'Carol'] },
    { binary: [1003, 'unsupported message type', false] },
    { hello: { user: 'Dave' } },
    { joined: { room: 'chat:lobby' } },
    { people: Array },
    { left: [1000, 'bye'] },
    { refused: 400 },
    { refused: 400 },
    { ended: [restart, restart] }
  ])
})
