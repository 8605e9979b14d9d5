import t from 'tap'
import { connectionCapacity, openFileLimit } from '../../../lib/core/open-file-limit.js'

const limits = (soft: string): string => `Limit                     Soft Limit           Hard Limit           Units     
Max processes             127234               127234               processes 
Max open files            ${soft.padEnd(21)}1048576              files     
Max locked memory         65536                65536                bytes     
`

t.test('the soft limit is read', (t) => {
  t.equal(openFileLimit(() => limits('20000')), 20_000)
  t.equal(openFileLimit(() => limits('unlimited')), Infinity)
  t.equal(openFileLimit(() => 'something else'), Infinity)
  t.end()
})

t.test('without /proc the diagnostic report knows it', (t) => {
  const limit = openFileLimit(() => { throw new Error('ENOENT') })
  t.ok(limit === Infinity || (Number.isInteger(limit) && limit > 0), String(limit))
  t.ok(openFileLimit() > 0)
  const { getReport } = process.report
  t.teardown(() => { process.report.getReport = getReport })
  for (const [userLimits, expected] of [[{ open_files: { soft: 512 } }, 512], [{ open_files: { soft: 'unlimited' } }, Infinity], [{ open_files: {} }, Infinity], [{}, Infinity], [undefined, Infinity]] as const) {
    process.report.getReport = () => ({ userLimits })
    t.equal(openFileLimit(() => { throw new Error('ENOENT') }), expected)
  }
  t.end()
})

t.test('1,024 files are kept for others, but never more than half', (t) => {
  t.equal(connectionCapacity(20_000), 18_976)
  t.equal(connectionCapacity(1_024), 512)
  t.equal(connectionCapacity(2_048), 1_024)
  t.equal(connectionCapacity(256), 128)
  t.equal(connectionCapacity(Infinity), Infinity)
  t.end()
})
