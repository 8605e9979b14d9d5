import { FST_HUB_BROKER_UNAVAILABLE } from '../errors.js'

/** Publications of a room that wait for those before them. */
const MAX_BEHIND = 1_000

interface Sent {
  /** How many have neither gone to the members here nor failed. */
  open: number
  /** Whoever goes behind them. */
  behind: Array<() => void>
}

/**
 * The order of this node's publications in rooms without history: those that Redis was sent, and those that go to the members here
 * without it while it is away. Whether the node has members then or not: they come and go.
 */
export class SendOrder {
  readonly #rooms = new Map<string, Sent>()

  /** Redis is sent one. */
  sent (room: string): void {
    const sent = this.#rooms.get(room)
    if (sent === undefined) this.#rooms.set(room, { open: 1, behind: [] })
    else sent.open++
  }

  /** It has gone to the members here, or never will. */
  settled (room: string): void {
    const sent = this.#rooms.get(room) as Sent
    if (--sent.open > 0) return
    this.#rooms.delete(room)
    for (const go of sent.behind) go()
  }

  /** Whether the next one must wait. @param isAway whether Redis is: otherwise it keeps the order */
  isBehind (room: string, isAway: boolean): boolean {
    const sent = this.#rooms.get(room)
    return sent !== undefined && (isAway || sent.behind.length > 0)
  }

  /**
   * Calls when those before have settled: at once, or whoever publishes in that moment would overtake it.
   * @param go MUST NOT throw
   * @throws FST_HUB_BROKER_UNAVAILABLE when too many wait for that
   */
  turn (room: string, go: () => void): void {
    const { behind } = this.#rooms.get(room) as Sent
    if (behind.length >= MAX_BEHIND) throw new FST_HUB_BROKER_UNAVAILABLE(`${MAX_BEHIND} publications wait in the room ${JSON.stringify(room)} already`)
    behind.push(go)
  }
}
