import { noFanOut } from '../../core/fan-out.js'
import { keep } from '../../core/keep.js'
import type { Broker, BrokerListener, FanOut, Publication, PublicationOptions } from '../../core/ports.js'
import type { PublishResult, StreamPosition } from '../../core/types.js'
import { MemoryBroker, type MemoryBus } from '../../memory/broker.js'
import type { Payload } from '../../protocol/frame.js'
import type { Link } from './link.js'

/** A publication of the node itself. */
interface Own { local: FanOut | Promise<FanOut> }

/** The broker of a node, behind its link: publications of others come over that, its own at once, or behind those of the same room. */
export class LinkedBroker implements Broker, BrokerListener {
  readonly #link: Link
  readonly #bus: MemoryBus
  readonly #listener: BrokerListener
  readonly #inner: MemoryBroker
  /** Rooms that the node is subscribed to, and what it has heard of each. */
  readonly #heard = new Map<string, StreamPosition>()
  /** The one that the bus fans out now. */
  #own: Own | null = null

  constructor (link: Link, bus: MemoryBus, listener: BrokerListener) {
    this.#link = link
    this.#bus = bus
    this.#listener = listener
    this.#inner = new MemoryBroker(bus, this)
  }

  async subscribe (room: string): Promise<StreamPosition> {
    const heard = this.#heard.get(room)
    if (heard !== undefined) return { ...heard }
    this.#link.check()
    const subscribed = this.#inner.subscribe(room)
    // At once: the next call may be a publication.
    const { epoch, offset } = this.#bus.room(room)
    this.#heard.set(room, { epoch, offset })
    return await subscribed
  }

  async unsubscribe (room: string): Promise<void> {
    this.#heard.delete(room)
    this.#link.drop(topicOf(room))
    await this.#inner.unsubscribe(room)
  }

  async publish (room: string, payload: Payload, options: PublicationOptions): Promise<PublishResult> {
    if (this.#link.isCut && options.ephemeral === true) return { ...this.#deliver(room, { offset: 0, payload, options }) }
    this.#link.check()
    const own: Own = this.#own = { local: noFanOut() }
    const published = this.#inner.publish(room, payload, options)
    this.#own = null
    return { ...await published, ...await own.local }
  }

  async history (room: string, since: StreamPosition | undefined, limit: number): ReturnType<Broker['history']> {
    this.#link.check()
    return await this.#inner.history(room, since, limit)
  }

  async close (): Promise<void> { await this.#inner.close() }

  /* ---- BrokerListener ---- */

  onPublications (room: string, publications: readonly Publication[]): FanOut {
    const topic = topicOf(room)
    for (const publication of publications) {
      const own = this.#own
      if (own !== null && (publication.offset === 0 || !this.#link.waits(topic))) {
        own.local = this.#deliver(room, publication)
        continue
      }
      // The application's to change before it comes.
      const kept = { ...publication, payload: keep(publication.payload) }
      if (own === null) this.#link.arrive(topic, () => { this.#deliver(room, kept) }, publication.offset === 0)
      else own.local = new Promise((resolve) => { this.#link.follow(topic, () => { resolve(this.#deliver(room, kept)) }, () => { resolve(noFanOut()) }) })
    }
    return noFanOut()
  }

  onGap (room: string, from: StreamPosition, to: StreamPosition): void { this.#listener.onGap(room, from, to) }

  onEpoch (): void { /* No log in memory outlives its server. */ }

  #deliver (room: string, publication: Publication): FanOut {
    const heard = this.#heard.get(room)
    const { offset } = publication
    if (heard === undefined || (offset > 0 && offset <= heard.offset)) return noFanOut()
    if (offset > 0) {
      if (offset > heard.offset + 1) this.onGap(room, { ...heard }, { epoch: heard.epoch, offset: offset - 1 })
      heard.offset = offset
    }
    return this.#listener.onPublications(room, [publication])
  }
}

function topicOf (room: string): string { return `room ${room}` }
