import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Hub } from '../../lib/index.js'
import { connect, type TestPeer } from '../../lib/testing/index.js'
import { RawClient } from '../helpers/raw-client.js'
import { redisApps } from '../helpers/redis-apps.js'
import { ownPrefix, redisUrl } from '../helpers/redis-server.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

interface World {
  /** Keeps what clients of the first node send from it: its process stands still, or the network in front of it. */
  readonly hold: Record<'process' | 'network', () => void>
  readonly release: Record<'process' | 'network', () => void>
  /** A client of that node, which answers nothing: nor does a network that has lost it. */
  readonly silent: () => Promise<RawClient>
  readonly other: Hub
  /** A login on the other node. */
  readonly login: () => Promise<TestPeer>
}

const HANDSHAKE = { headers: { 'X-User': 'ann' } }

async function world (t: Test): Promise<World> {
  const [url, prefix] = [await redisUrl(t), ownPrefix()]
  const { hubs } = await redisApps(t, 1, { url, prefix }, { sessions: 'single-per-user' })
  const [other] = hubs as [Hub]
  const child = fork(fileURLToPath(new URL('../helpers/login-node.js', import.meta.url)), [url, prefix])
  t.teardown(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const [{ port }] = await once(child, 'message') as [{ port: number }]
  const proxy = await TcpProxy.start(t, () => port)
  return {
    hold: { process: () => { child.kill('SIGSTOP') }, network: () => { proxy.hold('up') } },
    release: { process: () => { child.kill('SIGCONT') }, network: () => { proxy.release('up') } },
    silent: async () => {
      const { opened } = proxy
      const client = await RawClient.connect(proxy.port)
      await until(() => proxy.opened > opened, 'the proxy to know it')
      client.polite = false
      return client
    },
    other,
    login: async () => await connect(other, { user: 'ann' })
  }
}

for (const what of ['process', 'network'] as const) {
  t.test(`the ${what} stood still, and a node reads an upgrade whose client has logged in elsewhere since: that login stays`, async (t) => {
    const { hold, release, silent, login } = await world(t)
    const late = await silent()
    hold[what]()
    late.sendHandshake(HANDSHAKE)
    const ann = await login()
    release[what]()
    t.equal((await late.response()).status, 101)
    await Promise.race([ann.closed, late.ended().then(({ code }) => { t.equal(code, 1013) })])
    t.equal(ann.ended, null)
  })
}

t.test('a kick ends a login that waits for its client, too: when it is heard of, and without counting it', async (t) => {
  const { silent, login, other } = await world(t)
  const ann = await login()
  const client = await silent()
  await client.upgrade(HANDSHAKE)
  const ended = client.ended()
  await until(() => client.pings === 1, 'it to be asked')
  t.equal(await other.user('ann').kick('out', { code: 4999 }), 1)
  t.match(await ann.closed, { code: 4999, reason: 'out' })
  client.sendText('I am here')
  t.match(await ended, { code: 4501 })
  t.equal(await other.user('ann').online(), false)
})

t.test('a client that is there takes the place of another, whatever it says first', async (t) => {
  const { silent, login } = await world(t)
  for (const word of ['pong', 'message']) {
    const before = await login()
    const client = await silent()
    client.polite = word === 'pong'
    await client.upgrade(HANDSHAKE)
    if (word === 'message') client.sendText('I am here')
    t.equal((await client.message()).text, 'hello')
    t.match(await before.closed, { code: 4502 })
  }
})
