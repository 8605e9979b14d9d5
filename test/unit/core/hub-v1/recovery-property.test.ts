import fc from 'fast-check'
import t from 'tap'
import { historyPolicies } from '../../../../lib/core/history-policy.js'
import { TestClock } from '../../../../lib/testing/test-clock.js'
import type { ServerMessage } from '../../../../lib/protocol/hub-v1/schema.js'
import { startHub, type FakeHub } from '../../../helpers/fake-hub.js'
import { LateBroker } from '../../../helpers/late-broker.js'
import { V1Peer } from '../../../helpers/v1-peer.js'

const ROOMS = ['a', 'b'] as const
const PEERS = 3

type Room = typeof ROOMS[number]
type Step =
  | { do: 'publish', room: Room, times: number, except: number }
  | { do: 'join' | 'rejoin' | 'leave', room: Room, who: number }
  | { do: 'stick' | 'read' | 'drop' | 'reconnect', who: number }
  | { do: 'turn' | 'answer' }
  | { do: 'deliver', count: number }

const who = fc.nat(PEERS - 1)
const room = fc.constantFrom(...ROOMS)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), room, times: fc.integer({ min: 1, max: 50 }), except: fc.integer({ min: -3, max: PEERS - 1 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('join' as const, 'rejoin' as const, 'leave' as const), room, who }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('stick' as const, 'read' as const, 'drop' as const, 'reconnect' as const), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('turn' as const, 'answer' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('deliver' as const), count: fc.integer({ min: 1, max: 40 }) }) }
)

/** A client as docs/protocol.md has it: keeps positions, and believes nothing. */
class Client {
  v1: V1Peer | null = null
  /** Where it is in each room that it wants. */
  readonly positions = new Map<Room, { epoch: string, offset: number }>()
  readonly #wanted = new Set<Room>()
  /** What it has asked for, and not been told yet: an answer is about that. */
  readonly #asked = new Map<Room, number[]>()
  #read = 0
  /** Where no log is kept, a slow reader loses what its queue does not hold. */
  readonly #mayMiss: boolean

  constructor (mayMiss: boolean) {
    this.#mayMiss = mayMiss
  }

  async connect (fake: FakeHub): Promise<void> {
    if (this.v1 !== null) return
    this.#read = 0
    this.#asked.clear()
    const rooms = Object.fromEntries([...this.positions].filter(([name]) => this.#wanted.has(name)))
    for (const name of this.#wanted) this.#asked.set(name, [this.positions.get(name)?.offset ?? -1])
    this.v1 = await V1Peer.connect(fake.hub, fake.clock, { kernel: 300, resume: { rooms } })
    for (const name of this.#wanted) if (!this.positions.has(name)) this.v1.say({ op: 'join', room: name })
  }

  drop (): void {
    this.take()
    this.v1?.peer.reset()
    this.v1 = null
  }

  join (name: Room, isAgain: boolean): void {
    if (this.v1 === null || this.#wanted.has(name) !== isAgain) return
    this.take()
    this.#wanted.add(name)
    const since = this.positions.get(name)
    this.#asked.set(name, [...this.#asked.get(name) ?? [], since?.offset ?? -1])
    this.v1.say({ op: 'join', room: name, ...since === undefined ? {} : { since } })
  }

  leave (name: Room): void {
    if (this.v1 === null || !this.#wanted.delete(name)) return
    this.v1.say({ op: 'leave', room: name })
  }

  /** Reads what has come, and checks each offset. */
  take (): void {
    const told = this.v1?.told ?? []
    for (const message of told.slice(this.#read)) this.#check(message)
    this.#read = told.length
  }

  #check (message: ServerMessage): void {
    if (message.op === 'error') throw new Error(JSON.stringify(message))
    if (!('room' in message) || message.op === 'left' || message.op === 'presence') return
    const name = message.room as Room
    const position = this.positions.get(name)
    if (message.op === 'joined' || message.op === 'gap') {
      if (message.op === 'joined') {
        const since = this.#asked.get(name)?.shift()
        if (since === undefined) throw new Error('joined, and nobody has asked')
        if (message.recovered === true && message.offset !== since) throw new Error(`recovered, but from ${message.offset} instead of ${since}`)
        if (message.recovered === undefined && since !== -1) throw new Error('not said whether it is recovered')
      }
      if (message.op === 'gap' && message.since.offset !== position?.offset) throw new Error(`a gap since ${message.since.offset}, but the last was ${position?.offset}`)
      this.positions.set(name, { epoch: message.epoch, offset: message.offset })
      return
    }
    const { offset = 0 } = message
    // Where no log is kept, an answer may overtake what waits in the queue.
    if (this.#mayMiss && position !== undefined && offset <= position.offset) return
    if (position === undefined || (!this.#mayMiss && offset !== position.offset + 1)) throw new Error(`${name}: ${offset} after ${position?.offset}`)
    if (message.op === 'message' && message.data !== `${name}${offset}`) throw new Error(`${name}: ${String(message.data)} at ${offset}`)
    position.offset = offset
  }

  /** When nothing is left to be done: it has all there is. */
  settled (heads: Record<Room, number>): void {
    this.take()
    for (const name of this.#wanted) {
      const position = this.positions.get(name)
      const isThere = position !== undefined && (this.#mayMiss ? position.offset <= heads[name] : position.offset === heads[name])
      if (!isThere) throw new Error(`${name}: at ${position?.offset ?? 'nowhere'}, the room is at ${heads[name]}`)
    }
  }
}

async function run (steps: readonly Step[], size: number, late: boolean): Promise<void> {
  let broker: LateBroker | null = null
  const clock = new TestClock()
  const fake = await startHub({
    clock,
    history: { size },
    queue: { maxMessages: 3, maxBytes: 400 },
    ...late ? { broker: (listener) => (broker = new LateBroker(clock, listener, historyPolicies({ size, ttl: 0, mode: 'log', rooms: {} }))) } : {}
  })
  const clients = Array.from({ length: PEERS }, () => new Client(size === 0))
  const heads: Record<Room, number> = { a: 0, b: 0 }
  const all = async (): Promise<void> => {
    for (let i = 0; i < 60; i++) {
      (broker as LateBroker | null)?.answer();
      (broker as LateBroker | null)?.deliver()
      for (const { v1 } of clients) v1?.peer.read()
      await fake.clock.settle()
    }
  }
  for (const client of clients) {
    await client.connect(fake)
    for (const name of ROOMS) client.join(name, false)
  }
  for (const step of steps) {
    switch (step.do) {
      case 'publish': {
        const except = clients[step.except]?.v1?.peer.connection
        for (let i = 0; i < step.times; i++) {
          await fake.hub.room(step.room).publish(`${step.room}${++heads[step.room]}`, except === undefined ? {} : { except })
        }
        break
      }
      case 'join': clients[step.who]?.join(step.room, false); break
      case 'rejoin': clients[step.who]?.join(step.room, true); break
      case 'leave': clients[step.who]?.leave(step.room); break
      case 'stick': clients[step.who]?.v1?.peer.stuck(); break
      case 'read': clients[step.who]?.v1?.peer.read(); break
      case 'drop': clients[step.who]?.drop(); break
      case 'reconnect': await clients[step.who]?.connect(fake); break
      case 'turn': await fake.clock.settle(); break
      case 'answer': (broker as LateBroker | null)?.answer(); break
      case 'deliver': (broker as LateBroker | null)?.deliver(step.count)
    }
    for (const client of clients) client.take()
  }
  await all()
  for (const client of clients) await client.connect(fake)
  await all()
  for (const client of clients) client.settled(heads)
  for (const client of clients) client.drop()
  await fake.clock.settle()
  if (fake.hub.size > 0 || fake.hub.rooms.size > 0) throw new Error('something is left')
  if (fake.errors.length > 0) throw new Error(String(fake.errors[0]))
}

for (const late of [false, true]) {
  for (const size of [1_000, 40, 0]) {
    t.test(`${late ? 'a broker far away' : 'the memory broker'}, ${size} kept: whatever happens, each gets each publication once and in order, or is told`, async () => {
      await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }), async (steps) => { await run(steps, size, late) }), { numRuns: 30 })
    })
  }
}
