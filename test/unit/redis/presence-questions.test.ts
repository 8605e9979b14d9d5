import t from 'tap'
import { PresenceQuestions } from '../../../lib/redis/presence-questions.js'
import type { Part } from '../../../lib/redis/presence-snapshot.js'
import { gate, settled } from '../../helpers/until.js'

interface Read { room: string, parts: string, answer: (number: number) => void, fail: (error: Error) => void }

function setup (): { questions: PresenceQuestions<{ number: number }>, reads: Read[], lane: { settled: Promise<void> } } {
  const reads: Read[] = []
  const lane = { settled: Promise.resolve() }
  const questions = new PresenceQuestions(() => lane, async (room: string, parts: ReadonlySet<Part>) => await new Promise<{ number: number }>((resolve, reject) => {
    reads.push({ room, parts: [...parts].sort().join(), answer: (number) => { resolve({ number }) }, fail: reject })
  }))
  return { questions, reads, lane }
}

t.test('one question of a room is under way; who asks meanwhile shares the next', async (t) => {
  const { questions, reads } = setup()
  const first = [questions.ask('room', 'members'), questions.ask('room', 'states')]
  const other = questions.ask('other', 'members')
  await settled()
  const second = [questions.ask('room', 'members'), questions.ask('room', 'members')]
  await settled()
  t.same(reads.map(({ room, parts }) => [room, parts]), [['room', 'members,states'], ['other', 'members']])
  reads[0]?.answer(1)
  t.same((await Promise.all(first)).map(({ number }) => number), [1, 1])
  await settled()
  t.same(reads.length, 3)
  reads[2]?.answer(3)
  reads[1]?.answer(2)
  t.same((await Promise.all([...second, other])).map(({ number }) => number), [3, 3, 2])
  await settled()
  t.equal(questions.size, 0)
})

t.test('what the askers have changed before is done first', async (t) => {
  const { questions, reads, lane } = setup()
  const [one, other] = [gate(), gate()]
  lane.settled = one.promise
  const first = questions.ask('room', 'members')
  lane.settled = other.promise
  const second = questions.ask('room', 'members')
  one.open()
  await settled()
  t.equal(reads.length, 0)
  other.open()
  await settled()
  reads[0]?.answer(1)
  t.equal(await first, await second)
})

t.test('one that fails fails for those who have asked it, and for nobody else', async (t) => {
  const { questions, reads } = setup()
  const first = [questions.ask('room', 'members'), questions.ask('room', 'states')]
  await settled()
  const second = questions.ask('room', 'members')
  reads[0]?.fail(new Error('away'))
  for (const call of first) await t.rejects(call, { message: 'away' })
  await settled()
  reads[1]?.answer(2)
  t.equal((await second).number, 2)
})
