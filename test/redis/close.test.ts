import t from 'tap'
import type { Hub } from '../../lib/index.js'
import { systemClock } from '../../lib/core/clock.js'
import { Condition } from '../../lib/redis/condition.js'
import type { RedisInboxes } from '../../lib/redis/inboxes.js'
import { RedisPorts } from '../../lib/redis/redis-ports.js'
import { connect, TestClock } from '../../lib/testing/index.js'
import { redisApps } from '../helpers/redis-apps.js'
import { askRedis } from '../helpers/redis-asked.js'
import { ownPrefix, RedisServer } from '../helpers/redis-server.js'
import { gate, until } from '../helpers/until.js'

/** What would keep this process alive. */
const resources = (): string[] => process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name.startsWith('TCP')).sort()

for (const sessions of ['many', 'single-per-user'] as const) {
  t.test(`close has one deadline for all that is to be said to a Redis that answers nothing (sessions: ${sessions})`, async (t) => {
    const server = await RedisServer.start(t)
    const before = resources()
    // By this clock no call is ever too late: none may be waited for until it is.
    const { apps: [app], hubs: [hub] } = await redisApps(t, 1, { url: server.url }, { clock: new TestClock(), sessions, authorize: { join: () => true } })
    for (let i = 0; i < 20; i++) {
      const peer = await connect(hub as Hub, { user: `user ${i}`, kernel: Infinity, subprotocol: 'hub.v1.json' })
      await peer.connection.join(`room ${i}`)
      peer.send(JSON.stringify({ op: 'presence', room: `room ${i}`, watch: true, id: 1 }))
      await until(() => peer.messages.some((message) => message.json<{ id?: number }>().id === 1), 'the answer')
    }
    server.signal('SIGSTOP')
    const late = [hub?.room('room 0').publish('late'), hub?.user('user 0').kick(), hub?.user('nobody').send('late', { offline: {} })]
    const told = Promise.all(late.map(async (call) => { await t.rejects(call as Promise<unknown>, { code: 'FST_HUB_BROKER_UNAVAILABLE' }) }))
    await app?.close()
    await told
    await until(() => resources().join() === before.join(), () => `nothing to be left, but there is ${resources().join()}`)
  })
}

for (const [moment, left] of [['Redis has just come', ''], ['its inbox is being made', 'config']] as const) {
  t.test(`a node that closes while it is being entered, as ${moment}, is not there afterwards`, async (t) => {
    const server = await RedisServer.start(t)
    await server.stop()
    const before = resources()
    const prefix = ownPrefix()
    const [back, begun] = [gate(), gate()]
    const log = { info: () => {}, warn: () => {}, error: () => {} }
    const { found } = Condition.prototype
    Condition.prototype.found = back.open
    t.teardown(() => { Condition.prototype.found = found })
    const policy = { size: 0, ttl: 0, mode: 'log' } as const
    const parts = await RedisPorts.create({ url: server.url, client: undefined, nodeId: 'node', clock: systemClock, log, prefix, partitions: 4, timeout: 5_000, stream: { maxLength: 100, ttl: 60_000 }, policyOf: () => policy, presenceInterval: 1_000, maxOffline: 0 })
    const inboxes = parts.ports.inboxes('node', { onNodeMessage: () => {} }) as RedisInboxes
    const start = inboxes.start.bind(inboxes)
    inboxes.start = async () => {
      begun.open()
      await start()
    }
    await parts.begin(true)
    await server.start()
    await (left === '' ? back : begun).promise
    await parts.close(async () => { await inboxes.close() })
    t.same(await askRedis(server, 'KEYS', `${prefix}:*`), left === '' ? '' : `${prefix}:${left}`)
    await until(() => resources().join() === before.join(), () => `nothing to be left, but there is ${resources().join()}`)
  })
}
