import { setTimeout as sleep } from 'node:timers/promises'

const PATIENCE_MS = 60_000
const STEP_MS = 5

/** Waits for a condition. How long that may take is no claim of the test, only the end of its patience. */
export async function until (condition: () => boolean, what: string | (() => string)): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${typeof what === 'string' ? what : what()}`)
    await sleep(STEP_MS)
  }
}

/** A promise and the function that resolves it. */
export function gate<T = void> (): { promise: Promise<T>, open: (value: T) => void } {
  let open: (value: T) => void = () => {}
  const promise = new Promise<T>((resolve) => { open = resolve })
  return { promise, open }
}

/** Lets every promise that can settle do so. */
export async function settled (): Promise<void> {
  await new Promise<void>((resolve) => { setImmediate(resolve) })
}
