import { RawClient } from './raw-client.js'

/*
 * A process of its own: opens as many WebSockets as its arguments say, tells when all are open, and, when all have
 * ended, how many ended with which close code.
 */

const [port, count] = process.argv.slice(2).map(Number) as [number, number]
const BATCH = 200
const codes: Record<string, number> = {}
const ended: Array<Promise<void>> = []
for (let i = 0; i < count; i += BATCH) {
  await Promise.all(Array.from({ length: Math.min(BATCH, count - i) }, async () => {
    const client = await RawClient.connect(port)
    await client.upgrade()
    ended.push(client.ended().then(({ code, tcp }) => {
      const end = `${code} ${tcp}`
      codes[end] = (codes[end] ?? 0) + 1
    }))
  }))
}
process.send?.({ open: ended.length })
await Promise.all(ended)
process.send?.({ codes }, () => { process.disconnect() })
