import type { TestClock } from '../../lib/testing/index.js'

/** How often calls to Redis are looked through. */
const STEP_MS = 250

/**
 * Lets time pass by a clock of the test's own, in steps: what is asked of Redis in one is answered before the next, or it would be late.
 * @param turn resolves when that has been
 */
export async function pass (clock: TestClock, ms: number, turn: () => Promise<unknown>): Promise<void> {
  for (let passed = 0; passed < ms; passed += STEP_MS) {
    await clock.advance(STEP_MS)
    await turn()
  }
}
