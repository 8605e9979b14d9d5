import t from 'tap'
import { ClientWorld, codecs, refusal } from '../helpers/client-world.js'
import { gate, until } from '../helpers/until.js'

for (const codec of codecs) {
  t.test(`${codec.name}: a server that goes says so; a new one on the same port has lost the log, which is told`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { drain: { spread: 300, timeout: 5_000 } } })
    const clients = [1, 2, 3].map(() => world.client(codec))
    const goodbyes: number[] = []
    const gaps: unknown[] = []
    const joined: Array<boolean | undefined> = []
    const heard: unknown[] = []
    for (const { hub: client } of clients) {
      client.on('goodbye', ({ reconnectIn }) => { goodbyes.push(reconnectIn) })
      const room = client.room('news')
      room.on('gap', ({ since, position }) => { gaps.push([since?.offset, position.offset]) })
      room.on('joined', ({ recovered }) => { joined.push(recovered) })
      room.on('message', (data) => { heard.push(data) })
      await room.join()
    }
    for (const n of [1, 2]) await world.hub.room('news').publish(n)
    await until(() => heard.length === 6, 'both publications at all')
    const before = clients[0]?.hub.room('news').position?.epoch

    await world.stop()
    t.strictSame(goodbyes.toSorted((a, b) => a - b), [100, 200, 300], 'each has a time of its own to come back')
    await until(() => clients.every(({ codes }) => codes.length > 0), 'the close codes')
    t.strictSame(clients.map(({ codes }) => codes[0]), [1012, 1012, 1012])
    await world.listen()
    await Promise.all(clients.map(async (client) => { await client.opened(2) }))
    t.strictSame(joined, [undefined, undefined, undefined, false, false, false])
    t.strictSame(gaps, [[2, 0], [2, 0], [2, 0]], 'what was there is to be loaded anew')
    t.not(clients[0]?.hub.room('news').position?.epoch, before)
    await world.hub.room('news').publish(3)
    await until(() => heard.length === 9, 'the first of the new log')
    t.strictSame(heard.slice(6), [3, 3, 3])
  })

  t.test(`${codec.name}: what the server did, and could not answer, is done once`, async (t) => {
    let runs = 0
    const world = await ClientWorld.start(t, { setUp: (hub) => { hub.event('count', { handler: () => ++runs }) } })
    const client = world.client(codec, { user: 'ada' })
    const room = client.hub.room('lobby')
    const heard: unknown[] = []
    room.on('message', (data) => { heard.push(data) })
    await room.join()
    await client.opened()

    world.proxy.hold('down')
    const counted = client.hub.emit('count')
    const published = room.publish('once')
    await until(() => runs === 1 && world.hub.stats().messages.received === 4, 'the server')
    world.proxy.cut()
    t.equal(await counted, 1, 'the answer of before')
    t.match(await published, { offset: 1 })
    await client.opened(2)
    t.equal(runs, 1)
    t.equal((await world.hub.room('lobby').history()).publications.length, 1)
    t.strictSame(heard, ['once'])
    t.equal(await client.hub.emit('count'), 2, 'another one is another one')
  })

  t.test(`${codec.name}: what the server is still doing when its client comes back is answered there`, async (t) => {
    let runs = 0
    const { promise, open } = gate<string>()
    const world = await ClientWorld.start(t, {
      setUp: (hub) => {
        hub.event('slow', {
          handler: async () => {
            runs++
            return await promise
          }
        })
      }
    })
    const client = world.client(codec)
    const answer = client.hub.emit('slow')
    await until(() => runs === 1, 'the handler')
    world.sockets.cut()
    await until(() => client.connections === 2 && world.hub.stats().messages.received === 4, 'the same request on the next connection')
    open('done')
    t.equal(await answer, 'done')
    t.equal(runs, 1)
  })

  t.test(`${codec.name}: a connection that is half-open is ended when its client comes back`, async (t) => {
    let runs = 0
    const codes: number[] = []
    const world = await ClientWorld.start(t, {
      hub: { deadlines: { close: 100 }, onDisconnect: (_, { code }) => { codes.push(code) } },
      setUp: (hub) => { hub.event('count', { handler: () => ++runs }) }
    })
    const client = world.client(codec, { user: 'ada' })
    t.equal(await client.hub.emit('count'), 1)
    world.proxy.hold('down')
    const counted = client.hub.emit('count')
    await until(() => runs === 2, 'the server')
    world.proxy.halfOpen()
    t.equal(await counted, 2)
    await until(() => codes.length === 1, 'the end of the older one')
    t.strictSame(codes, [4502])
    t.equal(world.hub.size, 1)
    t.equal(client.hub.state.is, 'open')
  })

  t.test(`${codec.name}: without a session nobody knows whether it was done`, async (t) => {
    let runs = 0
    const world = await ClientWorld.start(t, { hub: { resume: { ttl: 0 } }, setUp: (hub) => { hub.event('count', { handler: () => ++runs }) } })
    const [careful, other] = [world.client(codec, {}, { outbox: { resend: false } }), world.client(codec)]
    await Promise.all([careful.opened(), other.opened()])
    world.proxy.hold('down')
    const refused = refusal(careful.hub.emit('count'))
    const counted = other.hub.emit('count')
    await until(() => runs === 2, 'the server')
    world.proxy.cut()
    t.match(await refused, { code: 'uncertain' })
    t.equal(await counted, 3, 'done twice')
  })

  t.test(`${codec.name}: who does not read falls behind, and gets the log from where it is`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { deadlines: { write: 0 } } })
    const client = world.client(codec)
    const room = client.hub.room('feed')
    const heard: number[] = []
    let gaps = 0
    room.on('message', (data) => { heard.push((data as { n: number }).n) })
    room.on('gap', () => { gaps++ })
    await room.join()
    world.proxy.hold('down')
    let sent = 0
    const text = 'x'.repeat(32 * 1024)
    const { recovery } = world.hub.stats()
    t.equal(recovery.behind, 0)
    // A hundred more than the queue would hold.
    for (let behind = 0; behind < 164; behind += world.hub.stats().recovery.behind) await world.hub.room('feed').publish({ n: ++sent, text })
    t.equal(world.hub.stats().recovery.behind, 1)
    t.equal(world.hub.stats().messages.dropped, 0)
    world.proxy.release('down')
    await until(() => heard.length === sent, () => `${sent} publications, got ${heard.length}`)
    t.strictSame(heard, Array.from({ length: sent }, (_, i) => i + 1))
    t.equal(gaps, 0)
    t.equal(client.connections, 1)
    await world.hub.room('feed').publish({ n: ++sent, text })
    await until(() => heard.length === sent, 'a live one')
  })

  t.test(`${codec.name}: who is behind by more than the log has is told`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { deadlines: { write: 0 }, history: { size: 10 } } })
    const client = world.client(codec)
    const room = client.hub.room('feed')
    const heard: number[] = []
    const gaps: Array<{ since: number | undefined, to: number }> = []
    room.on('message', (data) => { heard.push((data as { n: number }).n) })
    room.on('gap', ({ since, position }) => { gaps.push({ since: since?.offset, to: position.offset }) })
    await room.join()
    world.proxy.hold('down')
    let sent = 0
    const text = 'x'.repeat(32 * 1024)
    for (let behind = 0; behind < 164; behind += world.hub.stats().recovery.behind) await world.hub.room('feed').publish({ n: ++sent, text })
    world.proxy.release('down')
    await until(() => room.position?.offset === sent, () => `the end of the log: ${room.position?.offset} of ${sent}`)
    const [gap] = gaps
    t.equal(gaps.length, 1)
    t.strictSame(heard, Array.from({ length: sent }, (_, i) => i + 1).filter((n) => n <= (gap?.since ?? 0) || n > (gap?.to ?? 0)), 'all but those of the gap')
    t.equal(world.hub.stats().recovery.gaps, 1)
  })

  t.test(`${codec.name}: a server that says nothing any more is left for a new connection`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { heartbeat: { interval: 100, timeout: 60_000 } } })
    const client = world.client(codec, {}, { pongTimeout: 100 })
    const heard: unknown[] = []
    client.hub.room('lobby').on('message', (data) => { heard.push(data) })
    await client.hub.room('lobby').join()
    await client.opened()
    world.proxy.hold('down')
    await world.hub.room('lobby').publish('unheard')
    await client.opened(2)
    t.match(client.states.find(({ is }) => is === 'waiting'), { code: 1006, reason: 'silent server' })
    t.strictSame(heard, ['unheard'])
  })

  t.test(`${codec.name}: expired credentials are renewed, and the client comes back with new ones`, async (t) => {
    const seen: Array<string | undefined> = []
    const world = await ClientWorld.start(t, {
      hub: {
        identify: ({ query }) => {
          const { token } = query as { token?: string }
          seen.push(token)
          return { user: 'ada', ...token === 'token 1' ? { expiresAt: Date.now() + 300 } : {} }
        }
      }
    })
    let asked = 0
    const client = world.client(codec, {}, { token: async () => `token ${++asked}` })
    const room = client.hub.room('lobby')
    const heard: unknown[] = []
    room.on('message', (data) => { heard.push(data) })
    await room.join()
    await until(() => client.codes.length > 0, 'the end of the first connection')
    await world.hub.room('lobby').publish('meanwhile')
    await client.opened(2)
    t.strictSame(client.codes, [4401])
    t.strictSame(seen, ['token 1', 'token 2'])
    t.strictSame(heard, ['meanwhile'])
  })

  t.test(`${codec.name}: who is kicked or replaced stays away`, async (t) => {
    const world = await ClientWorld.start(t, { hub: { sessions: 'single-per-user' } })
    const kicked = world.client(codec, { user: 'ada' })
    await kicked.hub.room('lobby').join()
    await kicked.opened()
    await world.hub.user('ada').kick('enough')
    t.strictSame(await kicked.closed(), { is: 'closed', code: 4501, reason: 'enough' })
    t.match(await refusal(kicked.hub.emit('any')), { code: 'closed' })

    const older = world.client(codec, { user: 'bob' })
    await older.opened()
    const newer = world.client(codec, { user: 'bob' })
    t.match(await older.closed(), { code: 4502 })
    await newer.opened()
    t.strictSame([kicked, older].map(({ timers }) => timers), [0, 0], 'nothing is left that would bring them back')
    t.equal(world.proxy.opened, 3)

    kicked.hub.open()
    await kicked.opened(2)
    t.equal(kicked.hub.room('lobby').joined, true, 'unless the application says so')
  })
}
