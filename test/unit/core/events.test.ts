import t from 'tap'
import { HubEmitter } from '../../../lib/core/events.js'
import { settled } from '../../helpers/until.js'

t.test('listeners that add and remove listeners', (t) => {
  const events = new HubEmitter(() => { t.fail('an error') })
  const heard: string[] = []
  const second = (): void => { heard.push('second') }
  events.on('disconnect', () => {
    events.off('disconnect', second)
    events.on('disconnect', () => { heard.push('third') })
  })
  events.on('disconnect', second)
  const emit = (): void => { events.emit('disconnect', { id: 'x' } as never, { code: 1000, reason: '', initiator: 'peer' }) }
  emit()
  t.same(heard, ['second'], 'this event goes to those who listened when it came')
  emit()
  t.same(heard, ['second', 'third'])
  t.equal(events.has('disconnect'), true)
  t.equal(events.has('overflow'), false)
  t.end()
})

t.test('what is reported becomes an Error', async (t) => {
  const logged: unknown[] = []
  const events = new HubEmitter((error) => { logged.push(error) })
  events.report('nobody listens', null)
  t.same(logged, ['nobody listens'], 'a log shows it as it is')
  const errors: Error[] = []
  events.once('error', (error) => { errors.push(error) })
  events.report('text', null)
  t.match(errors, [{ message: 'A handler failed with "text"', cause: 'text' }])
  events.on('error', async () => {
    await settled()
    throw new Error('late')
  })
  events.report(new Error('x'), null)
  await settled()
  await settled()
  t.match(logged.slice(1), [{ message: 'x' }, { message: 'late' }], 'what it was told is not lost with it')
})

t.test("what a listener returns is awaited, be it a promise or behaves like one; a failure goes to 'error'", async (t) => {
  const errors: Error[] = []
  const events = new HubEmitter(() => { t.fail('an error') })
  events.on('error', (error) => { errors.push(error) })
  const failing = (reason: Error) => (): unknown => ({ then: (_: unknown, reject: (reason: Error) => void) => { reject(reason) } })
  events.on('connect', failing(new Error('one')) as () => void)
  events.on('connect', async () => { throw new Error('two') })
  events.emit('connect', { id: 'x' } as never)
  await settled()
  t.match(errors, [{ message: 'one' }, { message: 'two' }])
})
