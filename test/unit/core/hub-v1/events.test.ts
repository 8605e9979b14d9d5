import t from 'tap'
import { Type } from 'typebox'
import { EventRegistry, type CompiledEvent } from '../../../../lib/core/hub-v1/events.js'

const handler = (): void => {}

function define (definition: unknown, name: unknown = 'say'): CompiledEvent {
  const registry = new EventRegistry()
  registry.define(name, definition)
  return registry.get(name as string) as CompiledEvent
}

t.test('an event is found by its name, and listed in the order of definition', (t) => {
  const registry = new EventRegistry()
  t.equal(registry.size, 0)
  t.equal(registry.get('say'), undefined)
  registry.define('say', { handler })
  registry.define('ask', { schema: {}, handler })
  t.equal(registry.size, 2)
  t.match(registry.get('say'), { name: 'say', handler })
  t.same([...registry.all()].map(({ name }) => name), ['say', 'ask'])
  t.end()
})

t.test('names are a peer\'s: those that objects inherit are no events, and may become some', (t) => {
  const registry = new EventRegistry()
  for (const name of ['__proto__', 'constructor', 'toString']) {
    t.equal(registry.get(name), undefined)
    registry.define(name, { handler })
    t.equal(registry.get(name)?.name, name)
  }
  t.equal(registry.size, 3)
  t.end()
})

t.test('a name is 1 to 255 bytes', (t) => {
  for (const name of ['a', 'é'.repeat(127), 'chat:say', ' ']) t.equal(define({ handler }, name).name, name)
  for (const name of ['', 'é'.repeat(128), '\ud800', 1, null]) {
    t.throws(() => define({ handler }, name), { code: 'FST_HUB_INVALID_NAME', message: /^event must be a string of 1 to 255 bytes/ })
  }
  t.end()
})

t.test('a second definition is refused, and the first one stays', (t) => {
  const registry = new EventRegistry()
  registry.define('say', { handler })
  t.throws(() => { registry.define('say', { handler: () => 'other' }) }, { code: 'FST_HUB_DUPLICATE_EVENT', message: 'The event "say" is defined already' })
  t.equal(registry.get('say')?.handler, handler)
  t.end()
})

t.test('a definition that was refused leaves nothing behind', (t) => {
  const registry = new EventRegistry()
  t.throws(() => { registry.define('say', { schema: { reply: 5 }, handler }) })
  t.equal(registry.size, 0)
  registry.define('say', { handler })
  t.equal(registry.size, 1)
  t.end()
})

t.test('what is wrong with a definition is named', (t) => {
  const cases: Array<[unknown, string]> = [
    [undefined, 'definition of event "say": expected an object with schema and handler, got undefined'],
    [null, 'definition of event "say": expected an object with schema and handler, got null'],
    [[], 'definition of event "say": expected an object with schema and handler, got []'],
    [handler, 'definition of event "say": expected an object with schema and handler, got a function'],
    [{ handler, schem: {} }, 'definition of event "say": expected an object with schema and handler, got one with "schem"'],
    [{}, 'handler of event "say": expected a function, got undefined'],
    [{ handler: 'say' }, 'handler of event "say": expected a function, got "say"'],
    [{ handler, schema: null }, 'schema of event "say": expected an object with data and reply, got null'],
    [{ handler, schema: Type.String() }, 'schema of event "say": expected an object with data and reply, got one with "type"'],
    [{ handler, schema: { data: 'string' } }, 'schema.data of event "say": expected a TypeBox type or a JSON Schema (draft 7), got "string"'],
    [{ handler, schema: { reply: true } }, 'schema.reply of event "say": expected a TypeBox type or a JSON Schema (draft 7), got true']
  ]
  for (const [definition, message] of cases) t.throws(() => define(definition), { code: 'FST_HUB_INVALID_ARGUMENT', message })
  t.end()
})

t.test('data and reply are each checked by their own schema', (t) => {
  const { checkData, checkReply, schema } = define({ schema: { data: Type.Object({ text: Type.String() }), reply: { type: 'integer' } }, handler })
  t.equal(checkData({ text: 'hello' }), null)
  t.same(checkData({ text: 1 }), { path: '/text', message: 'must be string' })
  t.same(checkData(undefined), { path: '', message: 'must be object' }, 'an event without data')
  t.equal(checkReply(1), null)
  t.same(checkReply('1'), { path: '', message: 'must be integer' })
  t.same(schema, { data: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } }, reply: { type: 'integer' } })
  t.end()
})

t.test('without a schema anything passes', (t) => {
  for (const definition of [{ handler }, { schema: undefined, handler }, { schema: { data: undefined, reply: undefined }, handler }]) {
    const { checkData, checkReply, schema } = define(definition)
    for (const value of [undefined, null, 1, 'a', {}, Buffer.alloc(1)]) {
      t.equal(checkData(value), null)
      t.equal(checkReply(value), null)
    }
    t.same(schema, { data: undefined, reply: undefined })
  }
  t.end()
})
