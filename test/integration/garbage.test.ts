import fc from 'fast-check'
import t from 'tap'
import { garbage, type CodecName } from '../helpers/garbage.js'
import { GarbageClient } from '../helpers/garbage-client.js'
import { remains, startGarbageServer } from '../helpers/garbage-server.js'
import { until } from '../helpers/until.js'

const MESSAGES = 2_000
const BATCH = 100

for (const codec of ['hub.v1.json', 'hub.v1.msgpack'] satisfies CodecName[]) {
  t.test(`${codec}: ${MESSAGES} messages, good, bad and neither: each id is answered once, and nothing is left of them`, async (t) => {
    const seed = Number(process.env['GARBAGE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    t.comment(`GARBAGE_SEED=${seed}`)
    const { app, hub, url } = await startGarbageServer()
    t.teardown(async () => { await app.close() })
    const before = remains(hub)
    const client = new GarbageClient(url, codec)
    const messages = fc.sample(garbage(codec), { seed, numRuns: MESSAGES })
    for (let i = 0; i < messages.length; i += BATCH) await client.offer(messages.slice(i, i + BATCH))
    await client.offerOtherKind(Buffer.from('{"op":"ping"}'))

    t.strictSame(client.problems, [])
    const { offered, answered, refused, closed } = client.tally
    t.comment(JSON.stringify(client.tally))
    t.equal(offered, MESSAGES + 1)
    t.ok(answered > MESSAGES / 5 && refused > MESSAGES / 5 && closed > 0, 'something of everything was among them')
    await client.close()
    await until(() => JSON.stringify(remains(hub)) === JSON.stringify(before), () => `the baseline: ${JSON.stringify({ before, now: remains(hub) })}`)
    t.pass('connections, rooms, sessions and timers are as before')
  })
}
