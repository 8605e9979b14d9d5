import fc from 'fast-check'
import type { Sockets } from './sockets.js'

/** Publications of one run, and how often its sockets are cut meanwhile. */
export const MESSAGES = 500
const CUTS = 10

/** How far a speaker goes beyond what it has heard, of itself and of the other: a conversation, so that who is away misses some of it, and not all. */
export const AHEAD = 8
/** Publications between two cuts when the second is overdue: one speaker goes from so far behind the other to so far ahead, until that is back. */
const BETWEEN = 2 * AHEAD + 4

/** When to cut: at which publications, and how many turns of the event loop after the server has heard of it. */
export type Cuts = ReadonlyMap<number, number>

/** The environment variable CUTS_SEED repeats a run. @returns ten random moments, and what they come from */
export function randomCuts (): { seed: number, cuts: Cuts } {
  const seed = Number(process.env['CUTS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  // Not the last ones: a cut waits until both are there, and takes place at a publication.
  const at = fc.uniqueArray(fc.integer({ min: 1, max: MESSAGES - CUTS * BETWEEN }), { minLength: CUTS, maxLength: CUTS })
  const turns = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: CUTS, maxLength: CUTS })
  const [sample] = fc.sample(fc.noBias(fc.tuple(at, turns)), { seed, numRuns: 1 })
  if (sample === undefined) throw new Error('nothing sampled')
  return { seed, cuts: new Map(sample[0].map((n, i) => [n, sample[1][i] ?? 0])) }
}

/** Cuts the sockets of two speakers at those publications, or at the first one after it that finds both of them there. */
export class Cutter {
  /** Publications that the application was asked for. */
  asked = 0
  done = 0
  readonly #cuts: Cuts
  readonly #sockets: Sockets
  readonly #isThere: () => boolean
  readonly #due: number[] = []
  #isCutting = false

  /** @param isThere whether both are in the room */
  constructor (cuts: Cuts, sockets: Sockets, isThere: () => boolean) {
    this.#cuts = cuts
    this.#sockets = sockets
    this.#isThere = isThere
  }

  /** For `authorize.publish`. */
  readonly onPublish = (): true => {
    const turns = this.#cuts.get(++this.asked)
    if (turns !== undefined) this.#due.push(turns)
    if (!this.#isCutting && this.#sockets.size === 2 && this.#isThere()) {
      const next = this.#due.shift()
      if (next !== undefined) this.#after(next)
    }
    return true
  }

  #after (turns: number): void {
    this.#isCutting = turns > 0
    if (turns > 0) {
      setImmediate(() => { this.#after(turns - 1) })
    } else {
      this.done++
      this.#sockets.cut()
    }
  }
}
