// A node of the soak: its broker, the network to it, and all that it was told.
import { setTimeout as pause } from 'node:timers/promises'
import { systemClock } from '../../build/lib/core/clock.js'
import { RedisBroker } from '../../build/lib/redis/broker.js'
import { Bus } from '../../build/lib/redis/bus.js'
import { connectionsTo } from '../../build/lib/redis/connections.js'
import { isRefusal } from '../../build/lib/redis/failures.js'
import { RedisLink } from '../../build/lib/redis/link.js'
import { StreamReader } from '../../build/lib/redis/stream-reader.js'
import { TcpProxy } from '../../build/test/helpers/tcp-proxy.js'

const AGAIN_MS = 50

/** What a node was told of a room while it was subscribed. */
export class View {
  /** The position with which it began; null: that is not known yet. */
  start = null
  /** In order: `{ at, offset, text }`, `{ at, from, to }`, or `{ at, epoch }` where the log goes on in that one. */
  events = []
  #epoch = null
  #offset = null

  constructor (node, room) {
    this.node = node
    this.room = room
  }

  add (event) {
    this.events.push(event)
    this.#epoch = event.to?.epoch ?? event.epoch ?? this.#epoch
    this.#offset = event.to?.offset ?? event.offset ?? this.#offset
  }

  /** Where it stands. */
  get position () {
    return this.start === null ? null : { epoch: this.#epoch ?? this.start.epoch, offset: this.#offset ?? this.start.offset }
  }
}

export class SoakNode {
  /** All views ever, and by room the one that is told now. */
  views = []
  current = new Map()
  /** What was published: `{ node, room, text, number, at, ended, position, local, error, isRefused }`. */
  published = []
  /** Ephemeral publications that it has heard: `{ room, text }`. Those of rooms without history that went to this node only. */
  ephemeral = []
  local = []
  /** Answers to questions for history: `{ room, since, limit, answer, least }`. */
  questions = []
  /** What is wrong at once. */
  faults = []
  open = new Set()
  isClosed = false
  #now
  #parts
  #heard = new Set()
  #numbers = new Map()
  #busy = new Set()

  /** @throws when Redis is away (as a rejection) */
  static async start (t, { name, keys, port, policyOf, timeout, busLength, now }) {
    const node = new SoakNode()
    node.name = name
    node.#now = now
    node.proxy = await TcpProxy.start(t, port)
    const link = new RedisLink(await connectionsTo({ url: `redis://127.0.0.1:${node.proxy.port}` }), systemClock, timeout)
    const fault = (what, error) => { node.faults.push(`${name} ${what}: ${error.stack}`) }
    const reader = new StreamReader(link, name, systemClock, { onTrimmed: () => {}, onFailure: (_key, _fields, error) => { fault('could not handle an entry', error) } })
    const bus = new Bus(link, reader, keys, systemClock, (error) => { fault('parked an entry', error) })
    const broker = new RedisBroker({ link, bus, keys, nodeId: name, clock: systemClock, policyOf, timeout, busLength, onError: (error) => { fault('reported', error) } }, {
      onPublications: (room, publications) => node.#onPublications(room, publications),
      onGap: (room, from, to) => { node.#tell(room, { from: { ...from }, to: { ...to } }) },
      onEpoch: (room, epoch) => { node.#tell(room, { epoch }) }
    })
    node.#parts = { broker, reader, link }
    node.policyOf = policyOf
    try {
      await link.connect()
    } catch (error) {
      await node.close()
      throw error
    }
    return node
  }

  get isReady () { return this.#parts.link.isReady }

  /** Until it is, or the node ends. */
  async subscribe (room) {
    await this.#alone(room, async () => {
      while (!this.isClosed && !this.current.has(room)) {
        const view = new View(this.name, room)
        this.current.set(room, view)
        try {
          view.start = await this.#parts.broker.subscribe(room)
          this.views.push(view)
        } catch (error) {
          this.current.delete(room)
          this.#expectUnavailable('subscribe', error)
          if (view.events.length > 0) this.faults.push(`${this.name} was told of ${room}, and could not subscribe`)
          await pause(AGAIN_MS)
        }
      }
    })
  }

  async unsubscribe (room) {
    await this.#alone(room, async () => {
      await this.#parts.broker.unsubscribe(room)
      this.current.delete(room)
    })
  }

  async publish (room) {
    const number = (this.#numbers.get(room) ?? 0) + 1
    this.#numbers.set(room, number)
    const entry = { node: this.name, room, text: `${this.name}.${number} in ${room}`, number, at: this.#now(), ended: null, position: null, local: null, error: null, isRefused: false }
    this.published.push(entry)
    const isHere = this.current.get(room)?.start != null
    return await this.#track(async () => {
      try {
        const { epoch, offset, ...local } = await this.#parts.broker.publish(room, entry.text, {})
        const position = epoch === undefined ? null : { epoch, offset }
        entry.position = position
        entry.local = local
        if (local.sent > 1) this.faults.push(`${this.name} was said to have had ${entry.text} ${local.sent} times`)
        if (isHere && local.sent === 1 && !this.#heard.has(entry.text)) this.faults.push(`${this.name} was said to have had ${entry.text}, and has not`)
        if (position === null && this.policyOf(room).size > 0) this.faults.push(`${entry.text} has no position, and a room with history`)
      } catch (error) {
        this.#expectUnavailable('publish', error)
        entry.error = error
        entry.isRefused = isRefusal(error)
      }
      entry.ended = this.#now()
      return entry
    })
  }

  /** @param room '' is everyone */
  sendEphemeral (room) {
    const key = `ephemeral ${room}`
    const number = (this.#numbers.get(key) ?? 0) + 1
    this.#numbers.set(key, number)
    return this.#track(async () => { await this.#parts.broker.publish(room, `${this.name}.${number} for ${room}`, { ephemeral: true }) })
  }

  /** @param least the latest position that was confirmed to anybody before this */
  async ask (room, since, limit, least) {
    await this.#track(async () => {
      try {
        this.questions.push({ node: this.name, at: this.#now(), room, since, limit, least, answer: await this.#parts.broker.history(room, since, limit) })
      } catch (error) {
        this.#expectUnavailable('history', error)
      }
    })
  }

  async hearEveryone () { await this.#parts.broker.subscribe('') }

  async close () {
    this.isClosed = true
    const { broker, reader, link } = this.#parts
    await broker.close()
    this.current.clear()
    await reader.close()
    await link.close()
  }

  async #alone (room, step) {
    if (this.#busy.has(room)) return
    this.#busy.add(room)
    await this.#track(step).finally(() => { this.#busy.delete(room) })
  }

  async #track (step) {
    const promise = step()
    this.open.add(promise)
    return await promise.finally(() => { this.open.delete(promise) })
  }

  #onPublications (room, publications) {
    for (const { offset, payload: text, options } of publications) {
      if (options.ephemeral === true) this.ephemeral.push({ room, text })
      else if (offset === 0) this.local.push({ room, text })
      else this.#tell(room, { offset, text })
      this.#heard.add(text)
    }
    return { sent: publications.length, queued: 0, dropped: 0, rejected: 0 }
  }

  #tell (room, event) {
    const view = this.current.get(room)
    if (view === undefined) this.faults.push(`${this.name} was told of ${room}, in which it is not: ${JSON.stringify(event)}`)
    else view.add({ at: this.#now(), ...event })
  }

  #expectUnavailable (what, error) {
    if (error.code !== 'FST_HUB_BROKER_UNAVAILABLE') this.faults.push(`${what} of ${this.name}: ${error.stack}`)
  }
}
