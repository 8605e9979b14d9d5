import type { Test } from 'tap'
import type { Presence, PresenceListener } from '../../lib/core/ports.js'
import { FakePresenceListener } from '../helpers/fake-presence-listener.js'

/** Views of one presence, as several nodes have them. Each test gets its own, empty. */
export interface PresenceWorld {
  node (listener: PresenceListener): Presence | Promise<Presence>
  /** Lets that many milliseconds pass, or a little more. */
  advance (ms: number): Promise<void>
  close (): void | Promise<void>
}

/** @param interval milliseconds between two diffs of a room */
export type PresenceFactory = (interval: number) => PresenceWorld | Promise<PresenceWorld>

export interface PresenceNode { presence: Presence, listener: FakePresenceListener }

export interface PresenceNodes { one: PresenceNode, other: PresenceNode, advance: PresenceWorld['advance'] }

/** Milliseconds: enough for what a test does at once. */
export const INTERVAL = 400

/** Two nodes for one test, which closes them. */
export async function presenceNodes (t: Test, factory: PresenceFactory): Promise<PresenceNodes> {
  const world = await factory(INTERVAL)
  const node = async (): Promise<PresenceNode> => {
    const listener = new FakePresenceListener()
    return { presence: await world.node(listener), listener }
  }
  const [one, other] = [await node(), await node()]
  t.teardown(async () => {
    await one.presence.close()
    await other.presence.close()
    await world.close()
  })
  return { one, other, advance: async (ms) => { await world.advance(ms) } }
}
