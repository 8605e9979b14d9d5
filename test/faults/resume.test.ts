import t from 'tap'
import type { HubOptions } from '../../lib/index.js'
import type { ClientMessage, ServerMessage } from '../../lib/protocol/hub-v1/schema.js'
import { TestApp } from '../helpers/app.js'
import type { RawClient } from '../helpers/raw-client.js'
import { until } from '../helpers/until.js'

const options = (more: HubOptions = {}): HubOptions => ({
  subprotocols: ['hub.v1.json'],
  resume: { ttl: 300 },
  history: { size: 100 },
  identify: ({ headers }) => ({ user: String(headers['x-user']) }),
  authorize: { join: ({ user }) => user !== 'banned' },
  ...more
})

/** Connects as a user, and says its first message. */
async function connect (app: TestApp, user: string, resume: Omit<ClientMessage<'resume'>, 'op'> = {}): Promise<{ client: RawClient, hello: ServerMessage<'hello'> }> {
  const client = await app.connect({ headers: { 'x-user': user, 'Sec-WebSocket-Protocol': 'hub.v1.json' } })
  say(client, { op: 'resume', ...resume })
  return { client, hello: await next(client, 'hello') }
}

function say (client: RawClient, message: ClientMessage): void { client.sendText(JSON.stringify(message)) }

/** Reads on to the next message of a kind. */
async function next<Op extends ServerMessage['op']> (client: RawClient, op: Op): Promise<ServerMessage<Op>> {
  for (;;) {
    const message = JSON.parse(await client.text()) as ServerMessage
    if (message.op === op) return message as ServerMessage<Op>
  }
}

t.test("68: resume with another user's, a reused, a forged or an expired token: refused, and authorisation runs again", async (t) => {
  let calls = 0
  const app = await TestApp.start(t, options({ resume: { ttl: 600 } }))
  app.hub.event('count', { handler: () => ++calls })
  const first = await connect(app, 'ada')
  say(first.client, { op: 'event', event: 'count', id: 'x' })
  t.equal((await next(first.client, 'reply')).data, 1)
  say(first.client, { op: 'join', room: 'a', id: 'j' })
  const { epoch, offset } = await next(first.client, 'joined')
  const { session } = first.hello
  first.client.destroy()

  /** Whether a token is taken, and what the request of before answers then. */
  const back = async (user: string, token: string): Promise<[taken: unknown, answer: unknown, session: string]> => {
    const { client, hello } = await connect(app, user, { session: token, id: 'r' })
    const { data } = await next(client, 'reply')
    say(client, { op: 'event', event: 'count', id: 'x' })
    const answer = await next(client, 'reply')
    client.destroy()
    return [(data as { session: boolean }).session, answer.data, hello.session]
  }
  t.match(await back('eve', session), [false, 2], "another user's")
  t.match(await back('ada', `${session.slice(0, -2)}AA`), [false, 3], 'forged')
  const good = await back('ada', session)
  t.match(good, [true, 1], 'good: not done again')
  t.match(await back('ada', session), [false, 4], 'reused')
  await until(() => app.size === 0, 'the end of all')
  await until(() => app.hub.hubV1.sessions.size === 0, 'the end of its time')
  t.match(await back('ada', good[2]), [false, 5], 'expired')

  const banned = await connect(app, 'banned', { rooms: { a: { epoch, offset } }, id: 'r' })
  t.match(await next(banned.client, 'error'), { code: 'not_allowed', room: 'a' })
  t.match(await next(banned.client, 'reply'), { id: 'r', data: { session: false } })
  await app.assertBaseline()
})

t.test('65: credentials of a hub.v1 client expire: 4401; are refreshed in band: it stays', async (t) => {
  const app = await TestApp.start(t, options({
    identify: ({ headers }) => ({ user: String(headers['x-user']), expiresAt: Date.now() + 500 }),
    refresh: ({ user }, data) => data === 'new' ? { user: user ?? '', expiresAt: Date.now() + 3_600_000 } : null
  }))
  const [stays, goes] = [await connect(app, 'ada'), await connect(app, 'bob')]
  t.type(stays.hello.expiresAt, 'number')
  say(stays.client, { op: 'refresh', data: 'new', id: 1 })
  say(goes.client, { op: 'refresh', data: 'old', id: 1 })
  t.match(await next(stays.client, 'reply'), { id: 1, data: { expiresAt: Number } })
  t.match(await next(goes.client, 'error'), { id: 1, code: 'not_allowed' })
  t.match(await goes.client.ended(), { code: 4401 })
  say(stays.client, { op: 'join', room: 'a', id: 2 })
  t.match(await next(stays.client, 'joined'), { id: 2 })
  await app.assertBaseline()
})
