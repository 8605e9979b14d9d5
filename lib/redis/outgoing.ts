import { noFanOut } from '../core/fan-out.js'
import type { FanOut, PublicationOptions } from '../core/ports.js'
import type { PublishResult } from '../core/types.js'
import type { Payload } from '../protocol/frame.js'
import { encodeRecord } from './publication-codec.js'

/**
 * A publication of this node on its way: to Redis, and in its turn to the members here. One object and one promise for each, and what
 * becomes of it told by calls: a chain of promises is most of what a publication costs (bench/cluster.js).
 */
export class Outgoing {
  readonly room: string
  /** As Redis and other nodes get it. */
  readonly record: Buffer
  publication: { offset: number, readonly payload: Payload, readonly options: PublicationOptions }
  /** Of its position; '' until Redis has given it one. */
  epoch = ''
  /** As `now` of the link: until then somebody waits, first for Redis, and then for its turn. */
  deadline = Infinity
  /** Whether it does not wait for Redis any more: the Publisher's. */
  isAnswered = false
  /** Whether nobody waits for anything any more. */
  isSettled = false
  /** Told when it has gone to the members here, or never will. */
  onSettled: ((room: string) => void) | null = null
  readonly #resolve: (result: PublishResult) => void
  readonly #reject: (error: unknown) => void

  /** @param payload one that may be kept; of an ephemeral publication, any */
  constructor (room: string, payload: Payload, options: PublicationOptions, resolve: (result: PublishResult) => void, reject: (error: unknown) => void) {
    this.room = room
    this.record = encodeRecord(payload, options)
    this.publication = { offset: 0, payload, options }
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Redis has given it this place. */
  confirmed (epoch: string, offset: number): void {
    this.epoch = epoch
    this.publication.offset = offset
  }

  /** It has gone to the members here, or never will: then nobody is counted. */
  done (local: FanOut): void {
    if (!this.#settle()) return
    const { sent, queued, dropped, rejected } = local
    this.#resolve(this.epoch === '' ? { sent, queued, dropped, rejected } : { epoch: this.epoch, offset: this.publication.offset, sent, queued, dropped, rejected })
  }

  /** It has gone to the members here, and takes no place: what waits for Redis is its record. What it was made of may be part of much more. */
  gone (local: FanOut): void {
    this.done(local)
    this.publication = { offset: 0, payload: '', options: {} }
  }

  /** Its turn has not come in time: it goes all the same, when what is before it has come. */
  late (): void { this.done(noFanOut()) }

  failed (error: unknown): void {
    if (this.#settle()) this.#reject(error)
  }

  #settle (): boolean {
    if (this.isSettled) return false
    this.isSettled = true
    this.onSettled?.(this.room)
    return true
  }
}
