import t, { type Test } from 'tap'
import { EVERYONE } from '../../lib/core/ports.js'
import type { Hub } from '../../lib/index.js'
import type { ServerMessage } from '../../lib/protocol/hub-v1/schema.js'
import { connect, type ConnectOptions, type TestPeer } from '../../lib/testing/index.js'
import { lossyRedis } from '../helpers/lossy-redis.js'
import { positionOf, publishNumbers } from '../helpers/publishing.js'
import { redisApps } from '../helpers/redis-apps.js'
import { range, redisWorld, type BrokerNode } from '../helpers/redis-world.js'
import { TcpProxy } from '../helpers/tcp-proxy.js'
import { until } from '../helpers/until.js'

/*
 * Redis loses what it had confirmed, and the only node that knows of that is cut off until others have published: no place
 * means two things (docs/guarantees.md, Order).
 */

interface Position { epoch: string, offset: number }

type Told = ServerMessage<'joined'> | ServerMessage<'message'> | ServerMessage<'gap'>

const told = ({ messages }: TestPeer): Told[] => messages.map((message) => message.json<ServerMessage>())
  .filter((message): message is Told => message.op === 'joined' || message.op === 'message' || message.op === 'gap')

const gapsOf = (peer: TestPeer): Array<ServerMessage<'gap'>> => told(peer).filter((message): message is ServerMessage<'gap'> => message.op === 'gap')

/**
 * What it got, as 'offset data', 'gap', or 'on' where the log goes on in another epoch, by the rules that a client may check: each message
 * behind the one before it, and another epoch by no other word than these two.
 */
function logOf (t: Test, peer: TestPeer): { position: Position, log: string[] } {
  const log: string[] = []
  let position: Position = { epoch: '', offset: -1 }
  for (const message of told(peer)) {
    if (message.op === 'message') {
      t.equal(message.offset, position.offset + 1, 'without a hole, none twice')
      position = { ...position, offset: message.offset ?? -1 }
      log.push(`${position.offset} ${String(message.data)}`)
    } else {
      if (message.op === 'gap') log.push('gap')
      else if (position.offset >= 0) {
        log.push('on')
        t.same([message.offset, message.recovered, message.id], [position.offset, true, undefined])
      }
      position = { epoch: message.epoch, offset: message.offset }
    }
  }
  return { position, log }
}

/** In the room, by the application or by what it has named. */
async function member (hub: Hub, options: ConnectOptions = {}): Promise<TestPeer> {
  const peer = await connect(hub, { subprotocol: 'hub.v1.json', kernel: Infinity, ...options })
  if (options.resume === undefined) await peer.connection.join('room')
  await until(() => told(peer).length > 0, () => `joined, got ${peer.messages.map((message) => message.text()).join()}`)
  return peer
}

/** The answer to who comes with a position. */
async function resumed (hub: Hub, since: Position): Promise<{ recovered: boolean | undefined, peer: TestPeer }> {
  const peer = await member(hub, { resume: { rooms: { room: since } } })
  const [joined] = told(peer) as [ServerMessage<'joined'>]
  return { recovered: joined.recovered, peer }
}

const publishAll = async (hub: Hub, texts: readonly string[]): Promise<Position[]> => await Promise.all(texts.map(async (text) => positionOf(await hub.room('room').publish(text))))

/** What is published next does not come to the nodes behind these, and what they say does not arrive. */
function deafen (proxies: readonly TcpProxy[]): void { for (const proxy of proxies) for (const direction of ['up', 'down'] as const) proxy.hold(direction) }

// They mostly wait.
t.jobs = 4

for (const others of [1, 2, 5]) {
  t.test(`FAULTS 54: two that only a node knows which is cut off are lost, and others publish ${others}: in an epoch of their own, and when it is back all are told`, async (t) => {
    const { server, save, lose } = await lossyRedis(t)
    const proxies = await Promise.all(range(0, 2).map(async () => await TcpProxy.start(t, () => server.port)))
    const [network, ...rest] = proxies as [TcpProxy, ...TcpProxy[]]
    const { hubs } = await redisApps(t, 3, (i) => ({ url: `redis://127.0.0.1:${(proxies[i] as TcpProxy).port}`, timeout: 9_000 }), { authorize: { join: () => true } })
    const [alone, near, far] = hubs as [Hub, Hub, Hub]
    const peers = await Promise.all(hubs.map(async (hub) => await member(hub)))
    const [ann, bob, cid] = peers as [TestPeer, TestPeer, TestPeer]
    const { epoch } = (await publishAll(alone, ['1', '2', '3']))[2] as Position
    for (const peer of peers) await until(() => told(peer).length === 4, 'what is before')
    save()
    deafen(rest)
    t.same(await publishAll(alone, ['lost 4', 'lost 5']), [{ epoch, offset: 4 }, { epoch, offset: 5 }])
    network.lose()
    await lose()
    for (const proxy of rest) proxy.cut()

    const head = 3 + others
    const texts = range(4, head).map((i) => `other ${i}`)
    const log = texts.map((text, i) => `${i + 4} ${text}`)
    const places = await publishAll(near, texts)
    const { epoch: between } = places[0] as Position
    t.not(between, epoch)
    t.same(places, range(4, head).map((offset) => ({ epoch: between, offset })))
    for (const peer of [bob, cid]) {
      await until(() => told(peer).length === 5 + others, 'the others')
      t.same(logOf(t, peer), { position: { epoch: between, offset: head }, log: ['1 1', '2 2', '3 3', 'on', ...log] })
    }
    t.same(logOf(t, ann).log, ['1 1', '2 2', '3 3', '4 lost 4', '5 lost 5'])
    // Who moves from there before it is back: what it has had is nowhere any more.
    for (const offset of [4, 5]) {
      const { recovered, peer } = await resumed(far, { epoch, offset })
      t.equal(recovered, false)
      t.same(logOf(t, peer), { position: { epoch: between, offset: head }, log: [] })
    }
    // And who has had nothing of it gets the others.
    const { recovered, peer: dan } = await resumed(far, { epoch, offset: 3 })
    t.equal(recovered, true)
    await until(() => told(dan).length === 1 + others, 'what is behind')
    t.same(logOf(t, dan), { position: { epoch: between, offset: head }, log })

    network.restore()
    network.cut()
    const all = [ann, bob, cid, dan]
    for (const peer of all) await until(() => gapsOf(peer).length > 0, 'the gap')
    const { epoch: next } = gapsOf(bob)[0] as Position
    t.notOk([epoch, between].includes(next))
    for (const peer of all) t.match(gapsOf(peer), [{ since: { epoch: peer === ann ? epoch : between }, epoch: next, offset: head }], 'one')
    for (const hub of hubs) {
      for (const since of [...range(0, 5).map((offset) => ({ epoch, offset })), ...places]) {
        const late = await resumed(hub, since)
        t.equal(late.recovered, false, `${since.offset} of before`)
        t.same(logOf(t, late.peer), { position: { epoch: next, offset: head }, log: [] })
      }
    }

    await Promise.all(hubs.map(async (hub, i) => await publishAll(hub, [`after ${2 * i}`, `after ${2 * i + 1}`])))
    const ends = all.map((peer) => async (): Promise<string[]> => {
      await until(() => told(peer).at(-1)?.offset === head + 6, 'the last')
      const { position, log } = logOf(t, peer)
      t.same(position, { epoch: next, offset: head + 6 })
      return log.slice(log.indexOf('gap') + 1)
    })
    const [after, ...same] = await Promise.all(ends.map(async (end) => await end()))
    t.equal(after?.length, 6)
    for (const one of same) t.same(one, after)
    const { recovered: isKept, peer: eve } = await resumed(alone, { epoch: next, offset: head })
    t.equal(isKept, true)
    await until(() => told(eve).length === 7, 'all of it')
    t.same(logOf(t, eve).log, after)
  })
}

/** How two that a node alone knows of are lost, and who is told: all, or those that come with a position of those two. */
const ENDS = [
  ['it has left the room', 'all are told'],
  ['it has only published there', 'all are told'],
  ['it has left the room, and reads no bus of it, as on a Redis Cluster', 'all are told'],
  ['the bus reaches no more to what it knows', 'all are told'],
  ['it does not come back', 'who had them is told']
] as const

for (const [how, end] of ENDS) {
  t.test(`FAULTS 54: two that only a node knows which is cut off are lost: ${how}: ${end}`, async (t) => {
    const { server, save, lose } = await lossyRedis(t)
    const { nodes, redis } = await redisWorld(t, { server, timeout: 20_000 })
    const [alone, other] = nodes as [BrokerNode, BrokerNode]
    const { keys } = alone.node
    const isBack = how !== 'it does not come back'
    // As a hub does: without a cluster there is one bus.
    if (!how.endsWith('Redis Cluster')) await alone.broker.subscribe(EVERYONE)
    for (const { broker } of how === 'it has only published there' ? [other] : nodes) await broker.subscribe('room')
    const { epoch } = await publishNumbers(alone.broker, 'room', 1, 3)
    await other.listener.atLeast(3)
    save()
    deafen([other.proxy])
    await publishNumbers(alone.broker, 'room', 4, 5)
    if (how.startsWith('it has left')) await alone.broker.unsubscribe('room')
    alone.proxy.lose()
    await lose()
    other.proxy.cut()
    const between = await publishNumbers(other.broker, 'room', 14, 18)
    t.equal(between.offset, 8)
    t.not(between.epoch, epoch)
    t.same(other.listener.epochs, [{ room: 'room', epoch: between.epoch }])
    if (how.startsWith('the bus')) await redis.xtrim(keys.bus(keys.busOf('room')), 'MAXLEN', 1)
    if (isBack) {
      alone.proxy.restore()
      alone.proxy.cut()
      await until(() => other.listener.gaps.length > 0, 'the gap')
    }
    const last = await publishNumbers((isBack ? alone : other).broker, 'room', 19, 19)
    await other.listener.atLeast(9)
    t.equal(last.offset, 9)
    t.equal(last.epoch === between.epoch, !isBack)
    t.match(other.listener.gaps, isBack ? [{ from: between, to: { epoch: last.epoch, offset: 8 } }] : [])
    // What has taken their places is not given to who has had 4 and 5.
    const asked = await Promise.all([5, 3].map(async (offset) => await other.broker.history('room', { epoch, offset }, 0)))
    t.same(asked.map(({ recovered, publications }) => [recovered, publications.map(({ payload }) => payload)]), [[false, []], isBack ? [false, []] : [true, ['14', '15', '16', '17', '18', '19']]])
  })
}
