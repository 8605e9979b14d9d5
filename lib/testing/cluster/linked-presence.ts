import type { Presence, PresenceDiff, PresenceListener } from '../../core/ports.js'
import { MemoryPresence, type MemoryPresenceStore } from '../../memory/presence.js'
import type { Link } from './link.js'

/** The presence of a node, behind its link: who comes and goes while it is cut is told to the others when it is not any more. */
export class LinkedPresence implements Presence, PresenceListener {
  readonly #link: Link
  readonly #listener: PresenceListener
  readonly #inner: MemoryPresence

  constructor (link: Link, store: MemoryPresenceStore, listener: PresenceListener) {
    this.#link = link
    this.#listener = listener
    this.#inner = new MemoryPresence(store, this)
  }

  async enter (room: string, user: string, connectionId: string): Promise<void> {
    await this.#link.tell(async () => { await this.#inner.enter(room, user, connectionId) })
  }

  async leave (room: string, user: string, connectionId: string): Promise<void> {
    await this.#link.tell(async () => { await this.#inner.leave(room, user, connectionId) })
  }

  async list (room: string): ReturnType<Presence['list']> {
    this.#link.check()
    return await this.#inner.list(room)
  }

  async setState (room: string, user: string, key: string, ttl: number): Promise<void> {
    this.#link.check()
    await this.#inner.setState(room, user, key, ttl)
  }

  async states (room: string): ReturnType<Presence['states']> {
    this.#link.check()
    return await this.#inner.states(room)
  }

  async watch (room: string): Promise<void> {
    this.#link.check()
    await this.#inner.watch(room)
  }

  async unwatch (room: string): Promise<void> {
    this.#link.drop(topicOf(room))
    await this.#inner.unwatch(room)
  }

  async close (): Promise<void> { await this.#inner.close() }

  /* ---- PresenceListener ---- */

  onPresence (room: string, diff: PresenceDiff): void {
    this.#link.arrive(topicOf(room), () => { this.#listener.onPresence(room, diff) }, true)
  }
}

function topicOf (room: string): string { return `presence ${room}` }
