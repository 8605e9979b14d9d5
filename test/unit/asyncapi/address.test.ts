import t from 'tap'
import { addressOf } from '../../../lib/asyncapi/address.js'

t.test('paths of Fastify become addresses', (t) => {
  const cases: Array<[string, string, Record<string, string>]> = [
    ['/ws', '/ws', {}],
    ['/', '/', {}],
    ['/rooms/:room', '/rooms/{room}', { room: 'A part of the path.' }],
    ['/rooms/:room?', '/rooms/{room}', { room: 'A part of the path.' }],
    ['/any/*', '/any/{rest}', { rest: 'Anything.' }],
    ['/near/:lat-:lng/:file.json', '/near/{lat}-{lng}/{file}.json', { lat: 'A part of the path.', lng: 'A part of the path.', file: 'A part of the path.' }],
    ['/:id(^\\d+$)/x', '/{id}/x', { id: 'Matches ^\\d+$.' }],
    ['/:id(^(a|\\)b)+$)-:to', '/{id}-{to}', { id: 'Matches ^(a|\\)b)+$.', to: 'A part of the path.' }],
    ['/a::b', '/a:b', {}],
    ['/:größe', '/{gr__e}', { gr__e: 'A part of the path.' }]
  ]
  for (const [path, address, parameters] of cases) {
    t.same(addressOf(path), { address, parameters: Object.fromEntries(Object.entries(parameters).map(([name, description]) => [name, { description }])) }, path)
  }
  t.end()
})
