import { WebSocket } from 'ws'
import t from 'tap'
import { createClient, type ClientOptions } from '../../../lib/client/index.js'
import { settingsOf } from '../../../lib/client/options.js'
import { globalPage, globalWebSocket, reportUncaught, systemClock } from '../../../lib/client/platform.js'
import { fakeWebSockets } from '../../helpers/fake-websocket.js'
import { gate } from '../../helpers/until.js'

t.test('wrong options are refused by name', (t) => {
  const wrong: Array<[object, string]> = [
    [{ url: undefined }, 'the option url must be a string or a function, got undefined'],
    [{ url: '' }, 'the option url must be a string or a function, got ""'],
    [{ token: 'x' }, 'the option token must be a function, got "x"'],
    [{ codec: 'msgpack' }, 'the option codec must be a codec of fastify-hub/client, got "msgpack"'],
    [{ codec: null }, 'the option codec must be a codec of fastify-hub/client, got object'],
    [{ outbox: { overflow: 'wait' } }, "the option outbox.overflow must be 'reject-new' or 'drop-oldest', got \"wait\""],
    [{ outbox: { resend: 'no' } }, 'the option outbox.resend must be a boolean, got "no"'],
    [{ manualAck: 1 }, 'the option manualAck must be a boolean, got 1'],
    [{ random: 0.5 }, 'the option random must be a function, got 0.5'],
    [{ clock: { now: Date.now } }, 'the option clock must be an object with now, setTimeout and clearTimeout, got object'],
    [{ clock: null }, 'the option clock must be an object with now, setTimeout and clearTimeout, got object'],
    [{ outbox: { maxMessages: -1 } }, 'the option outbox.maxMessages must be a number of at least 0, got -1'],
    [{ backoff: { min: 0 } }, 'the option backoff.min must be a number of 1 to 2147483647, got 0'],
    [{ backoff: { min: 2_000, max: 1_000 } }, 'the option backoff.max must be a number of 2000 to 2147483647, got 1000'],
    [{ backoff: { factor: 0.5 } }, 'the option backoff.factor must be a number of at least 1, got 0.5'],
    [{ maxTries: '3' }, 'the option maxTries must be a number of at least 0, got "3"'],
    [{ maxTime: NaN }, 'the option maxTime must be a number of at least 0, got NaN'],
    [{ connectTimeout: 0 }, 'the option connectTimeout must be a number of 1 to 2147483647, got 0'],
    [{ pongTimeout: Infinity }, 'the option pongTimeout must be a number of 1 to 2147483647, got Infinity'],
    [{ requestTimeout: -1 }, 'the option requestTimeout must be a number of 0 to 2147483647, got -1']
  ]
  for (const [options, message] of wrong) t.throws(() => createClient({ url: 'ws://hub', WebSocket, ...options } as ClientOptions), new TypeError(message))
  t.end()
})

t.test('each option has a default, and the WebSocket is that of the platform', (t) => {
  const { WebSocket } = fakeWebSockets()
  const platform = globalThis as { WebSocket?: unknown, addEventListener?: unknown, reportError?: unknown }
  const before = platform.WebSocket
  t.teardown(() => { platform.WebSocket = before })
  platform.WebSocket = WebSocket
  const settings = settingsOf({ url: 'ws://hub' })
  t.match(settings, { backoff: { min: 1_000, max: 30_000, factor: 2 }, maxTries: 0, maxTime: 0, connectTimeout: 10_000, pongTimeout: 10_000, requestTimeout: 30_000, outbox: { maxMessages: 1_000, overflow: 'reject-new', resend: true }, manualAck: false, page: null })
  t.equal(settings.WebSocket, WebSocket)
  t.equal(globalWebSocket(), WebSocket)
  platform.WebSocket = undefined
  t.throws(() => createClient({ url: 'ws://hub' }), new TypeError('the option WebSocket must be a WebSocket class, as that of the package ws: this platform has none'))
  t.end()
})

t.test('the page is globalThis where it hears of events', (t) => {
  const platform = globalThis as { addEventListener?: unknown }
  t.equal(globalPage(), undefined)
  t.teardown(() => { delete platform.addEventListener })
  platform.addEventListener = () => {}
  t.equal(globalPage(), globalThis)
  t.end()
})

t.test('an error that nobody takes goes to the platform', (t) => {
  const platform = globalThis as { reportError?: unknown }
  const reported: unknown[] = []
  const { error } = console
  t.teardown(() => {
    console.error = error
    delete platform.reportError
  })
  console.error = (what: unknown) => { reported.push(what) }
  reportUncaught('a')
  platform.reportError = (what: unknown) => { reported.push(what, 'reported') }
  reportUncaught('b')
  t.strictSame(reported, ['a', 'b', 'reported'])
  t.end()
})

t.test("the machine's clock", async (t) => {
  t.ok(Math.abs(systemClock.now() - Date.now()) < 60_000)
  const { promise, open } = gate()
  systemClock.clearTimeout(systemClock.setTimeout(() => { t.fail('it was cleared') }, 0))
  systemClock.setTimeout(open, 0)
  await promise
})
