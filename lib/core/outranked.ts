import type { RemovalCause } from './ports.js'

/** What a Directory rejects a claim with that is not done for good: later steps of its order stand against it. */
export class Outranked extends Error {
  readonly by: RemovalCause

  constructor (by: RemovalCause) {
    super(by === 'kick' ? 'the user was kicked while its client was asked' : 'a login that came later is there')
    this.by = by
  }
}
