// What the servers of the comparison share. Each is a program: `node servers/x.js [--deflate]`. It prints { port } as a line, and
// answers each line of its standard input with one of JSON. A message says what the server has to do with it, by its first byte.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'

/** Of a message's head: what to do, a room of two digits, a number of eight. */
export const HEAD_BYTES = 11
export const BROADCAST = 'b'.charCodeAt(0)
export const ROOM = 'r'.charCodeAt(0)
export const ECHO = 'e'.charCodeAt(0)
export const JSON_OBJECT = 'j'.charCodeAt(0)

export const DEFLATE = process.argv.includes('--deflate')
export const HEARTBEAT = process.argv.includes('--heartbeat')
/** permessage-deflate of all servers that let one choose. */
export const DEFLATE_LEVEL = 1
export const MAX_MESSAGE_BYTES = 128 * 1024
export const MAX_CONNECTIONS = 19_900

/** The room that the client of an upgrade asks for: `?room=07`. */
export function roomOf (url) {
  return /[?&]room=(\d\d)/.exec(url ?? '')?.[1] ?? null
}

/** Of a message that asks for a room. */
export function targetOf (bytes) {
  return String.fromCharCode(bytes[1], bytes[2])
}

/** What an application publishes as an object: about half a kilobyte of JSON. */
export function toObject (bytes) {
  return {
    id: Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString('latin1'),
    symbol: 'ACME',
    price: 101.25,
    bids: Array.from({ length: 10 }, (_, i) => ({ price: 101 - i / 4, size: 100 * (i + 1) })),
    asks: Array.from({ length: 10 }, (_, i) => ({ price: 101.5 + i / 4, size: 100 * (i + 1) }))
  }
}

/** Tells the port, and obeys. */
export function ready (port) {
  let delay = null
  const tasks = {
    gc: () => {
      for (let i = 0; i < 4; i++) globalThis.gc()
      return {}
    },
    watch: () => {
      delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      return {}
    },
    // It counts the millisecond between two looks, too.
    delay: () => {
      delay.disable()
      return { max: Math.max(0, delay.max / 1e6 - 1) }
    }
  }
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (task) => { console.log(JSON.stringify(tasks[task]())) })
  lines.on('close', () => { process.exit() })
  console.log(JSON.stringify({ port }))
}
