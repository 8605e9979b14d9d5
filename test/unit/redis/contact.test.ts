import t from 'tap'
import { Contact } from '../../../lib/redis/contact.js'

t.test('contact lasts when Redis has answered for a renewal, without a break', (t) => {
  const contact = new Contact(1_000)
  let time = 1_700_000_000_000
  const lasts = (ms: number): boolean => {
    contact.kept(time += ms)
    return contact.isLasting
  }
  t.same([contact.isLasting, contact.till], [false, 0])
  t.same([lasts(5_000), lasts(999), lasts(1), lasts(2_000)], [false, false, true, true])
  t.equal(contact.till, time + 2_000)
  t.equal(lasts(2_001), false, 'nobody knows what was meanwhile')
  t.same([lasts(999), lasts(1)], [false, true])
  contact.lost()
  t.same([contact.isLasting, contact.till], [false, 0])
  t.same([lasts(10), lasts(999), lasts(1)], [false, false, true])
  t.equal(lasts(-500), true, 'an answer that was overtaken')
  t.equal(contact.till, time + 500 + 2_000)
  t.end()
})
