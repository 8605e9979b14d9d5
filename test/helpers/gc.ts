import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
/** Collects all garbage. WeakRefs that were read in this turn of the event loop still hold. */
export const gc = runInNewContext('gc') as () => void

/** Bytes of live objects. */
export function heapUsed (): number {
  gc()
  return process.memoryUsage().heapUsed
}
