import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { checkHandshake, NONE, only, SEVERAL } from '../../../lib/upgrade/handshake.js'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const GOOD: ReadonlyArray<readonly [string, string]> = [
  ['Host', 'localhost'], ['Connection', 'Upgrade'], ['Upgrade', 'websocket'], ['Sec-WebSocket-Key', KEY], ['Sec-WebSocket-Version', '13']
]

function request (headers: ReadonlyArray<readonly [string, string]>, httpVersion = '1.1'): IncomingMessage {
  return { httpVersion, rawHeaders: headers.flat() } as unknown as IncomingMessage
}

const without = (name: string): Array<readonly [string, string]> => GOOD.filter(([header]) => header.toLowerCase() !== name)
const withValue = (name: string, ...all: string[]): Array<readonly [string, string]> => [...without(name), ...all.map((value) => [name, value] as const)]

t.test('a good handshake', (t) => {
  t.doesNotThrow(() => { checkHandshake(request(GOOD)) })
  t.doesNotThrow(() => { checkHandshake(request(withValue('upgrade', 'WebSocket'))) })
  t.doesNotThrow(() => { checkHandshake(request(GOOD.map(([name, value]) => [name.toUpperCase(), value]))) })
  t.doesNotThrow(() => { checkHandshake({ httpVersion: 1, headers: {} } as unknown as IncomingMessage) }, 'injectWS has no raw headers')
  t.end()
})

t.test('FAULTS 9: the key', (t) => {
  for (const keys of [[], [''], ['short=='], [`${KEY}=`], [KEY.slice(1)], ['dGhlIHNhbXBsZSBub25jZQ='], ['dGhlIHNhbXBsZSBub25jZQAA'], [`${KEY}\n`], ['dGhlIHNhbXBsZSBub25j-_=='], [KEY, KEY], [`${KEY}, ${KEY}`]]) {
    t.throws(() => { checkHandshake(request(withValue('sec-websocket-key', ...keys))) }, { code: 'FST_HUB_BAD_HANDSHAKE', statusCode: 400, message: /Sec-WebSocket-Key/ }, JSON.stringify(keys))
  }
  t.end()
})

t.test('FAULTS 10: the version is exactly 13', (t) => {
  for (const versions of [[], ['8'], ['0x0d'], ['13.0'], ['013'], ['13 '], ['+13'], ['13', '13'], ['13, 8']]) {
    t.throws(() => { checkHandshake(request(withValue('sec-websocket-version', ...versions))) }, { code: 'FST_HUB_UPGRADE_REQUIRED', statusCode: 426 }, JSON.stringify(versions))
  }
  t.end()
})

t.test('FAULTS 12: Host, HTTP/1.0, a body', (t) => {
  for (const hosts of [[], ['a', 'b'], ['a', 'a']]) t.throws(() => { checkHandshake(request(withValue('host', ...hosts))) }, { code: 'FST_HUB_BAD_HANDSHAKE', message: /Host/ })
  t.throws(() => { checkHandshake(request(GOOD, '1.0')) }, { code: 'FST_HUB_BAD_HANDSHAKE', message: /HTTP\/1\.0/ })
  for (const [name, value] of [['Content-Length', '0'], ['content-length', '5'], ['Transfer-Encoding', 'chunked'], ['TRANSFER-ENCODING', 'identity']] as const) {
    t.throws(() => { checkHandshake(request([...GOOD, [name, value]])) }, { code: 'FST_HUB_BAD_HANDSHAKE', message: new RegExp(name, 'i') })
  }
  t.end()
})

t.test('another protocol', (t) => {
  for (const upgrades of [['h2c'], ['websocket', 'websocket'], ['h2c', 'websocket'], ['websocket/13'], ['']]) {
    t.throws(() => { checkHandshake(request(withValue('upgrade', ...upgrades))) }, { code: 'FST_HUB_UPGRADE_REQUIRED', statusCode: 426, message: /Upgrade header/ })
  }
  t.end()
})

t.test('FAULTS 14: an upgrade whose Upgrade header is behind the 2,000 that Node keeps', (t) => {
  t.throws(() => { checkHandshake(request(without('upgrade'))) }, { code: 'FST_HUB_BAD_HANDSHAKE', statusCode: 400, message: /too many headers/ })
  t.end()
})

t.test('the value of a header, as it came', (t) => {
  const some = request([['Origin', 'a'], ['x', 'origin'], ['ORIGIN', 'b'], ['Accept', 'c'], ['EMPTY', '']])
  t.equal(only(some, 'origin'), SEVERAL)
  t.equal(only(request([['origin', 'a'], ['Origin', 'a']]), 'origin'), SEVERAL, 'also when it is the same twice')
  t.equal(only(some, 'accept'), 'c')
  t.equal(only(some, 'empty'), '')
  t.equal(only(some, 'host'), NONE)
  t.equal(only(request([]), 'host'), NONE)
  t.end()
})
