import t from 'tap'
import { Turns } from '../../../lib/redis/turns.js'
import { settled } from '../../helpers/until.js'

t.test('each of those who wait has a turn of its own, in their order', async (t) => {
  const turns = new Turns()
  const had: number[] = []
  const wait = (i: number): void => { turns.next().then(() => { had.push(i) }, () => {}) }
  for (const i of [1, 2, 3]) wait(i)
  const seen: string[] = []
  for (let i = 0; i < 4; i++) {
    await settled()
    seen.push(had.join(''))
    if (i === 0) wait(4)
  }
  t.same(seen, ['1', '12', '123', '1234'])
  wait(5)
  await settled()
  t.same(had, [1, 2, 3, 4, 5], 'also after a pause')
})
