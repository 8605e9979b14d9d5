import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Connection, Identity } from '../../lib/index.js'
import { HOSTILE_NAMES } from '../contract/names.js'
import { TestApp } from '../helpers/app.js'
import { lives } from '../helpers/lives.js'
import { RawClient } from '../helpers/raw-client.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

const MIB = 1024 * 1024

/** Headers that pick an identity of a list. */
const as = (index: number): { headers: Record<string, string> } => ({ headers: { 'x-as': String(index) } })

t.test('65: credentials expire: 4401, and no message is handled after that', async (t) => {
  const { connected, ends, handlers } = lives()
  /** When the messages were sent. */
  const handled: number[] = []
  let expiresAt = 0
  const app = await TestApp.start(t, {
    ...handlers,
    limits: { messagesPerSecond: 0 },
    identify: () => {
      expiresAt = Date.now() + 400
      return { user: 'ann', expiresAt }
    },
    onMessage: async (_connection, message) => {
      handled.push(Number(message.text()))
      await sleep(20)
    }
  })
  const client = await app.connect()
  const timer = setInterval(() => { client.sendText(String(Date.now())) }, 5)
  t.teardown(() => { clearInterval(timer) })
  t.match(await client.ended(), { code: 4401, reason: 'credentials expired' })
  clearInterval(timer)
  await until(() => ends.length === 1, 'onDisconnect')
  t.equal(connected.length, 1)
  t.ok(handled.length > 0)
  t.ok(handled.every((sent) => sent < expiresAt), 'none that was sent after expiry')
  t.match(ends, [{ code: 4401, initiator: 'server' }])
  await app.assertBaseline()
})

t.test('65: refreshed by a message: it stays', async (t) => {
  const { ends, handlers } = lives()
  const identities: Identity[] = [{ user: 'ann' }, { user: 'bob' }]
  const app = await TestApp.start(t, {
    ...handlers,
    identify: ({ headers }) => ({ ...identities[Number(headers['x-as'])], expiresAt: new Date(Date.now() + 500) }),
    onMessage: (connection, message) => { connection.send(connection.refresh(Date.now() + Number(message.text()))) }
  })
  const [stays, goes] = [await app.connect(as(0)), await app.connect(as(1))]
  stays.sendText('3600000')
  t.equal(await stays.text(), 'true')
  t.match(await goes.ended(), { code: 4401 })
  stays.sendText('3600000')
  t.equal(await stays.text(), 'true', 'after the time at which its first credentials expired')
  await until(() => ends.length === 1, 'onDisconnect of the other')
  await app.assertBaseline()
})

t.test('65: credentials that have expired are refused with 401, before the 101', async (t) => {
  const { connected, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, identify: () => ({ user: 'ann', expiresAt: Date.now() - 1 }) })
  const response = await app.request()
  t.equal(response.status, 401)
  t.match(JSON.parse(response.body), { statusCode: 401, code: 'FST_HUB_CREDENTIALS_EXPIRED', message: 'The credentials have expired' })
  t.same(app.hub.stats().refused, { FST_HUB_CREDENTIALS_EXPIRED: 1 })
  t.equal(app.refusals().length, 1)
  await app.assertBaseline()
  t.equal(connected.length, 0)
})

t.test('66: who comes back after a kick stays, although the kicked socket has not ended yet', async (t) => {
  const { ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, identify: () => ({ user: 'ann' }) })
  const first = await app.connect()
  first.polite = false
  await until(() => app.size === 1, 'the first')
  t.equal(await app.hub.user('ann').kick(), 1)
  const second = await app.connect()
  await until(() => app.size === 2, 'the second, beside the first')
  t.equal(await app.hub.user('ann').online(), true)
  first.polite = true
  t.match(await first.ended(), { code: 4501, reason: 'kicked' })
  await second.roundTrip('still here')
  t.equal(await app.hub.user('ann').online(), true)
  await until(() => ends.length === 1, 'onDisconnect of the first')
  await app.assertBaseline()
})

t.test('66: kicks race with reconnects: each login is ended by one kick, or stays', async (t) => {
  const { connected, ends, handlers } = lives()
  const app = await TestApp.start(t, { ...handlers, identify: () => ({ user: 'ann' }) })
  let counted = 0
  let closed = 0
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(Array.from({ length: 10 }, async () => await app.open()))
    const kicks: Array<Promise<number>> = []
    for (const [i, client] of clients.entries()) {
      client.upgrade().catch(t.fail)
      if (i % 3 === 0) {
        kicks.push(app.hub.user('ann').kick())
        await new Promise((resolve) => { setImmediate(resolve) })
      }
    }
    await until(() => connected.length === (round + 1) * 10, 'all of them')
    kicks.push(app.hub.user('ann').kick())
    for (const kick of kicks) counted += await kick
    for (const client of clients) if ((await client.ended()).code === 4501) closed++
  }
  t.equal(counted, 200, 'the kicks count each once')
  t.equal(closed, 200)
  await app.assertBaseline()
  t.equal(ends.length, connected.length)
})

for (const sessions of ['single-per-user', 'single-per-device'] as const) {
  t.test(`67: '${sessions}': of logins at once exactly one stays, the others get 4502`, async (t) => {
    const { connected, ends, left, handlers } = lives()
    const app = await TestApp.start(t, { ...handlers, sessions, identify: () => ({ user: 'ann', device: 'web' }) })
    for (let round = 0; round < 5; round++) {
      const clients = await Promise.all(Array.from({ length: 20 }, async () => await app.open()))
      const codes: Array<number | null> = []
      const ended = clients.map(async (client) => {
        await client.upgrade()
        codes.push((await client.ended()).code)
      })
      await until(() => app.size === 1 && codes.length === 19 && ends.length === connected.length - 1, 'one, and onDisconnect of each other that has had its onConnect')
      const [survivor] = app.connections() as [Connection]
      t.equal(survivor.state, 'open')
      t.equal(connected.at(-1), survivor, 'the newest')
      survivor.close(4000)
      await Promise.all(ended)
      t.same(codes, [...Array(19).fill(4502), 4000])
      await until(() => app.size === 0 && ends.length === connected.length, 'the end of the last one')
    }
    await app.assertBaseline()
    t.same([ends.length, new Set(left)], [connected.length, new Set(connected)], 'onDisconnect once for each')
    t.ok(ends.every(({ initiator }) => initiator === 'server'))
  })
}

t.test('67: an upgrade that the network had until its client came again takes nobody\'s place', async (t) => {
  const { handlers } = lives()
  const proxy = await TcpProxy.start(t, (): number => app.port)
  const app = await TestApp.start(t, { ...handlers, sessions: 'single-per-user', deadlines: { close: 500 }, identify: () => ({ user: 'ann' }) })
  const late = await RawClient.connect(proxy.port)
  late.polite = false
  await until(() => proxy.opened === 1, 'the proxy to know it')
  proxy.hold('up')
  late.sendHandshake()
  const ann = await app.connect()
  const ended = ann.ended()
  proxy.release('up')
  t.equal((await late.response()).status, 101)
  t.match(await Promise.race([ended, late.ended()]), { code: 1013 })
  t.match(app.connections(), [{ state: 'open' }])
  ann.sendClose(1000)
  t.match(await ended, { code: 1000 })
  late.destroy()
  await until(() => app.size === 0, 'the end of both')
  await app.assertBaseline()
})

t.test('69: hostile names of users, devices and rooms: exact isolation', async (t) => {
  const { handlers } = lives()
  const app = await TestApp.start(t, {
    ...handlers,
    sessions: 'single-per-device',
    identify: ({ headers }) => {
      const name = HOSTILE_NAMES[Number(headers['x-as'])] as string
      return { user: name, device: name }
    }
  })
  const clients = await Promise.all(HOSTILE_NAMES.map(async (_, i) => await app.connect(as(i))))
  await until(() => app.size === HOSTILE_NAMES.length, 'all: none has replaced another')
  for (const connection of app.connections()) await connection.join(connection.user as string)
  for (const name of HOSTILE_NAMES) {
    t.same(await app.hub.user(name).send(`user ${name}`), { delivered: 1, nodes: [app.hub.nodeId], stored: false }, JSON.stringify(name))
    t.match(await app.hub.room(name).publish(`room ${name}`), { sent: 1, offset: 1 })
    t.same(await app.hub.room(name).presence(), [{ user: name, connections: 1 }])
  }
  for (const [i, client] of clients.entries()) t.same([await client.text(), await client.text()], [`user ${HOSTILE_NAMES[i]}`, `room ${HOSTILE_NAMES[i]}`])
  for (const [i, client] of clients.entries()) {
    t.equal(await app.hub.user(HOSTILE_NAMES[i] as string).kick(), 1)
    t.match(await client.ended(), { code: 4501 })
  }
  await until(() => app.size === 0, 'the end of all')
  await app.assertBaseline()
})

const BAD_NAMES: Record<string, unknown> = {
  'the empty string': '',
  '256 bytes': 'x'.repeat(256),
  '256 bytes in fewer characters': 'é'.repeat(128),
  '1 MiB': 'x'.repeat(MIB),
  '1 MiB of separators': ':{}\n'.repeat(MIB / 4),
  'a lone surrogate': '\ud800',
  'a lone surrogate in the middle': 'a\udfffb',
  'a number': 7,
  'an object that says it is a name': { toString: () => 'ann', length: 3 },
  'a list': ['ann']
}

t.test('69: names that are none: a clear error of one line, whatever they are', async (t) => {
  const { connected, handlers } = lives()
  const bad = Object.values(BAD_NAMES)
  const app = await TestApp.start(t, {
    ...handlers,
    identify: ({ headers }) => {
      const index = Number(headers['x-as'])
      return index < 0 ? {} : { [String(headers['x-field'])]: bad[index] } as Identity
    }
  })
  await app.connect(as(-1))
  await until(() => connected.length === 1, 'a connection')
  const [connection] = connected as [Connection]
  const short = ({ message }: Error): boolean => message.length < 200 && !message.includes('\n')
  const calls: Array<[string, (name: string) => unknown]> = [
    ['hub.room', (name) => app.hub.room(name)],
    ['hub.user', (name) => app.hub.user(name)],
    ['join', async (name) => await connection.join(name)],
    ['leave', async (name) => { await connection.leave(name) }]
  ]
  for (const [what, name] of Object.entries(BAD_NAMES)) {
    for (const [method, call] of calls) {
      const error = await (async () => await call(name as string))().then(() => null, (error: Error & { code: string }) => error)
      t.equal(error?.code, 'FST_HUB_INVALID_NAME', `${method} of ${what}`)
      t.ok(error !== null && short(error), 'short')
    }
  }
  for (const [index, what] of Object.keys(BAD_NAMES).entries()) {
    for (const field of ['user', 'device']) {
      const { status, body } = await app.request({ headers: { 'x-as': String(index), 'x-field': field } })
      t.equal(status, 500, `${field}: ${what}`)
      const answer = JSON.parse(body) as Error & { code: string }
      t.equal(answer.code, 'FST_HUB_INVALID_IDENTITY')
      t.ok(short(answer), 'short')
    }
  }
  t.equal(connected.length, 1)
  t.equal(connection.state, 'open')
  await app.assertBaseline({ errors: bad.length * 2 })
})
