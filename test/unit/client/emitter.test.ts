import t from 'tap'
import { Emitter } from '../../../lib/client/emitter.js'
import { gate } from '../../helpers/until.js'

function emitter (): { events: Emitter<{ it: [number] }>, failures: unknown[], names: unknown[], heard: string[] } {
  const failures: unknown[] = []
  const names: unknown[] = []
  return { events: new Emitter((error, name) => { failures.push(error); names.push(name) }), failures, names, heard: [] }
}

t.test('listeners are called in their order, at once, until they are taken off', async (t) => {
  const { events, heard } = emitter()
  t.equal(events.has('it'), false)
  const off = events.on('it', (n) => { heard.push(`a${n}`) })
  events.on('it', (n) => { heard.push(`b${n}`) })
  t.equal(events.has('it'), true)
  events.emit('it', 1)
  t.strictSame(heard, ['a1', 'b1'])
  off()
  off()
  events.emit('it', 2)
  t.strictSame(heard, ['a1', 'b1', 'b2'])
})

t.test('a function that listens twice is called twice, and taken off once at a time', async (t) => {
  const { events, heard } = emitter()
  const fn = (): void => { heard.push('x') }
  const off = events.on('it', fn)
  events.on('it', fn)
  events.emit('it', 1)
  t.equal(heard.length, 2)
  off()
  events.emit('it', 1)
  t.equal(heard.length, 3)
})

t.test('it resolves when all are done: true when there was one and none failed', async (t) => {
  const { events, failures } = emitter()
  t.equal(await events.emit('it', 1), false, 'nobody')
  const done = gate()
  const off = events.on('it', () => done.promise)
  const emitted = events.emit('it', 1)
  done.open()
  t.equal(await emitted, true)
  const error = new Error('thrown')
  const offThrower = events.on('it', () => { throw error })
  t.equal(await events.emit('it', 1), false)
  offThrower()
  events.on('it', async () => { throw error })
  t.equal(await events.emit('it', 1), false)
  off()
  t.strictSame(failures, [error, error])
})

t.test('one that throws does not keep the others from hearing', async (t) => {
  const { events, heard, failures, names } = emitter()
  events.on('it', () => { throw new Error('first') })
  events.on('it', () => { heard.push('second') })
  events.emit('it', 1)
  t.strictSame(heard, ['second'])
  t.equal(failures.length, 1)
  t.strictSame(names, ['it'])
})
