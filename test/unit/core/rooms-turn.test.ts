import t, { type Test } from 'tap'
import type { StreamPosition } from '../../../lib/core/types.js'
import type { HubConnection } from '../../../lib/core/connection.js'
import { publicationsBehind, ToldBroker } from '../../helpers/told-broker.js'
import type { V1Peer } from '../../helpers/v1-peer.js'
import { startV1, type V1World } from '../../helpers/v1-world.js'

/* The log of a room goes on in another epoch: nothing is lost, and whoever keeps a position is told. */

interface Turning { readonly fake: V1World, readonly broker: ToldBroker }

/** Room `a`, in which `e1` goes on in `e2`. @param size what is kept of it @param answer what the log has; default: all, of where the room stands */
async function start (t: Test, { size = 100, mode = 'log' as 'log' | 'cache', offset = 5, answer = undefined as ConstructorParameters<typeof ToldBroker>[2] | undefined } = {}): Promise<Turning> {
  const made: ToldBroker[] = []
  const all = (since: StreamPosition | undefined): Awaited<ReturnType<ToldBroker['history']>> => {
    const position = (made[0] as ToldBroker).position
    return { position, publications: publicationsBehind(mode === 'cache' ? position.offset - 1 : since?.offset ?? 0, position.offset), recovered: true }
  }
  const fake = await startV1(t, {
    history: { size, mode },
    broker: (listener) => {
      const broker = new ToldBroker(listener, { epoch: 'e1', offset }, answer ?? all)
      made.push(broker)
      return broker
    }
  })
  return { fake, broker: made[0] as ToldBroker }
}

const joinedOf = (peer: V1Peer): object[] => peer.of('joined').map(({ op: _, room: __, id: ___, ...rest }) => rest)

t.test('members are told where the room is, behind what came before; those of one codec with one frame', async (t) => {
  const { fake, broker } = await start(t)
  const peers = [await fake.peer(), await fake.peer()]
  const other = await fake.peer({ subprotocol: 'hub.v1.msgpack' })
  for (const peer of peers) peer.say({ op: 'join', room: 'a' })
  await (other.peer.connection as HubConnection).join('a')
  await fake.turn()
  const before = other.peer.messages.length
  const frames = [...peers, other].map(({ peer }) => {
    const connection = peer.connection as HubConnection
    const control = connection.control.bind(connection)
    const sent: unknown[] = []
    connection.control = (frame, inOrder) => {
      sent.push(frame, inOrder)
      control(frame, inOrder)
    }
    return sent
  })
  broker.deliver(2)
  broker.turn('e2')
  broker.deliver(1)
  await fake.turn()
  for (const peer of peers) {
    t.same(joinedOf(peer), [{ epoch: 'e1', offset: 5, head: 5 }, { epoch: 'e2', offset: 7, head: 7, recovered: true }])
    t.same(peer.told.slice(-4).map((message) => message.op === 'message' ? message.offset : message.op), [6, 7, 'joined', 8])
    t.same(peer.log('a'), [6, 7, 8].map(String))
  }
  t.equal(other.peer.messages.length - before, 4)
  t.equal(frames[0]?.[0], frames[1]?.[0])
  t.not(frames[0]?.[0], frames[2]?.[0])
  t.same(frames.map(([, inOrder]) => inOrder), [true, true, true])
})

t.test('raw members are told nothing, and a room in which nobody is needs no word', async (t) => {
  const { fake, broker } = await start(t)
  fake.hub.onEpoch('nobody is here', 'e2')
  const { connection, transport } = await fake.connect()
  await connection.join('a')
  broker.turn('e2')
  await fake.turn()
  t.same(transport.messages, [])
  t.same(await connection.join('a'), { epoch: 'e2', offset: 5 })
})

t.test('who is behind is told where it is itself, also while its socket takes nothing, and misses nothing', async (t) => {
  const { fake, broker } = await start(t)
  const slow = await fake.peer({ kernel: 100 })
  slow.say({ op: 'join', room: 'a' })
  await fake.turn()
  slow.peer.stuck()
  for (let i = 0; i < 15; i++) {
    broker.deliver(1)
    await fake.turn()
  }
  t.equal(fake.hub.stats().recovery.behind, 1)
  broker.turn('e2')
  broker.deliver(1)
  slow.peer.read()
  await fake.advance(100)
  const [, turned] = slow.of('joined')
  t.match(turned, { epoch: 'e2', head: 20, recovered: true })
  const at = slow.told.findIndex((message) => message === turned || (message.op === 'joined' && message.epoch === 'e2'))
  const last = slow.told.slice(0, at).findLast(({ op }) => op === 'message')
  t.equal(turned?.offset, (last as { offset?: number } | undefined)?.offset, 'where it is')
  t.same(slow.log('a'), publicationsBehind(5, 21).map(({ payload }) => payload))
  t.equal(broker.asked.every((since) => since?.epoch === 'e2'), true)
  t.same(slow.of('gap'), [])
})

t.test('a join from a position of an earlier epoch, under way while the room turns, is recovered in the later one', async (t) => {
  const answers: Array<() => void> = []
  const { fake, broker } = await start(t, {
    answer: async (since) => {
      const answer = { position: broker.position, publications: publicationsBehind(since?.offset ?? 0, broker.position.offset), recovered: true }
      await new Promise<void>((resolve) => { answers.push(resolve) })
      return answer
    }
  })
  const peer = await fake.peer()
  peer.say({ op: 'join', room: 'a', since: { epoch: 'e1', offset: 3 } })
  await fake.turn()
  broker.turn('e2')
  broker.deliver(1)
  for (let i = 0; i < 4; i++) {
    for (const answer of answers.splice(0)) answer()
    await fake.turn()
  }
  t.same(joinedOf(peer), [{ epoch: 'e2', offset: 3, head: 6, recovered: true }])
  t.same(peer.log('a'), ['4', '5', '6'])
})

t.test('a log that is of a later epoch than the node has heard of is asked again, until that has turned', async (t) => {
  let questions = 0
  const { fake, broker } = await start(t, {
    answer: (since) => {
      // The node hears of it with the answer.
      if (++questions === 2) broker.turn('e2')
      return { position: { epoch: 'e2', offset: 5 }, publications: publicationsBehind(since?.offset ?? 0, 5), recovered: true }
    }
  })
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: 'e2', offset: 4 } }), { epoch: 'e2', offset: 4, recovered: true })
  await fake.turn()
  t.same(peer.log('a'), ['5'])
  t.match(fake.hub.stats().recovery, { recovered: 1, unrecovered: 0 })
})

t.test('a room in cache mode: the latest counts, and the word of another epoch says so', async (t) => {
  const { fake, broker } = await start(t, { size: 1, mode: 'cache' })
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: 'e1', offset: 5 } }), { offset: 5, cache: true, recovered: true })
  broker.turn('e2')
  broker.deliver(1)
  await fake.turn()
  t.same(joinedOf(peer)[1], { epoch: 'e2', offset: 5, head: 5, recovered: true, cache: true })
  const late = await fake.peer()
  t.match(await late.ask({ op: 'join', room: 'a', since: { epoch: 'e1', offset: 2 } }), { epoch: 'e2', offset: 5, cache: true, recovered: true })
  await fake.turn()
  t.same([peer.log('a'), late.log('a')], [['6'], ['6']])
})

t.test('a room without history is recovered from an earlier epoch by who has missed nothing', async (t) => {
  const { fake, broker } = await start(t, {
    size: 0,
    answer: (since) => ({ position: broker.position, publications: [], recovered: since?.offset === broker.position.offset })
  })
  const first = await fake.peer()
  await first.ask({ op: 'join', room: 'a' })
  broker.turn('e2')
  for (const [offset, recovered] of [[5, true], [4, false]] as const) {
    const peer = await fake.peer()
    t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: 'e1', offset } }), { epoch: 'e2', offset: 5, recovered })
  }
})

t.test('without history: what comes while the position is asked for is missed, and that is said', async (t) => {
  const { fake, broker } = await start(t, {
    size: 0,
    answer: () => {
      const { position } = broker
      // The bus is faster than the answer.
      broker.deliver(2)
      return { position, publications: [], recovered: true }
    }
  })
  const first = await fake.peer()
  await first.ask({ op: 'join', room: 'a' })
  broker.turn('e2')
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: 'e1', offset: 5 } }), { epoch: 'e2', offset: 7, recovered: false })
})

t.test('without history: a node that has heard less than the position is behind, and nothing of it is missed', async (t) => {
  const { fake, broker } = await start(t, { size: 0, answer: () => ({ position: { epoch: 'e2', offset: 7 }, publications: [], recovered: true }) })
  const first = await fake.peer()
  await first.ask({ op: 'join', room: 'a' })
  broker.turn('e2')
  const peer = await fake.peer()
  t.match(await peer.ask({ op: 'join', room: 'a', since: { epoch: 'e1', offset: 7 } }), { epoch: 'e2', offset: 5, recovered: true })
})
