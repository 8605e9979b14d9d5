import fc from 'fast-check'

/** Publications of one run, and how often its sockets are cut meanwhile. */
export const MESSAGES = 500
const CUTS = 10

/** When to cut: at which publications, and how many turns of the event loop after the server has heard of it. */
export type Cuts = ReadonlyMap<number, number>

/** The environment variable CUTS_SEED repeats a run. @returns ten random moments, and what they come from */
export function randomCuts (): { seed: number, cuts: Cuts } {
  const seed = Number(process.env['CUTS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const at = fc.uniqueArray(fc.integer({ min: 1, max: MESSAGES }), { minLength: CUTS, maxLength: CUTS })
  const turns = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: CUTS, maxLength: CUTS })
  const [sample] = fc.sample(fc.noBias(fc.tuple(at, turns)), { seed, numRuns: 1 })
  if (sample === undefined) throw new Error('nothing sampled')
  return { seed, cuts: new Map(sample[0].map((n, i) => [n, sample[1][i] ?? 0])) }
}

/** Counts the publications that the server is asked for, and cuts at those of `cuts`. For `authorize.publish`. */
export function cutter (cuts: Cuts, cut: () => void): { readonly asked: number, readonly done: number, onPublish: () => true } {
  const after = (turns: number): void => {
    if (turns === 0) {
      counter.done++
      cut()
    } else {
      setImmediate(after, turns - 1)
    }
  }
  const counter = {
    asked: 0,
    done: 0,
    onPublish: (): true => {
      const turns = cuts.get(++counter.asked)
      if (turns !== undefined) after(turns)
      return true
    }
  }
  return counter
}
