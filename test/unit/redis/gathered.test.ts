import t from 'tap'
import { Gathered } from '../../../lib/redis/gathered.js'

t.test('questions of one turn are asked together, those of one partition so many at once, and each has its own answer', async (t) => {
  const asked: Array<readonly [number, readonly string[]]> = []
  const gathered = new Gathered<string, string>(queueMicrotask, 2, async (partition, questions) => {
    asked.push([partition, questions])
    return questions.map((question) => `${question}!`)
  })
  t.same(await Promise.all([gathered.ask(0, 'a'), gathered.ask(1, 'b'), gathered.ask(0, 'c'), gathered.ask(0, 'd')]), ['a!', 'b!', 'c!', 'd!'])
  t.same(asked, [[0, ['a', 'c']], [0, ['d']], [1, ['b']]])
  t.equal(await gathered.ask(0, 'e'), 'e!')
  t.equal(asked.length, 4)
})

t.test('who asks together fails together; and nobody has to wait for the end of the turn', async (t) => {
  let turns = 0
  const gathered = new Gathered<number, number>(() => { turns++ }, 2, async (_partition, questions) => {
    if (questions.includes(1)) throw new Error('refused')
    return questions
  })
  const answers = Promise.allSettled([1, 2, 3].map(async (question) => await gathered.ask(0, question)))
  gathered.flush()
  t.same((await answers).map((answer) => answer.status === 'fulfilled' ? answer.value : String(answer.reason)), ['Error: refused', 'Error: refused', 3])
  t.equal(turns, 1)
})
