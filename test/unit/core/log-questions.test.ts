import t from 'tap'
import type { HistoryPolicy } from '../../../lib/core/ports.js'
import { LogQuestions, type LogAnswer } from '../../../lib/core/log-questions.js'
import { JsonText } from '../../../lib/protocol/json-text.js'
import { TestClock } from '../../../lib/testing/test-clock.js'
import { FakeBroker, NO_HISTORY } from '../../helpers/fake-broker.js'
import { FakeListener } from '../../helpers/fake-listener.js'

const answer: LogAnswer = { position: { epoch: 'a', offset: 1 }, publications: [], recovered: true }

t.test('who asks for the same while it is under way gets the same answer, and later ones a new one where nothing had been missed', async (t) => {
  const broker = new FakeBroker(new TestClock(), new FakeListener())
  const asked: unknown[] = []
  broker.history = async (room, since, limit) => {
    asked.push([room, since, limit])
    return { ...answer }
  }
  const questions = new LogQuestions(broker, new TestClock(), () => NO_HISTORY)
  const since = { epoch: 'a', offset: 1 }
  const all = await Promise.all([questions.ask({ name: 'room', epoch: 'a', offset: 1 }, since), questions.ask({ name: 'room', epoch: 'a', offset: 1 }, { ...since }), questions.ask({ name: 'other', epoch: 'a', offset: 1 }, since), questions.ask({ name: 'room', epoch: 'a', offset: 1 }, undefined), questions.ask({ name: 'room', epoch: 'a', offset: 1 }, { epoch: 'a', offset: 2 }), questions.ask({ name: 'room', epoch: 'a', offset: 1 }, { epoch: 'b', offset: 1 })])
  t.equal(all[0], all[1])
  t.same(asked, [['room', since, 0], ['other', since, 0], ['room', undefined, 0], ['room', { epoch: 'a', offset: 2 }, 0], ['room', { epoch: 'b', offset: 1 }, 0]])
  t.not(await questions.ask({ name: 'room', epoch: 'a', offset: 1 }, since), all[0])
})

t.test('a question that failed fails for all who asked it, and is asked again', async (t) => {
  const broker = new FakeBroker(new TestClock(), new FakeListener())
  let tries = 0
  broker.history = async () => {
    if (++tries === 1) throw new Error('away')
    return answer
  }
  const questions = new LogQuestions(broker, new TestClock(), () => NO_HISTORY)
  const both = await Promise.allSettled([questions.ask({ name: 'room', epoch: 'a', offset: 1 }, undefined), questions.ask({ name: 'room', epoch: 'a', offset: 1 }, undefined)])
  t.same(both.map(({ status }) => status), ['rejected', 'rejected'])
  t.equal(await questions.ask({ name: 'room', epoch: 'a', offset: 1 }, undefined), answer)
})

interface Kept { questions: LogQuestions, clock: TestClock, asked: string[], answers: Map<string, LogAnswer> }

/** Questions about rooms whose log has three publications, unless `answers` says otherwise. */
function keeping (policy: Partial<HistoryPolicy> = {}): Kept {
  const clock = new TestClock()
  const broker = new FakeBroker(clock, new FakeListener())
  const asked: string[] = []
  const answers = new Map<string, LogAnswer>()
  broker.history = async (room) => {
    asked.push(room)
    return answers.get(room) ?? logOf('one', 'two', 'three')
  }
  return { questions: new LogQuestions(broker, clock, () => ({ size: 100, ttl: 0, mode: 'log', ...policy })), clock, asked, answers }
}

/** Publications after the offset 4, and there are no more. */
function logOf (...payloads: Array<LogAnswer['publications'][number]['payload']>): LogAnswer {
  return { position: { epoch: 'a', offset: 4 + payloads.length }, publications: payloads.map((payload, i) => ({ offset: 5 + i, payload, options: {} })), recovered: true }
}

const missed = { epoch: 'a', offset: 4 }

t.test('who comes back some seconds later to the same position gets the same answer, and later still a new one', async (t) => {
  const { questions, clock, asked } = keeping()
  const first = await questions.ask({ name: 'room', epoch: 'a', offset: 7 }, missed)
  await clock.advance(9_999)
  t.equal(await questions.ask({ name: 'room', epoch: 'a', offset: 9 }, missed), first)
  t.not(await questions.ask({ name: 'room', epoch: 'a', offset: 9 }, { epoch: 'a', offset: 5 }), first, 'of another position')
  t.equal(asked.length, 2)
  await clock.advance(1)
  t.not(await questions.ask({ name: 'room', epoch: 'a', offset: 9 }, missed), first)
  t.equal(asked.length, 3)
})

t.test('an answer is not given again for longer than a tenth of the time for which publications are kept', async (t) => {
  const { questions, clock, asked } = keeping({ ttl: 1_000 })
  await questions.ask({ name: 'room', epoch: 'a', offset: 7 }, missed)
  await clock.advance(99)
  await questions.ask({ name: 'room', epoch: 'a', offset: 7 }, missed)
  t.equal(asked.length, 1)
  await clock.advance(1)
  await questions.ask({ name: 'room', epoch: 'a', offset: 7 }, missed)
  t.equal(asked.length, 2)
})

t.test('an answer is not given again when half of the log has come since: what follows may be gone by then', async (t) => {
  const { questions, asked } = keeping({ size: 10 })
  await questions.ask({ name: 'room', epoch: 'a', offset: 7 }, missed)
  await questions.ask({ name: 'room', epoch: 'a', offset: 12 }, missed)
  t.equal(asked.length, 1)
  await questions.ask({ name: 'room', epoch: 'a', offset: 13 }, missed)
  t.equal(asked.length, 2)
})

t.test('what could change at any moment is asked anew: that nothing is there, that something is lost, and all that is kept', async (t) => {
  const { questions, asked, answers } = keeping()
  answers.set('nothing', logOf())
  answers.set('lost', { ...logOf('five'), recovered: false })
  for (const name of ['nothing', 'nothing', 'lost', 'lost']) await questions.ask({ name, epoch: 'a', offset: 7 }, missed)
  await questions.ask({ name: 'all', epoch: 'a', offset: 7 }, undefined)
  await questions.ask({ name: 'all', epoch: 'a', offset: 7 }, undefined)
  t.same(asked, ['nothing', 'nothing', 'lost', 'lost', 'all', 'all'])
})

t.test('answers are kept within 16 MiB, the latest of them', async (t) => {
  const { questions, asked, answers } = keeping()
  const large = 'x'.repeat(6 * 1024 * 1024)
  answers.set('a', logOf(large))
  answers.set('b', logOf(Buffer.from(large)))
  answers.set('c', logOf(new JsonText(large)))
  answers.set('too large', logOf(large, large, large))
  answers.set('not of a log', logOf({ toFrame: () => { throw new Error('nobody asks for it') } }))
  const ask = async (...names: string[]): Promise<string[]> => {
    asked.length = 0
    for (const name of names) await questions.ask({ name, epoch: 'a', offset: 5 }, missed)
    return [...asked]
  }
  t.same(await ask('a', 'b', 'a', 'b'), ['a', 'b'])
  t.same(await ask('too large', 'not of a log', 'a', 'b'), ['too large', 'not of a log'])
  t.same(await ask('c', 'b', 'c'), ['c'], 'a made room')
  t.same(await ask('a', 'c', 'a'), ['a'], 'b made room')
  t.same(await ask('too large', 'not of a log', 'b'), ['too large', 'not of a log', 'b'])
})
