import t from 'tap'
import { ClientWorld, codecs } from '../helpers/client-world.js'
import { AHEAD, Cutter, MESSAGES, randomCuts } from '../helpers/numbered-chat.js'
import { until } from '../helpers/until.js'

for (const codec of codecs) {
  t.test(`${codec.name}: ${MESSAGES} messages of two clients, whose sockets the server cuts ten times: all of them, in order, once`, async (t) => {
    const { seed, cuts } = randomCuts()
    t.comment(`CUTS_SEED=${seed}, cut at ${JSON.stringify([...cuts])}`)
    const world: ClientWorld = await ClientWorld.start(t, { hub: { authorize: { join: () => true, publish: () => cutter.onPublish() } } })
    const cutter = new Cutter(cuts, world.sockets, () => world.hub.room('chat').size === 2)
    const clients = ['ada', 'bob'].map((user) => ({ user, client: world.client(codec, { user }), heard: [] as string[], gaps: 0 }))
    for (const one of clients) {
      const room = one.client.hub.room('chat')
      room.on('message', (data) => { one.heard.push(data as string) })
      room.on('gap', () => { one.gaps++ })
      await room.join()
    }

    const numbers = (user: string): string[] => Array.from({ length: MESSAGES / clients.length }, (_, i) => `${user} ${i}`)
    await Promise.all(clients.map(async ({ user, client, heard }) => {
      const published: Array<Promise<unknown>> = []
      for (const [i, message] of numbers(user).entries()) {
        await until(() => heard.length >= clients.length * i - AHEAD, () => `the conversation to go on after ${message}`)
        published.push(client.hub.room('chat').publish(message))
      }
      await Promise.all(published)
    }))
    await until(() => clients.every(({ heard }) => heard.length >= MESSAGES), () => `all messages: ${clients.map(({ heard }) => heard.length).join(', ')}`)

    const { publications } = await world.hub.room('chat').history()
    t.strictSame(publications.map(({ offset }) => offset), Array.from({ length: MESSAGES }, (_, i) => i + 1))
    for (const { user, client, heard, gaps } of clients) {
      t.strictSame(heard, publications.map(({ data }) => data), `${user}: as the log has it`)
      t.strictSame(heard.filter((message) => message.startsWith(user)), numbers(user), `${user}: its own in the order of the calls`)
      t.equal(gaps, 0)
      t.equal(client.connections, 1 + cuts.size)
      t.strictSame(client.errors, [])
    }
    t.equal(cutter.asked, MESSAGES, 'the application was asked once for each')
    t.equal(cutter.done, cuts.size)
  })
}
