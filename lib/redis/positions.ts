import type { StreamPosition } from '../core/types.js'
import { Gathered } from './gathered.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import type { Publisher, RoomTerms } from './publisher.js'
import { Script } from './script.js'

/** Rooms that one script looks at: it keeps Redis from everybody else meanwhile. */
const AT_ONCE = 256

interface Question {
  readonly room: string
  /** What Redis is told of, other than what is known by the terms of the room. */
  readonly doubted: StreamPosition | null
}

const position = new Script('epoch-shared', 'position')

/** Where a room stands, and the number of the latest entry of the bus then, or of the one that brought it there: all that the bus has up to it is at or before that position. */
export interface Standing {
  readonly position: StreamPosition
  readonly sequence: number
}

/** The same beside what this node knew. */
export interface Comparison extends Standing {
  /** The epoch that this node knew; '' when it knew none. */
  readonly known: string
  /** Up to which offset positions of that epoch are positions of the room; -1: none is. */
  readonly held: number
  /** The offset behind which the first epoch began that the one of `position` goes on from. */
  readonly start: number
}

/** Where rooms stand: one question to Redis for all of one turn of the event loop that are on one bus. */
export class Positions {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #termsOf: (room: string) => RoomTerms
  readonly #newEpoch: Publisher['newEpoch']
  readonly #questions = new Gathered<Question, Comparison>(queueMicrotask, AT_ONCE, async (partition, questions) => await this.#ask(partition, questions))

  constructor (link: RedisLink, keys: Keys, termsOf: (room: string) => RoomTerms, newEpoch: Publisher['newEpoch']) {
    this.#link = link
    this.#keys = keys
    this.#termsOf = termsOf
    this.#newEpoch = newEpoch
  }

  /**
   * @param doubted told in place of what this node knows of the room
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
   */
  async ask (room: string, doubted: StreamPosition | null = null): Promise<Comparison> { return await this.#questions.ask(this.#keys.busOf(room), { room, doubted }) }

  async #ask (partition: number, questions: readonly Question[]): Promise<Comparison[]> {
    const keys = [this.#keys.batches(partition), ...questions.flatMap(({ room }) => [this.#keys.meta(room), this.#keys.log(room)])]
    const terms = questions.map(({ room, doubted }) => {
      const { known, lasting } = this.#termsOf(room)
      return { known: doubted ?? known, lasting }
    })
    const args = terms.flatMap(({ known, lasting }) => [known?.epoch ?? '', known?.offset ?? 0, lasting])
    const [latest, ...places] = await this.#link.run(position, keys, [this.#newEpoch(), ...args]) as readonly Buffer[]
    const sequence = Number(String(latest))
    return terms.map(({ known }, i) => {
      const [epoch, offset, held, start] = places.slice(4 * i, 4 * i + 4).map(String) as [string, string, string, string]
      return { position: { epoch, offset: Number(offset) }, sequence, known: known?.epoch ?? '', held: Number(held), start: Number(start) }
    })
  }
}
