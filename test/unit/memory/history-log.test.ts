import fc from 'fast-check'
import t from 'tap'
import type { HistoryPolicy, Publication } from '../../../lib/core/ports.js'
import { HistoryLog } from '../../../lib/memory/history-log.js'
import { gc } from '../../helpers/gc.js'
import { settled } from '../../helpers/until.js'

/** The same with an Array that holds all there ever was. */
class Model {
  readonly #policy: HistoryPolicy
  readonly #all: Array<{ publication: Publication, since: number }> = []

  constructor (policy: HistoryPolicy) { this.#policy = policy }

  get last (): number { return this.#all.length }

  add (publication: Publication, now: number): void { this.#all.push({ publication, since: now }) }

  kept (now: number): Publication[] {
    const { mode, size, ttl } = this.#policy
    return this.#all.slice(-(mode === 'cache' ? 1 : size)).filter(({ since }) => ttl === 0 || now - since < ttl).map(({ publication }) => publication)
  }

  after (offset: number, now: number): Publication[] | null {
    const kept = this.kept(now)
    const found = kept.filter((publication) => publication.offset > offset)
    return found.length === this.last - offset || (this.#policy.mode === 'cache' && found.length > 0) ? found : null
  }
}

const same = (a: readonly Publication[] | null, b: readonly Publication[] | null): boolean => a === null || b === null ? a === b : a.length === b.length && a.every((one, i) => one === b[i])
const publication = (offset: number): Publication => ({ offset, payload: `${offset}`, options: {} })

t.test('it is as an Array that is searched', (t) => {
  const policies = fc.record({ size: fc.integer({ min: 1, max: 40 }), ttl: fc.constantFrom(0, 1, 10, 50), mode: fc.constantFrom('log' as const, 'log' as const, 'cache' as const) })
  const steps = fc.array(fc.record({ wait: fc.constantFrom(0, 0, 0, 1, 5, 60), add: fc.integer({ min: 0, max: 30 }), back: fc.nat({ max: 50 }), limit: fc.nat({ max: 12 }) }), { maxLength: 20, size: 'max' })
  fc.assert(fc.property(policies, steps, (policy, steps) => {
    const log = new HistoryLog(policy)
    const model = new Model(policy)
    let now = 7
    for (const { wait, add, back, limit } of steps) {
      now += wait
      for (let i = 0; i < add; i++) {
        const next = publication(model.last + 1)
        log.add(next, now)
        model.add(next, now)
      }
      log.expire(now)
      const kept = model.kept(now)
      const offset = Math.max(0, model.last - back)
      const take = (list: Publication[] | null): Publication[] | null => limit === 0 || list === null ? list : list.slice(0, limit)
      if (log.size !== kept.length || !same(log.all(limit), take(kept)) || !same(log.after(offset, limit), take(model.after(offset, now)))) return false
    }
    return true
  }), { numRuns: 300 })
  t.end()
})

t.test('what has gone is not held in memory', async (t) => {
  const log = new HistoryLog({ size: 10, ttl: 100, mode: 'log' })
  const add = (offset: number): WeakRef<Publication> => {
    const next = publication(offset)
    log.add(next, offset)
    return new WeakRef(next)
  }
  const refs = Array.from({ length: 25 }, (_, i) => add(i + 1))
  const alive = async (): Promise<number> => {
    await settled()
    gc()
    return refs.filter((ref) => ref.deref() !== undefined).length
  }
  t.equal(await alive(), 10)
  log.expire(120)
  t.equal(await alive(), 5)
  log.expire(200)
  t.equal(await alive(), 0)
  t.same(log.after(25, 0), [], 'it still knows where it was')
})
