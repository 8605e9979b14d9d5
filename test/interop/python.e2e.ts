import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Example, Program } from '../helpers/program.js'

/** Debian's: its websockets is a package of the system. */
const PYTHON = '/usr/bin/python3'
/** tsc copies no scripts: this is the one in the sources. */
const CLIENT = fileURLToPath(new URL('../../../test/interop/chat_client.py', import.meta.url))

t.test('a client that is not ours talks with the chat', async (t) => {
  if (spawnSync(PYTHON, ['-c', 'import websockets']).status !== 0) {
    t.fail(`${PYTHON} has no websockets. Install it with: apt-get install python3-websockets`)
    return
  }
  const chat = new Example(t, 'chat/server.js', { PORT: '0' })
  const address = await chat.address()
  const client = new Program(t, PYTHON, [CLIENT, `${address.replace('http', 'ws')}/ws`])
  await client.printed(/^staying$/m)
  const server = await chat.stop()
  t.equal(server.code, 0)
  t.match(server.stdout + server.stderr, /^Chat on .*\n$/, 'nothing of this is worth a line in the log')

  const { code, stdout, stderr } = await client.ended
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const lines = stdout.trim().split('\n').filter((line) => line !== 'staying')
  const [now, restart] = [Number, [1012, 'service restart']]
  t.match(lines.map((line) => JSON.parse(line) as unknown), [
    { welcome: { you: 'Ada' } },
    { joined: { room: 'lobby', people: ['Ada'] } },
    { welcome: { you: 'Bob' } },
    { joined: { room: 'lobby', people: ['Ada', 'Bob'] } },
    { extensions: [] },
    { said: { room: 'lobby', id: 1, at: now, reached: 1 } },
    { heard: { room: 'lobby', from: 'Ada', text: 'Grüße 👋', at: now } },
    { said: { room: 'lobby', id: 'two', at: now, reached: 1 } },
    { heard: { room: 'lobby', from: 'Bob', text: 'in parts', at: now } },
    { answer: { message: 'not JSON' } },
    { answer: { message: 'op must be join, leave or say' } },
    { pong: true },
    { taken: [4509, 'this name is taken'] },
    { welcome: { you: 'Carol' } },
    { joined: { people: ['Ada', 'Bob', 'Carol'] } },
    { binary: [1003, 'unsupported message type'] },
    { welcome: { you: 'Dave' } },
    { joined: { room: 'lobby' } },
    { left: [1000, 'bye'] },
    { refused: 400 },
    { ended: [restart, restart] }
  ])
})
